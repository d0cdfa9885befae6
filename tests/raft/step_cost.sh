#!/usr/bin/env bash
# Instructions that a step of the core costs, by callgrind: of a propose, an append at a follower, an
# acknowledgement at the leader, and a tick of an idle group's leader that sends heartbeats.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v valgrind > /dev/null || { echo "step_cost.sh: needs valgrind; apt-get install valgrind" >&2; exit 2; }
program=${1:-build/release/tests/raft-step-cost}
for kind in propose append ack tick; do
  counted=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect=stepOf "$program" "$kind" 2>&1 |
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p')
  printf '%-8s %6d instructions a step\n' "$kind" "$((counted / 1000))"
done
