#!/usr/bin/env bash
# Builds the release preset and runs every test: `run.sh`, or `run.sh FILTER` for those whose name matches.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1  # another clone of the same sources finds the same objects

tests/support/prepare.sh build
cmake --preset release >/dev/null
cmake --build --preset release

# Each ring of tests must be there: a ring that vanished from the build is a failure, not a pass.
for label in unit house sim process; do
  if ! ctest --test-dir build/release -N -L "^$label\$" --no-tests=error >/dev/null 2>&1; then
    echo "tests/run.sh: no test has the label $label; is its folder in tests/ wired into ctest?" >&2
    exit 1
  fi
done

jobs=$(nproc)
exec ctest --test-dir build/release --output-on-failure --no-tests=error -j "$jobs" ${1:+-R "$1"} </dev/null
