# The leader of some of eight busy groups dies: those resume in time, the others notice nothing.
import time
import unittest

from cluster import ELECTION_TIMEOUT_MS, ROUNDS, Cluster, Writer

GROUPS = [f"busy-{number}" for number in range(1, 9)]
OTHERS_GAP_MS_MAX = 500


class LeaderKill(unittest.TestCase):
    def test_its_groups_resume_and_the_others_go_on(self):
        with Cluster().start() as cluster:
            cluster.pushKv()
            for group in GROUPS:
                cluster.create(group)
            for turn in range(ROUNDS):
                victim = turn % 3 + 1
                self.round(cluster, victim, f"turn-{turn}")
                cluster.restart(victim)

    def round(self, cluster, victim, prefix):
        for number, group in enumerate(GROUPS):
            wanted = cluster.numbers[number % len(cluster.numbers)]
            if cluster.leader(group) != wanted:
                cluster.transfer(group, wanted)
        writers = {group: Writer(cluster, group, prefix=prefix) for group in GROUPS}
        for writer in writers.values():
            writer.waitMore(100)
        led = {group for group in GROUPS if cluster.leader(group) == victim}
        self.assertTrue(led)
        self.assertLess(len(led), len(GROUPS))

        killed = time.monotonic()
        cluster.kill(victim)
        for writer in writers.values():
            writer.waitMore(200)
        for writer in writers.values():
            writer.end()

        for group, writer in writers.items():
            gap = writer.longestGapMs(after=killed)
            print(f"{group}: led by the victim: {group in led}, longest gap {gap:.0f} ms", flush=True)
            self.assertEqual([], writer.errors()[:3], group)
            limit = 3 * ELECTION_TIMEOUT_MS if group in led else OTHERS_GAP_MS_MAX
            self.assertLessEqual(gap, limit, f"{group}, led by the victim: {group in led}")
        for group, writer in writers.items():
            cluster.expectAll(group, writer.acknowledged())


if __name__ == "__main__":
    unittest.main()
