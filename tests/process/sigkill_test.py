# All three hosts die by SIGKILL while a thousand puts are under way; every acknowledged one is there after.
import unittest

from cluster import ROUNDS, Cluster, waitFor

PUTS = 1000


class SigkillOfAll(unittest.TestCase):
    def send(self, cluster, prefix):
        pipe = cluster.pipe("g", "put", timeoutMs=60000)
        for number in range(PUTS):
            pipe.send({"key": f"{prefix}-{number}", "value": f"{prefix} value {number}"})
        return pipe

    def test_acknowledged_puts_survive(self):
        with Cluster().start() as cluster:
            cluster.pushKv()
            cluster.create("g")
            held = {}
            for turn in range(ROUNDS):
                held.update(self.clientGoesOn(cluster, f"on-{turn}", after=50))
                held.update(self.clientDiesToo(cluster, f"die-{turn}", after=200))
            cluster.expectAll("g", held)
            for n in cluster.numbers:
                cluster.expectAll("g", held, via=[n])

    def killAll(self, cluster):
        for n in cluster.numbers:
            cluster.signal(n, 9)
        for n in cluster.numbers:
            cluster.kill(n)

    def clientGoesOn(self, cluster, prefix, after):
        """The client repeats what was not answered until the hosts are back: all are acknowledged, once each."""
        before = self.size(cluster)
        pipe = self.send(cluster, prefix)
        pipe.waitAnswers(after)
        self.killAll(cluster)
        atDeath = len(pipe.answers)
        self.assertGreaterEqual(atDeath, after)
        cluster.spawnAll()
        answers = pipe.end()
        errors = [answer for answer in answers if "error" in answer]
        self.assertEqual([], errors[:3], f"{len(errors)} errors")
        revisions = [answer["revision"] for answer in answers]
        self.assertEqual(len(revisions), len(answers))
        self.assertEqual(before + PUTS, self.size(cluster))
        return {request["key"]: request["value"] for request in pipe.asked}

    def clientDiesToo(self, cluster, prefix, after):
        """Only what was answered before counts."""
        pipe = self.send(cluster, prefix)
        pipe.waitAnswers(after)
        self.killAll(cluster)
        pipe.drop()
        acknowledged = {request["key"]: request["value"]
                        for request, answer in zip(pipe.asked, pipe.answers) if "error" not in answer}
        self.assertGreaterEqual(len(acknowledged), after)
        cluster.spawnAll()
        cluster.expectAll("g", acknowledged)
        return acknowledged

    def size(self, cluster):
        done = waitFor(lambda: cluster.ask("call", "g", "size"), 10, "the size of g")
        return next(iter(done.values()))


if __name__ == "__main__":
    unittest.main()
