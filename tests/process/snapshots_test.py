# A replica that needs a snapshot: over a connection that is cut again and again, and with most of it there already.
import base64
import os
import random
import re
import unittest

from cluster import Cluster, freePorts, waitFor
from cuts import Way, putWay

GROUP = "large"
THIRD = 3
CUTS = 10
KEYS = 200
VALUE_BYTES = 75_000  # 100,000 in base64: 20 MB in all
BYTES_PER_SECOND = 4 << 20  # so that a transfer lasts long enough to be looked at


class Snapshots(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster(tail=f"[storage]\nsnapshot_bytes_per_second = {BYTES_PER_SECOND}\n")
        self.addCleanup(self.cluster.close)
        port = freePorts(1)[0]
        behind = putWay(self.cluster, THIRD, port)
        self.way = Way(port, behind)
        self.addCleanup(self.way.close)
        self.cluster.start()
        self.cluster.pushKv()
        self.cluster.create(GROUP, "--set", "keepEntries=0", "--set", f"snapshotEveryBytes={64 << 30}")
        self.id = self.cluster.show(GROUP)["id"]
        self.dice = random.Random(5)

    def some(self, names):
        return {name: base64.b64encode(self.dice.randbytes(VALUE_BYTES)).decode() for name in names}

    def save(self):
        """A snapshot on the leader, which is not the third host; its size."""
        if self.cluster.leader(GROUP) == THIRD:
            self.cluster.transfer(GROUP, 1)
        leader = self.cluster.leader(GROUP)
        self.cluster.ask("group", "snapshot", GROUP)
        files = self.files(leader, r"\d+-\d+\.snap$")
        newest = max(files, key=lambda path: int(re.search(r"/(\d+)-\d+\.snap$", path).group(1)))
        return os.path.getsize(self.cluster.state(leader, newest))

    def files(self, n, name):
        return self.cluster.paths(n, rf"^snapshots/{self.id}-\d+/{name}")

    def caughtUp(self):
        members = {one["host"]: one for one in self.cluster.show(GROUP, via=[1, 2])["members"]}
        leader = members[self.cluster.leader(GROUP)]
        return members[THIRD]["ready"] and members[THIRD]["applied"] >= leader["applied"]

    def progress(self):
        """Bytes of the snapshot that the third host has, and in all; None where none is on its way."""
        shown = self.cluster.show(GROUP, via=[1, 2])
        third = next(one for one in shown["members"] if one["host"] == THIRD)
        return third.get("snapshotSentBytes"), third.get("snapshotTotalBytes")

    def arrivals(self):
        """(received, kept, copied) chunks of each snapshot of the group that has come whole."""
        found = re.findall(rf"group id:{self.id}: snapshot at \d+ is here: chunks received=(\d+) kept=(\d+) copied=(\d+)",
                           self.cluster.log(THIRD))
        return [tuple(map(int, one)) for one in found]

    def test_cut_ten_times_and_then_mostly_there(self):
        cluster, way = self.cluster, self.way
        if cluster.leader(GROUP) == THIRD:
            cluster.transfer(GROUP, 1)
        cluster.kill(THIRD)
        pairs = self.some(f"key-{i}" for i in range(KEYS))
        cluster.putAll(GROUP, pairs, via=[1, 2])
        size = self.save()
        before = way.bytes
        way.cutEvery(size // (CUTS + 2), CUTS)
        cluster.restart(THIRD)
        waitFor(self.caughtUp, 60, "the third host caught up")
        sent = way.bytes - before
        self.assertEqual(CUTS, way.cuts)
        self.assertLess(sent, 1.3 * size, f"a snapshot of {size} bytes")
        self.assertGreater(sent, 0.9 * size, f"a snapshot of {size} bytes")
        (received, kept, copied), = self.arrivals()
        self.assertGreater(kept, received, "most had come before the last cut")
        self.assertEqual(0, copied)
        self.assertEqual([], self.files(THIRD, r".*(arriving|part)$"))
        cluster.expectAll(GROUP, pairs, via=[THIRD])

        # Half of the keys' neighbourhood is as it was: a few values change.
        cluster.kill(THIRD)
        changed = self.some(f"key-{i}" for i in range(10, 14))
        cluster.putAll(GROUP, changed, via=[1, 2])
        size = self.save()
        before = way.bytes
        cluster.restart(THIRD)
        waitFor(self.caughtUp, 60, "the third host caught up again")
        self.assertLess(way.bytes - before, 0.2 * size, f"a snapshot of {size} bytes")
        _, (received, kept, copied) = self.arrivals()
        self.assertGreater(copied, 5 * received)
        self.assertEqual([], self.files(THIRD, r".*(arriving|part)$"))
        cluster.expectAll(GROUP, {**pairs, **changed}, via=[THIRD])

    def test_what_has_arrived_outlives_the_receiver(self):
        cluster, way = self.cluster, self.way
        if cluster.leader(GROUP) == THIRD:
            cluster.transfer(GROUP, 1)
        cluster.kill(THIRD)
        pairs = self.some(f"key-{i}" for i in range(KEYS))
        cluster.putAll(GROUP, pairs, via=[1, 2])
        size = self.save()
        before = way.bytes
        seen = []
        for part in (0.3, 0.6):
            way.hold(before + part * size)  # the rest waits, however slow we are to look
            cluster.spawn(THIRD)
            waitFor(lambda: way.bytes - before >= part * size, 30, f"{part} of the snapshot sent")
            seen.append(self.progress())
            self.assertIn(f"host {THIRD}: a snapshot is on its way there, ", cluster.run("group", "show", GROUP, via=[1, 2]).out)
            cluster.kill(THIRD)
            way.release()
        for _, total in seen:
            self.assertAlmostEqual(size, total, delta=size / 100)
        self.assertLess(0.15 * size, seen[0][0])
        self.assertLess(seen[0][0], seen[1][0])
        self.assertLess(seen[1][0], size)
        self.assertEqual(1, len(self.files(THIRD, r".*\.arriving$")))
        cluster.restart(THIRD)
        waitFor(self.caughtUp, 60, "the third host caught up")
        self.assertLess(way.bytes - before, 1.6 * size, f"a snapshot of {size} bytes")
        waitFor(lambda: self.progress() == (None, None), 10, "none on its way any more")
        received, kept, _ = self.arrivals()[-1]
        self.assertGreater(kept, received / 4)
        self.assertEqual([], self.files(THIRD, r".*(arriving|part)$"))
        cluster.expectAll(GROUP, pairs, via=[THIRD])



class OneAfterTheOther(unittest.TestCase):
    """What is sent is old by the time it is there: the end of one sending begins the next."""

    def test_the_sender_lives_and_the_receiver_catches_up(self):
        cluster = Cluster(tail="[storage]\ngeneration_bytes = 1048576\n")
        self.addCleanup(cluster.close)
        port = freePorts(1)[0]
        behind = putWay(cluster, THIRD, port)
        way = Way(port, behind)
        self.addCleanup(way.close)
        cluster.start()
        cluster.pushKv()
        cluster.create(GROUP, "--set", "keepEntries=0", "--set", f"snapshotEveryBytes={1 << 20}")
        if cluster.leader(GROUP) == THIRD:
            cluster.transfer(GROUP, 1)
        cluster.kill(THIRD)
        dice = random.Random(5)

        def some(count, size):
            return {f"key-{i}": base64.b64encode(dice.randbytes(size)).decode() for i in range(count)}

        def arrivals():
            return len(re.findall("snapshot at [0-9]+ is here", cluster.log(THIRD)))

        def begins():
            members = {one["host"]: one for one in cluster.show(GROUP, via=[1, 2])["members"]}
            return members[cluster.leader(GROUP)]["firstIndex"]

        first = some(KEYS, VALUE_BYTES)
        cluster.putAll(GROUP, first, via=[1, 2])
        cluster.ask("group", "snapshot", GROUP)
        end = cluster.show(GROUP, via=[1, 2])["members"][0]["applied"]
        before = way.bytes
        way.hold(before + (1 << 20))
        cluster.spawn(THIRD)
        waitFor(lambda: way.bytes > before + (1 << 20), 30, "a snapshot on its way")
        later = {}

        def goneOnTo():
            later.update(some(20, 30_000))
            cluster.putAll(GROUP, later, via=[1, 2])
            return begins() > end + 1
        waitFor(goneOnTo, 30, "a log that begins behind what is being sent")
        way.release()
        waitFor(lambda: arrivals() >= 2, 40, "a snapshot sent after another")
        for host in (1, 2):
            self.assertTrue(cluster.alive(host), f"host {host} has ended")
            self.assertNotIn("did not arrive", cluster.log(host))
        waitFor(lambda: len({one["applied"] for one in cluster.show(GROUP, via=[1, 2])["members"]}) == 1,
                60, "the third host caught up")
        cluster.expectAll(GROUP, {**first, **later}, via=[THIRD])


if __name__ == "__main__":
    unittest.main()
