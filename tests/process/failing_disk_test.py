# Machines whose disk fails or has no room: one replica stops and says what to do, or goes on once it can; nothing is lost.
import errno
import mmap
import os
import re
import struct
import subprocess
import unittest

from adder import Adder
from cluster import BUILD, Cluster, waitFor
from ledgers import Ledgers

FAILING_DISK = os.path.join(BUILD, "tests", "failing_disk.so")
LEDGER = os.path.join(BUILD, "test-plugins", "ledger_disk.so")
ARCHIVE = os.path.join(BUILD, "plugins", "archive.so")
BLOCK = 65536
WRITES, SYNCS, READS = 1, 2, 4
RETRY, REBUILD = "flotilla group retry", "flotilla group rebuild"


class Disk:
    """A host's disk, which fails from now on as the test says: see failing_disk.c."""

    ORDERS = struct.Struct("=iIII112s128s")

    def __init__(self, path):
        self.path = path
        with open(path, "w+b") as file:
            file.write(bytes(self.ORDERS.size))
            file.flush()
            self.page = mmap.mmap(file.fileno(), self.ORDERS.size)

    def fail(self, calls, below="/machines/", ending="", after=0):
        self.mend()
        self.page[4:] = self.ORDERS.pack(0, calls, after, 0, below.encode(), ending.encode())[4:]
        self.page[:4] = struct.pack("=i", errno.EIO)

    def mend(self):
        self.page[:4] = struct.pack("=i", 0)

    def failed(self):
        return struct.unpack("=I", self.page[12:16])[0]

    def before(self):
        return ("env", f"LD_PRELOAD={FAILING_DISK}", f"FAILING_DISK={self.path}")


class FailingDisk(Ledgers, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.close)
        cls.disks = {n: Disk(os.path.join(cls.cluster.dir, f"disk-{n}")) for n in cls.cluster.numbers}
        for n in cls.cluster.numbers:
            cls.cluster.spawn(n, "--init", before=cls.disks[n].before())
        for n in cls.cluster.numbers:
            cls.cluster.waitReady(n)
        for plugin in (LEDGER, ARCHIVE):
            cls.cluster.ask("plugin", "push", plugin)

    def setUp(self):
        self.addCleanup(lambda: [disk.mend() for disk in self.disks.values()])

    def restart(self, n):
        self.cluster.spawn(n, before=self.disks[n].before())
        self.cluster.waitReady(n)

    def create(self, group, plugin="ledger-disk"):
        self.cluster.ask("group", "create", group, "--plugin", plugin, "--set", f"snapshotEveryBytes={BLOCK}",
                         "--set", "keepEntries=20", "--set", "digestEveryEntries=500")

    def fault(self, group, n, *words):
        """It stops, and says what was found and what to do; the others have not stopped."""
        def look():
            found = self.members(group)[n].get("fault") or ""
            return found if all(word in found for word in words) else ""
        found = waitFor(look, 30, f"host {n} says of {group} {words}")
        self.assertIn("Input/output error", found)
        for word in (RETRY, REBUILD):
            self.assertEqual(1, found.count(word), found)
        self.assertGreater(self.disks[n].failed(), 0)
        self.assertEqual([], [one["host"] for one in self.members(group).values() if one.get("fault") and one["host"] != n])
        return found

    def ready(self, group, n):
        waitFor(lambda: self.members(group)[n]["ready"], 30, f"{group} ready on host {n}")

    # What is to be done, as the fault's text has it, once the disk is well.

    def retry(self, group, n):
        # A host that has just started may not be reached yet by the one that is asked; and a snapshot that the leader sent
        # meanwhile may have mended it.
        def look():
            tried = self.cluster.ask("group", "retry", group)["replicas"]
            return tried > 0 or not self.members(group)[n].get("fault")
        waitFor(look, 20, f"a replica of {group} that tries again")

    def rebuild(self, group, n):
        self.cluster.ask("group", "rebuild", group, "--on", n)

    def restarted(self, _, n):
        self.cluster.kill(n)
        self.restart(n)

    def test_writes_fail_under_load(self):
        self.create("d")
        adder = Adder(self.cluster, "d", "a", inFlight=50, pause=0.001)
        adder.waitMore(300)
        turns = ((SYNCS, self.retry), (WRITES, self.rebuild), (SYNCS, self.restarted))
        for turn, (calls, back) in enumerate(turns):
            with self.subTest(calls=calls, back=back.__name__):
                leader = self.cluster.leader("d")
                host = leader if turn % 2 == 0 else next(n for n in self.cluster.numbers if n != leader)
                self.disks[host].fail(calls, after=turn)
                self.fault("d", host)
                adder.waitMore(100)
                # It is no use while the disk fails, and says so again.
                failed = self.disks[host].failed()
                self.retry("d", host)
                waitFor(lambda: self.disks[host].failed() > failed, 20, "it is tried again")
                self.fault("d", host)
                self.disks[host].mend()
                back("d", host)
                self.ready("d", host)
                adder.waitMore(50)
        pipe = adder.end()
        self.level("d")
        self.once("d", pipe)

    def test_tables_fail(self):
        """What LevelDB does by itself beside the writes, and what a start reads."""
        self.create("t", "archive")
        held = {}

        def put(count):
            more = {f"k{n}": str(n) * (BLOCK // len(str(n))) for n in range(len(held), len(held) + count)}
            self.cluster.putAll("t", more)
            held.update(more)
        put(1)
        third = next(n for n in self.cluster.numbers if n != self.cluster.leader("t"))
        for ending, below in ((".ldb", "/machines/"), ("", "/MANIFEST-")):
            with self.subTest(ending=ending, below=below):
                self.disks[third].fail(SYNCS, below, ending)
                waitFor(lambda: put(8) or self.members("t")[third].get("fault"), 40, "a fault")
                self.fault("t", third)
                self.disks[third].mend()
                self.retry("t", third)
                self.ready("t", third)
                self.level("t")
        # A start that cannot read it: the replica stands still, all others of the host start.
        self.cluster.kill(third)
        self.disks[third].fail(READS, ending=".ldb")
        self.restart(third)
        self.fault("t", third)
        self.disks[third].mend()
        self.retry("t", third)
        self.ready("t", third)
        self.level("t")
        self.cluster.expectAll("t", held)


class FullMachines(Ledgers, unittest.TestCase):
    """The disk of one host's machines alone has no room: its log's never lacks any."""

    FULL = 3

    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)
        self.place = self.cluster.state(self.FULL, "machines")
        os.makedirs(self.place)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "flotilla-test", self.place],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.skipTest(f"no tmpfs can be mounted here: {done.stderr.strip()}")
        self.cluster.mounts.append(self.place)
        self.cluster.start()
        self.cluster.ask("plugin", "push", LEDGER)

    def create(self, group):
        self.cluster.ask("group", "create", group, "--plugin", "ledger-disk", "--set", f"snapshotEveryBytes={BLOCK}",
                         "--set", "keepEntries=20", "--set", "digestEveryEntries=500")

    def fill(self):
        with open(os.path.join(self.place, "filler"), "wb", buffering=0) as file:
            for piece in (BLOCK, 4096):
                try:
                    while True:
                        file.write(bytes(piece))
                except OSError as full:
                    self.assertEqual(errno.ENOSPC, full.errno)

    def empty(self):
        os.remove(os.path.join(self.place, "filler"))

    def durable(self, group):
        return self.members(group)[self.FULL].get("durableIndex", 0)

    def test_none_while_it_runs_and_none_at_a_start(self):
        self.create("d")
        self.cluster.transfer("d", self.FULL)
        adder = Adder(self.cluster, "d", "a", inFlight=50, pause=0.001)
        adder.waitMore(300)
        waitFor(lambda: self.durable("d") > 0, 20, "a machine written")
        self.fill()
        adder.waitMore(200)
        stood = self.durable("d")
        lacks = r"machine .*/machines/.*: (waits for 16 MiB of room|.*No space left)"
        waitFor(lambda: re.search(lacks, self.cluster.run("group", "snapshot", "d", "--timeout-ms", 1000,
                                                          via=[self.FULL]).err), 20, "a machine without room")
        adder.waitMore(200)
        # It goes on with what it has gathered, and it is written once there is room, by itself.
        self.assertEqual("", self.members("d")[self.FULL].get("fault") or "")
        self.empty()
        waitFor(lambda: self.durable("d") > stood + 100, 20, "the machine written once there is room")

        self.cluster.kill(self.FULL)
        self.fill()
        adder.waitMore(100)
        self.cluster.restart(self.FULL)
        self.create("fresh")

        def stopped(group):
            said = self.members(group)[self.FULL].get("fault") or ""
            return "No space left on device; it goes on once there is room" in said
        waitFor(lambda: stopped("d") and stopped("fresh"), 20, "who has no room to start says so")
        adder.waitMore(100)
        self.cluster.ask("call", "fresh", "add", "key=a", "by=1")
        self.assertTrue(stopped("d") and stopped("fresh"))
        # The others' logs are cut off by now, and what is sent instead finds no room either: now and then, and nothing piles up.
        waitFor(lambda: "snapshot at " in self.cluster.log(self.FULL) and "not loaded" in self.cluster.log(self.FULL), 20,
                "a snapshot that finds no room")
        places = [name for group in os.listdir(self.place) if group != "filler"
                  for name in os.listdir(os.path.join(self.place, group))]
        self.assertLessEqual(len(places), 3, places)
        self.assertLessEqual(self.cluster.log(self.FULL).count("not loaded"), 6)
        self.empty()
        for group in ("d", "fresh"):
            waitFor(lambda: self.members(group)[self.FULL]["ready"], 30, f"{group} goes on by itself")
        pipe = adder.end()
        self.cluster.ask("call", "fresh", "add", "key=a", "by=1")
        self.assertEqual(2, int(self.cluster.ask("call", "fresh", "get", "key=a")["sum"]))
        self.level("d")
        self.once("d", pipe)


if __name__ == "__main__":
    unittest.main()
