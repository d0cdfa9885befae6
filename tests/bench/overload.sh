#!/usr/bin/env bash
# Asks three hosts of loopback for ten times what they can do, then floods one group beside a quiet one: what they still
# do, what memory they take, how soon others are served as before. overload.sh [--seconds 30] [--times 10] [--json]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${FLOTILLA_BUILD:-$here/../../build/release}
exec python3 -B "$here/overload.py" --build "$build" "$@"
