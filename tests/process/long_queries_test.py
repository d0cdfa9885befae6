# A query that takes seconds holds up no command where its plugin says that it may, and sees one moment all the same.
import os
import time
import unittest

from cluster import BUILD, Cluster, waitFor

DRUDGE = os.path.join(BUILD, "test-plugins", "drudge.so")
ENTRIES = 5000
LONG_MS = 1500


class LongQueries(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster().start()
        self.addCleanup(self.cluster.close)
        self.cluster.ask("plugin", "push", DRUDGE)
        self.cluster.ask("group", "create", "g", "--plugin", "drudge")
        pipe = self.cluster.pipe("g", "put")
        for n in range(ENTRIES):
            pipe.send({"key": n, "value": 1})
        self.assertEqual(ENTRIES, pipe.end()[-1]["sum"])
        self.rounds = self.roundsFor(LONG_MS)

    def took(self, method, rounds):
        began = time.monotonic()
        self.cluster.ask("call", "g", method, f"rounds={rounds}", "--timeout-ms", 60000)
        return (time.monotonic() - began) * 1000

    def roundsFor(self, ms):
        rounds = 1000
        while (took := self.took("weigh", rounds)) < ms / 4:
            rounds *= 2
        return int(rounds * ms / took)

    def test_commands_go_on_beside_it(self):
        puts = self.cluster.pipe("g", "put")
        puts.send({"key": 0, "value": 1})
        puts.waitAnswers(1)
        sums = {puts.answers[0]["sum"]}
        query = self.cluster.pipe("g", "weigh")
        query.send({"rounds": self.rounds})
        # Each put is another sum: a query that saw two moments would give one that never was.
        while not query.answers:
            puts.send({"key": len(puts.asked), "value": 1000 + len(puts.asked)})
            puts.waitAnswers(len(puts.asked))
        sums.update(one["sum"] for one in puts.answers)
        beside = len([moment for moment in puts.moments if moment < query.moments[0]])
        print(f"{beside} puts were answered beside a query, the longest after {self.gap(puts):.0f} ms")
        self.assertGreater(beside, 20)
        self.assertLess(self.gap(puts), LONG_MS / 2)
        self.assertEqual(ENTRIES, query.answers[0]["entries"])
        self.assertIn(query.answers[0]["sum"], sums)
        puts.end()
        query.end()

        # The same between commands: they wait for it.
        puts = self.cluster.pipe("g", "put")
        puts.send({"key": 1, "value": 1})
        puts.waitAnswers(1)
        query = self.cluster.pipe("g", "weighHere", via=[self.cluster.leader("g")])
        query.send({"rounds": self.rounds})
        while not query.answers or len(puts.asked) < 2:
            puts.send({"key": 1, "value": 1})
            puts.waitAnswers(len(puts.asked))
        self.assertGreater(self.gap(puts), LONG_MS / 4)
        puts.end()
        query.end()

    def gap(self, pipe):
        return max(later - sooner for sooner, later in zip(pipe.moments, pipe.moments[1:])) * 1000

    def test_a_host_that_stops_or_dies_within_one(self):
        leader = self.cluster.leader("g")
        via = [n for n in self.cluster.numbers if n != leader]
        query = self.cluster.pipe("g", "weigh", via=[leader])
        query.send({"rounds": self.rounds})
        waitFor(lambda: self.busy(leader), 10, "the query under way")
        self.assertEqual(0, self.cluster.stop(leader, 20))
        self.cluster.ask("call", "g", "put", "key=1", "value=2", via=via)
        query.drop()
        self.cluster.restart(leader)
        self.assertEqual(ENTRIES, self.cluster.ask("call", "g", "weigh", "rounds=1")["entries"])

    def busy(self, n):
        """A thread of the pool of queries is at work."""
        folder = f"/proc/{self.cluster.children[n].pid}/task"
        for task in os.listdir(folder):
            with open(os.path.join(folder, task, "stat"), encoding="utf-8") as file:
                name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
            if name == "query" and rest.split()[0] == "R":
                return True
        return False


if __name__ == "__main__":
    unittest.main()
