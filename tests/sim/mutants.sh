#!/usr/bin/env bash
# Plants every bug of mutants/planted.txt into one build and sees each caught: `mutants.sh [--seeds N] [--both] [NAME …]`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export CCACHE_NOHASHDIR=1

# The product's sources stay clean: the bugs are planted in a copy, below the build folder. Times of what did not
# change stay too, so that a second run builds little.
copy=$PWD/build/mutants/source
fresh=$PWD/build/mutants/fresh
rm -rf "$fresh"
mkdir -p "$copy" "$fresh"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$fresh"
python3 -B tests/sim/mutants/plant.py "$fresh"
(cd "$fresh" && find . -type f -print0) | while IFS= read -r -d '' file; do
  cmp -s "$fresh/$file" "$copy/$file" || install -D "$fresh/$file" "$copy/$file"
done
rm -rf "$fresh"

export CCACHE_BASEDIR=$copy
cmake -S "$copy" -B build/mutants/release -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
cmake --build build/mutants/release --target flotilla-sim unit-raft unit-group
exec python3 -B tests/sim/mutants/hunt.py build/mutants/release "$@"
