# Leaders die while a client adds to a counter: each addition is carried out once, whatever was asked twice.
import os
import unittest

from cluster import BUILD, ROUNDS, Cluster

COUNTER = os.path.join(BUILD, "plugins", "counter.so")
KILLS = 3
BETWEEN = 2000  # additions a kill, which falls in their midst


class ExactlyOnce(unittest.TestCase):
    def test_every_addition_is_carried_out_once(self):
        with Cluster().start() as cluster:
            cluster.ask("plugin", "push", COUNTER)
            cluster.ask("group", "create", "sums", "--plugin", "counter")
            pipe = cluster.pipe("sums", "add", timeoutMs=60000)
            sent = 0
            for _ in range(KILLS * ROUNDS):
                # Many are under way when the leader dies: some in its log alone, some applied and not answered.
                victim = cluster.leader("sums")
                for number in range(BETWEEN):
                    pipe.send({"name": "sum", "by": 1})
                    if number == BETWEEN // 2:
                        cluster.kill(victim)
                sent += BETWEEN
                pipe.waitAnswers(sent, 60)
                cluster.restart(victim)
            answers = pipe.end()
            self.assertEqual([], [one for one in answers if "error" in one][:3])
            found = cluster.ask("call", "sums", "read", "name=sum")
            self.assertEqual(sent, int(found["value"]), "additions were lost, or carried out twice")
            # Each addition saw a sum of its own.
            sums = sorted(int(one["value"]) for one in answers)
            self.assertEqual(list(range(1, sent + 1)), sums)


if __name__ == "__main__":
    unittest.main()
