# Clients write, read and compare under kills, pauses and transfers; every answer must fit one history a key.
import os
import random
import threading
import time
import unittest

from cluster import ROUNDS, Cluster, waitFor
from linearizable import UNKNOWN, Operation, check

WORKERS = 8
SECONDS = 25 * ROUNDS
KEY_OPERATIONS_MAX = 250
KEY_UNKNOWNS_MAX = 12
OPERATIONS_MIN = 20_000 * ROUNDS if "FLOTILLA_SOAK" in os.environ else 4_000 * ROUNDS
FAULTS_MIN = 12 * ROUNDS


class Keys:
    """Hands out the key that all workers use now, and a new one before its history is too long to judge."""

    def __init__(self):
        self.lock = threading.Lock()
        self.histories = {}
        self.turn()

    def turn(self):
        self.key = f"register-{len(self.histories)}"
        self.histories[self.key] = []
        self.begun = self.unknowns = 0

    def take(self):
        with self.lock:
            self.begun += 1
            if self.begun > KEY_OPERATIONS_MAX or self.unknowns > KEY_UNKNOWNS_MAX:
                self.turn()
            return self.key

    def add(self, key, operation):
        with self.lock:
            self.histories[key].append(operation)
            if operation.answered == UNKNOWN and key == self.key:
                self.unknowns += 1


class Worker:
    """One client: one call at a time, each with the moments around it."""

    def __init__(self, cluster, keys, number, ended):
        self.keys, self.number, self.ended = keys, number, ended
        self.pipes = {kind: cluster.pipe("g", kind, timeoutMs=4000) for kind in ("put", "get", "compareAndSet")}
        self.chance = random.Random(number)
        self.lastSeen = {}
        self.failure = None
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        try:
            count = 0
            while not self.ended.is_set():
                count += 1
                self.one(f"{self.number}.{count}")
        except Exception as error:  # shown by the test's own thread
            self.failure = error

    def call(self, kind, request):
        pipe = self.pipes[kind]
        before = len(pipe.answers)
        pipe.send(request)
        until = time.monotonic() + 30
        while len(pipe.answers) == before:
            if time.monotonic() > until:
                raise AssertionError(f"{kind} {request}: no line for 30 s, though its time-out is 4 s")
            time.sleep(0.0002)
        return pipe.answers[before], pipe.moments[before]

    def one(self, value):
        key = self.keys.take()
        kind = self.chance.choice(["put", "get", "get", "compareAndSet"])
        request, expected = {"key": key}, None
        if kind == "put":
            request["value"] = value
        elif kind == "compareAndSet":
            expected = self.lastSeen.get(key)
            request["value"] = value
            request.update({"expectAbsent": True} if expected is None else {"expected": expected})
        invoked = time.monotonic()
        answer, answered = self.call(kind, request)
        result = None
        if "error" in answer:
            if not answer["error"]["maybeDone"]:
                return  # certainly not executed
            answered = UNKNOWN
        elif kind == "get":
            result = self.lastSeen[key] = answer["value"] if answer["found"] else None
        elif kind == "compareAndSet":
            result = answer["set"]
        self.keys.add(key, Operation(kind, invoked, answered, value=request.get("value"), expected=expected,
                                     result=result))


class Faults(unittest.TestCase):
    def fault(self, cluster, chance):
        """One fault on one host, healed when this returns."""
        n = chance.choice(cluster.numbers)
        kind = chance.choice(["kill", "kill", "pause", "pause", "transfer"])
        if kind == "kill":
            cluster.kill(n)
            cluster.restart(n)
        elif kind == "pause":
            cluster.pause(n)
            length = chance.choice([0.1, 0.5, 2.5])
            until = time.monotonic() + length
            waitFor(lambda: time.monotonic() > until, length + 5, "the end of a pause")
            cluster.resume(n)
        else:
            cluster.run("group", "transfer", "g", "--to", n, "--timeout-ms", 3000)
        return kind

    def test_every_answer_fits_one_history(self):
        seed = int(os.environ.get("FLOTILLA_SEED") or random.randrange(1 << 30))
        print(f"FLOTILLA_SEED={seed}", flush=True)
        chance = random.Random(seed)
        with Cluster().start() as cluster:
            cluster.pushKv()
            cluster.create("g", "--set", "snapshotEveryBytes=200000")
            keys, ended = Keys(), threading.Event()
            workers = [Worker(cluster, keys, number, ended) for number in range(WORKERS)]
            faults, until = [], time.monotonic() + SECONDS
            while time.monotonic() < until or len(faults) < FAULTS_MIN:
                faults.append(self.fault(cluster, chance))
                self.assertEqual([], [one.failure for one in workers if one.failure])
            ended.set()
            for worker in workers:
                worker.thread.join(30)
            self.assertEqual([], [one.failure for one in workers if one.failure])
            for n in cluster.numbers:
                cluster.waitReady(n)
            self.judge(cluster, keys, faults)

    def judge(self, cluster, keys, faults):
        operations = sum(len(history) for history in keys.histories.values())
        unknowns = sum(one.answered == UNKNOWN for history in keys.histories.values() for one in history)
        print(f"{operations} operations on {len(keys.histories)} keys, {unknowns} unknown; faults: "
              f"{ {kind: faults.count(kind) for kind in sorted(set(faults))} }")
        self.assertGreaterEqual(operations, OPERATIONS_MIN, "too little was done to mean anything")
        final = cluster.getAll("g", list(keys.histories))
        for key, history in keys.histories.items():
            now = time.monotonic()
            wrong = check([*history, Operation("get", now, now + 1, result=final[key])])
            self.assertIsNone(wrong, f"{key}: no order explains these, among others: {wrong}")
        digests = waitFor(lambda: self.level(cluster), 20, "all replicas at one index")
        self.assertEqual(1, len(set(digests)), f"digests at one index: {digests}")

    def level(self, cluster):
        members = cluster.show("g")["members"]
        same = len({one["applied"] for one in members}) == 1 and len(members) == 3
        return [one["digest"] for one in members] if same else None


if __name__ == "__main__":
    unittest.main()
