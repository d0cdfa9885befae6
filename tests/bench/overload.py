# Ten times what three hosts can do, for a while: goodput, memory, and the latency of a quiet caller before, within, after.
import argparse
import json
import os
import subprocess
import sys
import threading
import time

from members import Usage, bench, cluster, processes

QUIET = "quiet"          # the group of a caller with one put now and then
BETWEEN_SECONDS = 0.02   # its puts
AFTER_SECONDS = 1.0      # then all is to be as before
IN_FLIGHT = 2000
QUOTA = 0.25             # of the peak, for a flood that is bounded


class Probe:
    """One put every BETWEEN_SECONDS, each begun at its time whatever became of those before."""

    def __init__(self, hosts):
        self.pipe = hosts.pipe(QUIET, "put", timeoutMs=120_000)
        self.due, self.ended = [], threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        at = time.monotonic()
        while not self.ended.is_set():
            self.due.append(at)
            self.pipe.send({"key": f"k{len(self.due) % 100}", "value": "v"})
            at += BETWEEN_SECONDS
            time.sleep(max(0.0, at - time.monotonic()))

    def end(self):
        self.ended.set()
        self.thread.join()
        self.pipe.end(120)

    def latencies(self, after, before):
        """Milliseconds of the puts that were due in between."""
        return sorted((done - due) * 1000 for due, done in zip(self.due, self.pipe.moments) if after <= due < before)


class Memory:
    """The most that the hosts together held, by looking again and again."""

    def __init__(self, hosts):
        self.most, self.ended = 0, threading.Event()
        self.usage = Usage(processes(hosts))
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ended.wait(0.1):
            self.most = max(self.most, self.usage.memoryBytes())

    def end(self):
        self.ended.set()
        self.thread.join()
        return self.most / len(self.usage.pids) / 2**20


def percentile(sortedValues, part):
    return sortedValues[min(len(sortedValues) - 1, int(len(sortedValues) * part))] if sortedValues else 0.0


def measure(hosts, build, asked):
    peak = bench(build, hosts, "--in-flight", IN_FLIGHT, "--seconds", 5)["opsPerSecond"]
    probe = Probe(hosts)
    time.sleep(5)
    began = time.monotonic()
    memory = Memory(hosts)
    over = bench(build, hosts, "--rate", int(peak * asked.times), "--seconds", asked.seconds)
    ended = time.monotonic()
    most = memory.end()
    time.sleep(5)
    probe.end()
    # The last second and a half of a run is its own checking, and the first its warming up.
    spans = {"before": (began - 4, began), "within": (began + 1, ended - 2),
             "after": (ended + AFTER_SECONDS, ended + 5)}
    latency = {name: {"p50": percentile(it, 0.5), "p99": percentile(it, 0.99)}
               for name, it in ((name, probe.latencies(*span)) for name, span in spans.items())}
    return {"peak": peak, "asked": int(peak * asked.times), "goodput": over["opsPerSecond"],
            "goodputToPeak": over["opsPerSecond"] / peak, "errors": over["errorsByCode"],
            "memoryMiBAHost": most, "quietMs": latency, "besideMs": beside(hosts, build, int(peak * QUOTA))}


def flood(hosts, build):
    return subprocess.Popen(
        [os.path.join(build, "bin", "flotilla-bench"), "--connect", ",".join(hosts.listen.values()), "--token",
         os.path.join(hosts.dir, "operator.token"), "--json", "--in-flight", str(IN_FLIGHT), "--seconds", "13"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def beside(hosts, build, quota):
    """100 puts a second on a group of their own, by the C++ client: alone, beside a flood on another group, beside the
    same where that group has a quota, and beside processes that only spin, which is what both cores being busy costs
    whoever it is. The flood's own rate, too: it must have been there."""
    seen = {}
    for name in ("nobody", "a flood", "a flood with a quota", "three that spin"):
        others, done = [], 0
        if "flood" in name:
            hosts.ask("group", "set", "bench-1", f"callsPerSecondMax={quota if 'quota' in name else 0}")
            others = [flood(hosts, build)]
        elif name == "three that spin":
            others = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(3)]
        try:
            latency = bench(build, hosts, "--name", QUIET, "--rate", 100, "--in-flight", 100, "--keys", 100,
                            "--seconds", 10, "--warmup-seconds", 2)["latencyUs"]
            if "flood" in name:
                done = json.loads(others[0].communicate(timeout=60)[0])["opsPerSecond"]
        finally:
            for one in others:
                one.kill()
                one.wait()
        seen[name] = {"p50": latency["p50"] / 1000, "p99": latency["p99"] / 1000, "floodPerSecond": done}
    return seen


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--times", type=float, default=10)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    build = os.path.abspath(asked.build)
    with cluster(build) as hosts:
        hosts.start()
        hosts.pushKv()
        hosts.create(QUIET)
        seen = measure(hosts, build, asked)
    if asked.json:
        print(json.dumps(seen))
        return
    print("| what | |\n|---|---|")
    print(f"| peak, {IN_FLIGHT:,} in flight, puts/s | {seen['peak']:,} |")
    print(f"| asked for, {asked.seconds:.0f} s, puts/s | {seen['asked']:,} |")
    print(f"| done of it, puts/s (to the peak) | {seen['goodput']:,} ({seen['goodputToPeak']:.2f}) |")
    print(f"| most memory, MiB a host | {seen['memoryMiBAHost']:.0f} |")
    for name, words in (("before", "before it"), ("within", "within it"), ("after", "from 1 s after it")):
        print(f"| a quiet group's put {words}, p50 / p99 ms | {seen['quietMs'][name]['p50']:.1f} / {seen['quietMs'][name]['p99']:.1f} |")
    print(f"| the quota, calls a second | {int(seen['peak'] * QUOTA):,} |")
    for name, one in seen["besideMs"].items():
        flooded = f" of {one['floodPerSecond']:,} puts/s" if one["floodPerSecond"] else ""
        print(f"| 100 puts/s of another group beside {name}{flooded}, p50 / p99 ms | {one['p50']:.1f} / {one['p99']:.1f} |")
    print(f"refused: {seen['errors']}", file=sys.stderr)


if __name__ == "__main__":
    main()
