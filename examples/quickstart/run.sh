#!/usr/bin/env bash
# From nothing to a running cluster of three hosts: installs, builds, and takes the tour of tour.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1  # another clone of the same sources finds the same objects

tests/support/prepare.sh build
cmake --preset release >/dev/null
cmake --build --preset release --target flotilla flotilla-host kv
exec python3 -B examples/quickstart/tour.py --build build/release "$@"
