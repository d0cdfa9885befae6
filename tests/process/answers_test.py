# Answers have bounds: of a batch, of a connection, and of one that does not read; and nobody else is shut out by them.
import json
import os
import subprocess
import unittest

from cluster import BUILD, Cluster, waitFor

PROBE = os.path.join(BUILD, "tests", "answers-probe")
MIB = 1 << 20
LINES = 150


class Answers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster().start()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.pushKv()
        cls.cluster.create("g")
        done = cls.cluster.run("call", "g", "put", "-", stdin=json.dumps({"key": "big", "value": "x" * MIB}))
        assert done.code == 0, done
        cls.leader = cls.cluster.leader("g")

    def probe(self, n, group, *arguments):
        one = subprocess.Popen(
            [PROBE, self.cluster.listen[n], os.path.join(self.cluster.dir, "operator.token"), group, *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(one.communicate)
        return one

    def told(self, n, group, *arguments):
        return self.probe(n, group, *arguments).communicate(timeout=30)[0].split()

    def forgetPeak(self, n):
        with open(f"/proc/{self.cluster.children[n].pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")

    def peakMiB(self, n):
        with open(f"/proc/{self.cluster.children[n].pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) >> 10

    def test_long_answers_all_come(self):
        for method, call in (("get", {"key": "big"}), ("compareAndSet", {"key": "big", "expected": "no", "value": "x"})):
            done = self.cluster.run("call", "g", method, "--lines", stdin=(json.dumps(call) + "\n") * LINES)
            answers = [json.loads(line) for line in done.out.splitlines()]
            self.assertEqual(LINES, len(answers))
            self.assertEqual([], [one for one in answers if "error" in one][:1], method)

    def test_one_batch_is_answered_as_far_as_there_is_room(self):
        self.forgetPeak(self.leader)
        answered, noRoom = map(int, self.told(self.leader, "g", "submit", 600))
        peak = self.peakMiB(self.leader)
        print(f"600 answers of 1 MiB in a batch: {answered} came, the leader's peak {peak} MiB")
        self.assertEqual(600, answered + noRoom)
        self.assertGreater(answered, 24)
        self.assertLess(peak, 500)

    def test_one_that_does_not_read_is_given_so_much_and_no_more(self):
        far = next(n for n in self.cluster.numbers if n != self.leader)
        self.forgetPeak(far)
        before = self.peakMiB(far)
        deaf = self.probe(far, "g", "deaf", 40, 50)  # 2,000 MiB
        self.assertEqual("sent", deaf.stdout.readline().strip())
        others = self.cluster.pipe("g", "get", via=[far])
        for _ in range(5):
            others.send({"key": "big"})
        self.assertEqual([], [one for one in others.end() if "error" in one])
        waitFor(lambda: self.cpuIsIdle(far), 20, f"host {far} has done what it was asked")
        peak = self.peakMiB(far)
        print(f"2,000 MiB of answers that nobody reads: {before} MiB before, a peak of {peak}")
        self.assertLess(peak - before, 600)
        deaf.communicate(timeout=10)

    def cpuIsIdle(self, n):
        """Whether it has used next to nothing of a processor in a fifth of a second."""
        def used():
            with open(f"/proc/{self.cluster.children[n].pid}/stat", encoding="ascii") as file:
                return sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13]))
        now = used()
        deadline = os.times().elapsed + 0.2
        waitFor(lambda: os.times().elapsed > deadline, 1, "a fifth of a second")
        return used() - now < 4

    def test_listeners_of_one_client_shut_out_no_other(self):
        for name in ("g2", "h2"):
            self.cluster.create(name, "--on", "1")
            self.cluster.leader(name)
        crowd = self.probe(3, "g2", "listen", 1030)
        self.assertEqual(["1024", "6"], crowd.stdout.readline().split())
        self.assertEqual(["1", "0"], self.told(3, "h2", "listen", 1))
        self.assertEqual(["1", "0"], self.told(2, "h2", "listen", 1))
        self.assertEqual(["1", "0"], self.told(1, "h2", "listen", 1))
        crowd.communicate(timeout=10)
        self.assertEqual(["1024", "0"], self.told(3, "g2", "listen", 1024))

    def test_groups_that_there_are_none_of_are_looked_for_so_many_at_a_time(self):
        far = next(n for n in self.cluster.numbers if n != self.leader)
        none, refused = map(int, self.told(far, "g", "find", 20000))
        print(f"20,000 looked for at once: {none} answered, {refused} refused as overloaded")
        self.assertEqual(20000, none + refused)
        self.assertGreaterEqual(none, 1024)
        self.assertGreater(refused, 1000)


if __name__ == "__main__":
    unittest.main()
