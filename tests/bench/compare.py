# Flotilla beside etcd, in turn, as medians.
import argparse
import os
import shutil
import tempfile

from members import Etcd, bench, cluster, median

# name, our options, etcd's options (None: etcd has no such road and is compared by its own row before)
ROWS = [
    ("put, 1 in flight", ["--in-flight", "1"], ["-in-flight", "1", "-connections", "1"]),
    ("put, 256 in flight", ["--in-flight", "256"], ["-in-flight", "256"]),
    ("put, 1,000 in flight", ["--in-flight", "1000"], ["-in-flight", "1000"]),
    ("put, 1,000 in flight, generated client", ["--in-flight", "1000", "--typed"], ["-in-flight", "1000"]),
    ("put, 2,000 in flight", ["--in-flight", "2000"], ["-in-flight", "2000"]),
    ("put, 4,000 in flight", ["--in-flight", "4000"], ["-in-flight", "4000"]),
    ("put, 1,000 in flight, raw road", ["--in-flight", "1000", "--road", "raw"], ["-in-flight", "1000"]),
    ("linearizable get, 1,000 in flight", ["--in-flight", "1000", "--op", "get"],
     ["-in-flight", "1000", "-op", "get"]),
]


def cell(found):
    latency = found["latencyUs"]
    return f'{found["opsPerSecond"]:,} ({latency["p50"] / 1000:.2f} / {latency["p99"] / 1000:.1f} ms)'


def medianOf(runs):
    runs = sorted(runs, key=lambda it: it["opsPerSecond"])
    return runs[len(runs) // 2]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rows", help="only rows whose name holds this")
    asked = parser.parse_args()
    rows = [row for row in ROWS if asked.rows is None or asked.rows in row[0]]

    work = tempfile.mkdtemp(prefix="flotilla-compare-")
    try:
        program = Etcd.build(work)
        print("| load | Flotilla: /s (p50 / p99) | etcd: /s (p50 / p99) | ratio | p50 ratio |\n|---|---|---|---|---|")
        with cluster(os.path.abspath(asked.build)) as ours, Etcd() as theirs:
            ours.start()
            ours.pushKv()
            for name, options, etcdOptions in rows:
                a, b = [], []
                for _ in range(asked.rounds):
                    a.append(bench(asked.build, ours, "--seconds", asked.seconds, *options))
                    b.append(theirs.load(program, "-seconds", asked.seconds, *etcdOptions))
                    wrong = a[-1]["errors"] + a[-1]["verified"]["wrong"] + b[-1]["errors"]
                    if wrong:
                        raise SystemExit(f"{name}: {wrong} errors")
                ratio = median([it["opsPerSecond"] for it in a]) / median([it["opsPerSecond"] for it in b])
                p50 = median([it["latencyUs"]["p50"] for it in a]) / median([it["latencyUs"]["p50"] for it in b])
                print(f"| {name} | {cell(medianOf(a))} | {cell(medianOf(b))} | {ratio:.1f} | {p50:.2f} |", flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
