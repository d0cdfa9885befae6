# Puts beside queries of 200 ms, which are asked between commands, beside them, or not at all. By hand:
# python3 -B tests/bench/long_query.py [--seconds 10] [--rounds 3]
import argparse
import os
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "process"))
from cluster import BUILD, Cluster  # noqa: E402

QUERY_MS = 200
ENTRIES = 20000
IN_FLIGHT = 64


def percentile(sorted_, share):
    return sorted_[min(len(sorted_) - 1, int(len(sorted_) * share))]


class Asker:
    """Asks one query after the other, with as much time between them, until told to end."""

    def __init__(self, cluster, method, rounds, via):
        self.pipe = cluster.pipe("g", method, via=via)
        self.rounds, self.tookMs = rounds, []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.ask, daemon=True)
        self.thread.start()

    def ask(self):
        while not self.ended.wait(QUERY_MS / 1000):
            began = time.monotonic()
            self.pipe.send({"rounds": self.rounds})
            self.pipe.waitAnswers(len(self.pipe.asked), 60)
            self.tookMs.append((self.pipe.moments[-1] - began) * 1000)

    def end(self):
        self.ended.set()
        self.thread.join()
        self.pipe.end()
        return self.tookMs


def puts(cluster, seconds):
    """Latencies in ms of puts with IN_FLIGHT under way."""
    pipe = cluster.pipe("g", "put")
    sent = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if len(sent) - len(pipe.moments) >= IN_FLIGHT:
            time.sleep(0.0002)
            continue
        sent.append(time.monotonic())
        pipe.send({"key": len(sent) * 7919 % ENTRIES, "value": len(sent)})
    answers = pipe.end()
    assert not any("error" in one for one in answers)
    return sorted((came - went) * 1000 for went, came in zip(sent, pipe.moments))


def roundsFor(cluster, via):
    rounds = 100
    while True:
        began = time.monotonic()
        cluster.ask("call", "g", "weigh", f"rounds={rounds}", "--timeout-ms", 60000, via=via)
        tookMs = (time.monotonic() - began) * 1000
        if tookMs > QUERY_MS:
            return int(rounds * QUERY_MS / tookMs)
        rounds *= 2


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    told = parser.parse_args()
    found = {method: [] for method in ("none", "weighHere", "weigh")}
    with Cluster().start() as cluster:
        cluster.ask("plugin", "push", os.path.join(BUILD, "test-plugins", "drudge.so"))
        cluster.ask("group", "create", "g", "--plugin", "drudge")
        pipe = cluster.pipe("g", "put")
        for n in range(ENTRIES):
            pipe.send({"key": n, "value": n})
        pipe.end(120)
        via = [cluster.leader("g")]
        rounds = roundsFor(cluster, via)
        for _ in range(told.rounds):
            for method, results in found.items():
                asker = Asker(cluster, method, rounds, via) if method != "none" else None
                results.append((puts(cluster, told.seconds), asker.end() if asker else [0]))
    print("| queries of 200 ms | puts/s | p50 ms | p99 ms | max ms | query ms |")
    print("|---|---|---|---|---|---|")
    for method, results in found.items():
        def middle(of):
            return statistics.median(of(latencies, took) for latencies, took in results)
        print(f"| {method} | {middle(lambda l, _: len(l) / told.seconds):,.0f} "
              f"| {middle(lambda l, _: percentile(l, 0.5)):.1f} | {middle(lambda l, _: percentile(l, 0.99)):.1f} "
              f"| {middle(lambda l, _: l[-1]):.0f} | {middle(lambda _, t: statistics.median(t)):.0f} |")


if __name__ == "__main__":
    main()
