#!/usr/bin/env bash
# Sees that a seed is the same history in the debug and in the release build: `presets_agree.sh [SEEDS]`, outside CI.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
seeds=${1:-60}

said=()
for preset in release debug; do
  cmake --preset "$preset" >/dev/null
  cmake --build --preset "$preset" --target flotilla-sim >/dev/null
  said+=("$("build/$preset/bin/flotilla-sim" --seeds "$seeds" --json)")
done

# Hashes of all traces and every count, in one line.
if [ "${said[0]}" != "${said[1]}" ]; then
  printf 'presets_agree: release and debug differ\n%s\n%s\n' "${said[@]}" >&2
  exit 1
fi
echo "presets_agree: $seeds seeds, the same in release and debug: ${said[0]##*traceHash}"
