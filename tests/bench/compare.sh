#!/usr/bin/env bash
# Measures Flotilla and etcd in turn, each as three members on loopback that sync, and prints a Markdown table.
# compare.sh [--rounds 3] [--seconds 5]: medians of so many rounds. Needs `tests/support/prepare.sh compare`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${FLOTILLA_BUILD:-$here/../../build/release}
exec python3 -B "$here/compare.py" --build "$build" "$@"
