# Many groups on three hosts: what busy ones answer, what idle ones cost.
import argparse
import os
import time

from members import Usage, bench, cluster, median, processes

IDLE_SECONDS = 10
START_SECONDS = 120


def busy(asked, build):
    print("| busy groups | puts/s | p50 / p99 ms | to one group |\n|---|---|---|---|")
    counts = [int(one) for one in asked.busy.split(",") if one]
    with cluster(build) as hosts:
        hosts.start()
        hosts.pushKv()
        seen = {count: [] for count in counts}
        for count in counts:  # the groups are made, and lead somewhere, before anything is measured
            bench(build, hosts, "--groups", count, "--in-flight", asked.inFlight, "--seconds", 1)
        for _ in range(asked.rounds):
            for count in counts:
                seen[count].append(bench(build, hosts, "--groups", count, "--in-flight", asked.inFlight,
                                         "--seconds", asked.seconds))
        one = median([run["opsPerSecond"] for run in seen[counts[0]]])
        for count in counts:
            rate = median([run["opsPerSecond"] for run in seen[count]])
            p50 = median([run["latencyUs"]["p50"] for run in seen[count]]) / 1000
            p99 = median([run["latencyUs"]["p99"] for run in seen[count]]) / 1000
            print(f"| {count:,} | {rate:,.0f} | {p50:.1f} / {p99:.1f} | {rate / one:.2f} |", flush=True)


def ledGroups(hosts):
    """How many groups have a leader that some host knows."""
    led = 0
    after = hosts.ask("group", "list")["groups"]
    for group in after:
        led += 1 if group.get("leader") else 0
    return led


def idle(asked, build):
    counts = [int(one) for one in asked.idle.split(",") if one]
    if not counts:
        return
    print("\n| idle groups | core a host, % | memory a replica, KiB | all led after all hosts start, s |\n|---|---|---|---|")
    for count in counts:
        with cluster(build) as hosts:
            hosts.start()
            hosts.pushKv()
            empty = Usage(processes(hosts)).memoryBytes()
            bench(build, hosts, "--groups", count, "--in-flight", 64, "--seconds", 1, "--keys", count)
            usage = Usage(processes(hosts))
            time.sleep(IDLE_SECONDS / 2)
            before, began = usage.cpuSeconds(), time.monotonic()
            time.sleep(IDLE_SECONDS)
            share = (usage.cpuSeconds() - before) / (time.monotonic() - began) / len(hosts.numbers) * 100
            memory = (usage.memoryBytes() - empty) / (count * len(hosts.numbers)) / 1024
            hosts.stopAll()
            began = time.monotonic()
            hosts.spawnAll()
            while ledGroups(hosts) < count:
                if time.monotonic() - began > START_SECONDS:
                    raise SystemExit(f"{count} groups: {ledGroups(hosts)} led after {START_SECONDS} s")
                time.sleep(0.1)
            print(f"| {count:,} | {share:.1f} | {memory:.1f} | {time.monotonic() - began:.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--busy", default="1,10,100,1000")
    parser.add_argument("--idle", default="1000,10000")
    parser.add_argument("--in-flight", dest="inFlight", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    asked = parser.parse_args()
    build = os.path.abspath(asked.build)
    busy(asked, build)
    idle(asked, build)


if __name__ == "__main__":
    main()
