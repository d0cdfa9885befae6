#!/usr/bin/env bash
# Kills the leader of a group that is written to, again and again, and says after how long writes went on.
# kills.sh [--times 50] [--json]; exits 1 where that was over 3 election timeouts more than once in 50, or over 5 ever.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${FLOTILLA_BUILD:-$here/../../build/release}
exec python3 -B "$here/kills.py" --build "$build" "$@"
