# Machines that keep their state on disk: killed under load, damaged, rebuilt, upgraded, within a quota.
import os
import random
import re
import shutil
import unittest

from adder import Adder
from cluster import BUILD, ROUNDS, Cluster, waitFor
from ledgers import Ledgers

PLUGINS = {version: os.path.join(BUILD, "test-plugins", f"{name}.so") for version, name in
           (("1.0.0", "ledger_disk"), ("1.1.0", "ledger_disk_next"), ("1.2.0", "ledger_disk_other_layout"))}
ARCHIVE = os.path.join(BUILD, "plugins", "archive.so")
BLOCK = 65536


class OnDisk(Ledgers, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        for file in (*PLUGINS.values(), ARCHIVE):
            cls.cluster.ask("plugin", "push", file)

    def create(self, group, *options):
        self.cluster.ask("group", "create", group, "--plugin", "ledger-disk@1.0.0", "--set", f"snapshotEveryBytes={BLOCK}",
                         "--set", "keepEntries=20", "--set", "digestEveryEntries=500", *options)
        return self.cluster.show(group)["id"]

    def begun(self, group, n):
        """Where the machine on disk stood at each start of that host."""
        return [int(at) for at in re.findall(rf"group {group}: its machine on disk stands at (\d+), and goes on from there",
                                             self.cluster.log(n))]

    def test_killed_under_load(self):
        identity = self.create("killed")
        adders = [Adder(self.cluster, "killed", f"a{n}", inFlight=50, pause=0.001) for n in range(2)]
        for one in adders:
            one.waitMore(600)
        waitFor(lambda: all(one.get("durableIndex", 0) > 0 and one["firstIndex"] > 1
                            for one in self.members("killed").values()), 20,
                "every replica durable, and its log cut off behind that")
        dice = random.Random(20)
        for turn in range(2 * ROUNDS):
            host = self.cluster.numbers[turn % 3]
            adders[0].waitMore(1 + dice.randrange(300))
            before = self.members("killed")[host]
            self.assertLessEqual(before["firstIndex"], before["durableIndex"] + 1)
            self.cluster.kill(host)
            adders[1].waitMore(100)
            self.cluster.restart(host)
            # What was durable is what it goes on from.
            self.assertGreaterEqual(self.begun("killed", host)[-1], before["durableIndex"])
            self.assertGreater(self.begun("killed", host)[-1], 1)
        pipes = [one.end() for one in adders]
        self.level("killed")
        # All at once, and again from what each has kept.
        for host in self.cluster.numbers:
            self.cluster.kill(host)
        self.cluster.spawnAll()
        self.level("killed")
        self.once("killed", *pipes)
        # A stop in order leaves nothing to replay.
        host = self.cluster.numbers[-1]
        applied = self.members("killed")[host]["applied"]
        self.assertEqual(0, self.cluster.stop(host))
        self.cluster.restart(host)
        self.assertGreaterEqual(self.begun("killed", host)[-1], applied)
        self.cluster.ask("group", "remove", "killed")
        waitFor(lambda: not any(self.places(n, identity) for n in self.cluster.numbers), 20, "the removed group's places gone")

    # ---- what is damaged

    def places(self, n, identity):
        return {os.path.dirname(path) for path in self.cluster.paths(n, rf"^machines/{identity}-\d+/\d+/")}

    def spoil(self, n, identity):
        """Bytes in the middle of what says which files there are."""
        for path in self.cluster.paths(n, rf"^machines/{identity}-\d+/\d+/MANIFEST"):
            with open(self.cluster.state(n, path), "r+b") as file:
                file.seek(30)
                file.write(b"damage")

    def loseCurrent(self, n, identity):
        for path in self.cluster.paths(n, rf"^machines/{identity}-\d+/\d+/CURRENT$"):
            os.remove(self.cluster.state(n, path))

    def loseAll(self, n, identity):
        for kind in ("machines", "snapshots"):
            for name in os.listdir(self.cluster.state(n, kind)):
                if name.startswith(f"{identity}-"):
                    shutil.rmtree(self.cluster.state(n, kind, name))

    def test_damaged_and_rebuilt(self):
        identity = self.create("damaged")
        adder = Adder(self.cluster, "damaged", "a", inFlight=50, pause=0.001)
        adder.waitMore(1000)
        pipe = adder.end()
        self.level("damaged")
        third = next(n for n in self.cluster.numbers if n != self.cluster.leader("damaged"))
        waitFor(lambda: self.members("damaged")[third]["firstIndex"] > 1, 20, "the log cut off")
        for damage, says in ((self.spoil, "Corruption"), (self.loseCurrent, "CURRENT is missing"),
                             (self.loseAll, "nothing is left of its machine on disk")):
            with self.subTest(damage.__name__):
                self.cluster.kill(third)
                damage(third, identity)
                self.cluster.restart(third)
                fault = waitFor(lambda: self.members("damaged")[third].get("fault"), 20, "the damage said")
                self.assertIn(says, fault)
                self.assertIn(f"flotilla group rebuild damaged --on {third}", fault)
                self.assertIn(f"group damaged: {fault.split(': ', 1)[1]}", self.cluster.log(third))
                # It serves nothing: neither what it has lost nor an empty state.
                asked = self.cluster.run("call", "damaged", "get", "key=", "--stale-ms", 600000, "--timeout-ms", 3000,
                                         "--json", via=[third])
                if asked.code == 0:
                    self.assertEqual(len(pipe.asked), int(asked.json["sum"]), "forwarded to one that is sound")
                self.cluster.ask("group", "rebuild", "damaged", "--on", third)
                waitFor(lambda: self.members("damaged")[third]["ready"], 30, "the third host rebuilt")
                self.level("damaged")
        self.once("damaged", pipe)

    def test_away_for_longer_than_the_log(self):
        identity = self.create("away")
        adder = Adder(self.cluster, "away", "a", inFlight=50, pause=0.001)
        adder.waitMore(500)
        third = next(n for n in self.cluster.numbers if n != self.cluster.leader("away"))
        others = [n for n in self.cluster.numbers if n != third]

        def comesBack(damage):
            self.cluster.kill(third)
            damage(third, identity)
            last = self.members("away", others)[others[0]]["lastIndex"]
            waitFor(lambda: all(self.members("away", others)[n]["firstIndex"] > last + 1 for n in others), 60,
                    "the others' logs cut off")
            self.cluster.restart(third)
            waitFor(lambda: self.members("away")[third]["ready"] and
                    self.members("away")[third]["snapshotIndex"] > last, 30, "a snapshot there")
            # Into a fresh place; the one before goes.
            waitFor(lambda: len(self.places(third, identity)) == 1, 20, "the place before gone")

        comesBack(lambda *_: None)
        # What was damaged meanwhile is said, and the snapshot that comes anyway mends it.
        before = len(self.cluster.log(third))
        comesBack(self.spoil)
        self.assertRegex(self.cluster.log(third)[before:], rf"group away: machine .*Corruption.*rebuild away --on {third}")
        pipe = adder.end()
        self.level("away")
        self.once("away", pipe)

    # ---- versions and quotas

    def test_upgrade_opens_the_same_rows(self):
        self.create("moved")
        adder = Adder(self.cluster, "moved", "a", inFlight=50, pause=0.001)
        adder.waitMore(300)
        upgrade = self.cluster.run("group", "upgrade", "moved", "--plugin", "ledger-disk@1.1.0", "--json")
        self.assertEqual(0, upgrade.code, upgrade)
        refused = self.cluster.run("group", "upgrade", "moved", "--plugin", "ledger-disk@1.2.0", "--json")
        self.assertEqual(1, refused.code, refused)
        self.assertIn("what is on disk is not migrated", refused.error["text"])
        adder.waitMore(300)
        pipe = adder.end()
        for host in self.cluster.numbers:
            self.cluster.kill(host)
        self.cluster.spawnAll()
        self.level("moved")
        self.once("moved", pipe)
        self.assertEqual("1.1.0", self.cluster.show("moved")["plugin"]["version"])

    def test_a_quota_of_memory_counts_none_of_what_is_on_disk(self):
        self.cluster.ask("group", "create", "large", "--plugin", "archive", "--set", "memoryBytesMax=262144")
        held = {f"key-{n}": "v" * BLOCK for n in range(160)}
        self.cluster.putAll("large", held)
        self.cluster.expectAll("large", held)
        self.assertEqual("", self.cluster.show("large")["members"][0].get("refuses", ""))


if __name__ == "__main__":
    unittest.main()
