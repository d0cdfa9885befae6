# Many groups on three hosts: what busy ones answer, what idle ones cost.
import argparse
import json
import os
import sys

from idle import ROWS, measure
from members import bench, cluster, median

IN_FLIGHT_MOST = 65_536  # of a group, and of a connection: more are refused


def busy(asked, build):
    counts = [int(one) for one in asked.busy.split(",") if one]
    if not counts:
        return
    if asked.stay:
        print("Each caller stays with its group.\n")
    print("| busy groups | in flight | puts/s | p50 / p99 ms | to one group |\n|---|---|---|---|---|")
    seen = {count: [] for count in counts}
    for _ in range(asked.rounds):
        for count in counts:
            seen[count].append(busyOnce(asked, build, count))
    one = median([run["opsPerSecond"] for run in seen[counts[0]]])
    for count in counts:
        rate = median([run["opsPerSecond"] for run in seen[count]])
        p50 = median([run["latencyUs"]["p50"] for run in seen[count]]) / 1000
        p99 = median([run["latencyUs"]["p99"] for run in seen[count]]) / 1000
        print(f"| {count:,} | {inFlightOf(asked, count):,} | {rate:,.0f} | {p50:.1f} / {p99:.1f} | {rate / one:.2f} |", flush=True)


# Fewer than asked for, where groups and connections take no more.
def inFlightOf(asked, count):
    return min(asked.inFlight, IN_FLIGHT_MOST * min(asked.connections, count))


# On hosts of its own: one group beside a thousand that were busy a moment ago is slower for them.
def busyOnce(asked, build, count):
    with cluster(build) as hosts:
        hosts.start()
        hosts.pushKv()
        connections = min(asked.connections, count)
        load = ["--groups", count, "--in-flight", inFlightOf(asked, count), "--connections", connections, *(["--stay"] if asked.stay else [])]
        bench(build, hosts, *load, "--seconds", 2)  # the groups are made, and lead somewhere
        return bench(build, hosts, *load, "--seconds", asked.seconds)


def idle(asked, build):
    counts = [int(one) for one in asked.idle.split(",") if one]
    seen = [measure(build, count, lambda text: print(text, file=sys.stderr, flush=True)) for count in counts]
    if asked.json:
        print(json.dumps({"idle": seen}))
    elif seen:
        print("\n| idle groups |" + "".join(f" {count:,} |" for count in counts) + "\n|---|" + "---|" * len(counts))
        for words, name, form in ROWS:
            print(f"| {words} |" + "".join(f" {form.format(one[name])} |" for one in seen))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--busy", default="1,10,100,1000")
    parser.add_argument("--idle", default="1000,10000")
    parser.add_argument("--in-flight", dest="inFlight", type=int, default=2000)
    parser.add_argument("--connections", type=int, default=1, help="of the client; no more than there are groups")
    parser.add_argument("--stay", action="store_true", help="each caller stays with its group")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json", action="store_true", help="what idle groups cost as one object")
    asked = parser.parse_args()
    build = os.path.abspath(asked.build)
    busy(asked, build)
    idle(asked, build)


if __name__ == "__main__":
    main()
