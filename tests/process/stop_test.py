# SIGTERM: leaderships move, machines stop, the process ends in time; a second one ends it at once.
import os
import signal
import time
import unittest

from cluster import BUILD, Cluster, Writer, waitFor

BAD = os.path.join(BUILD, "test-plugins", "bad_behaviour.so")
STOP_SECONDS_MAX = 10


class GracefulStop(unittest.TestCase):
    def test_a_stop_hands_leaderships_over(self):
        with Cluster().start() as cluster:
            cluster.pushKv()
            groups = [f"g{n}" for n in range(4)]
            for group in groups:
                cluster.create(group)
                if cluster.leader(group) != 1:
                    cluster.transfer(group, 1)
            writers = [Writer(cluster, group, "stop") for group in groups]
            for writer in writers:
                writer.waitMore(50)
            began = time.monotonic()
            code = cluster.stop(1)
            took = time.monotonic() - began
            for writer in writers:
                writer.waitMore(50)
                writer.end()
            gap = max(writer.longestGapMs(after=began) for writer in writers)
            print(f"stopped in {took:.1f} s, writes stood still for {gap:.0f} ms")
            self.assertEqual(0, code)
            self.assertLess(took, STOP_SECONDS_MAX)
            self.assertEqual([], [error for writer in writers for error in writer.errors()][:3])
            self.assertLess(gap, 1000, "an election was waited for; leaderships were not handed over")
            for group in groups:
                self.assertNotEqual(1, cluster.leader(group))
            cluster.restart(1)
            for group, writer in zip(groups, writers):
                cluster.expectAll(group, writer.acknowledged(), via=[1])

    def test_a_machine_that_hangs_does_not_hold_the_stop_up(self):
        with Cluster(hosts=1).start() as cluster:
            cluster.pushKv()
            cluster.create("g")
            cluster.putAll("g", {"a": "b"})
            name = cluster.ask("plugin", "push", BAD)
            name = next(one["name"] for one in cluster.ask("plugin", "list")["plugins"] if one["name"] != "kv")
            cluster.ask("group", "create", "hangs", "--plugin", name, "--set", "applyTimeoutMs=500")
            cluster.run("call", "hangs", "loopForever", "--timeout-ms", 1000)
            waitFor(lambda: any(one["machine"] == "stuck" for one in cluster.show("hangs")["members"]), 20,
                    "a stuck machine")
            began = time.monotonic()
            self.assertEqual(1, cluster.stop(1))
            self.assertLess(time.monotonic() - began, STOP_SECONDS_MAX)
            words = cluster.log(1).split("host 1: stops", 1)[1]
            self.assertIn("group hangs: its machine has not returned", words)
            self.assertTrue(cluster.paths(1, r"^snapshots/.*-\d+/"), "g was not saved, though only the other hangs")

    def test_a_second_signal_ends_it_at_once(self):
        with Cluster(hosts=1).start() as cluster:
            name = cluster.ask("plugin", "push", BAD)
            name = cluster.ask("plugin", "list")["plugins"][0]["name"]
            cluster.ask("group", "create", "hangs", "--plugin", name, "--set", "applyTimeoutMs=500")
            cluster.run("call", "hangs", "loopForever", "--timeout-ms", 1000)
            cluster.signal(1, signal.SIGTERM)
            waitFor(lambda: "host 1: stops" in cluster.log(1), 5, "a log line of the stop")
            began = time.monotonic()
            cluster.signal(1, signal.SIGTERM)
            self.assertEqual(1, cluster.children[1].wait(5))
            self.assertLess(time.monotonic() - began, 1)
            self.assertNotIn("host 1: stopped", cluster.log(1))


if __name__ == "__main__":
    unittest.main()
