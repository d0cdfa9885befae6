#!/usr/bin/env bash
# A large state: p99 of puts and memory beside snapshots, and a replica that catches up over a connection cut ten times.
# snapshot.sh [--state-mib 512] [--json]; --help says the rest. A soak: snapshot.sh --state-mib 2048 --seconds 60.
# Exits 1 where p99 more than doubles, memory passes 1.6 times the state, or 1.3 times the snapshot is sent.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${FLOTILLA_BUILD:-$here/../../build/release}
exec python3 -B "$here/snapshot.py" --build "$build" "$@"
