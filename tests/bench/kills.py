# The leader of a written group is killed many times: how long writes stand still, and that none is lost.
import argparse
import json
import os
import sys
import time

from members import cluster, median

GROUP = "beaten"
USUAL, LIMIT = 3, 5  # election timeouts: for all kills but one in fifty, and for each


def kills(hosts, times, timeoutMs):
    from cluster import Writer, waitFor
    gaps = []
    writer = Writer(hosts, GROUP, timeoutMs=60_000)
    for number in range(times):
        waitFor(lambda: all(one["ready"] for one in hosts.show(GROUP)["members"]), 60, "all members ready")
        writer.waitMore(100)
        victim = hosts.leader(GROUP)
        killed = time.monotonic()
        hosts.kill(victim)
        writer.waitMore(100)
        gaps.append(writer.longestGapMs(after=killed))
        print(f"kill {number + 1}: host {victim}, {gaps[-1]:.0f} ms", file=sys.stderr, flush=True)
        hosts.restart(victim)
    writer.end()
    hosts.expectAll(GROUP, writer.acknowledged())
    return {"times": times, "electionTimeoutMs": timeoutMs, "acknowledged": len(writer.acknowledged()),
            "errors": len(writer.errors()), "gapMs": {"median": median(gaps), "max": max(gaps)},
            "over3": sum(gap > USUAL * timeoutMs for gap in gaps), "over5": sum(gap > LIMIT * timeoutMs for gap in gaps)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with cluster(os.path.abspath(asked.build)) as hosts:
        from cluster import ELECTION_TIMEOUT_MS
        hosts.start()
        hosts.pushKv()
        hosts.create(GROUP)
        seen = kills(hosts, asked.times, ELECTION_TIMEOUT_MS)
    held = seen["over3"] <= asked.times / 50 and seen["over5"] == 0 and seen["errors"] == 0
    seen["held"] = held
    if asked.json:
        print(json.dumps(seen))
    else:
        print(f"{seen['times']} kills: writes went on after {seen['gapMs']['median']:.0f} ms (median), "
              f"{seen['gapMs']['max']:.0f} ms (longest); over 3 election timeouts {seen['over3']}, over 5 {seen['over5']}; "
              f"{seen['acknowledged']:,} acknowledged, none lost, {seen['errors']} errors; {'held' if held else 'NOT HELD'}")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
