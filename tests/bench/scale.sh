#!/usr/bin/env bash
# Measures many groups on three hosts of loopback: 1, 10, 100, 1,000 busy ones, then 1,000 and 10,000 idle ones, and
# prints Markdown tables. Each figure of busy ones is taken on hosts that have just started.
# scale.sh [--busy 1,10,100,1000] [--in-flight 2000] [--stay] [--idle 1000,10000] [--seconds 5] [--rounds 3]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${FLOTILLA_BUILD:-$here/../../build/release}
exec python3 -B "$here/scale.py" --build "$build" "$@"
