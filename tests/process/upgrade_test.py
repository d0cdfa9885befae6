# A group changes its plugin at one entry of its log: under load, with hosts killed, and back again.
import os
import random
import re
import shutil
import threading
import unittest

from adder import Adder
from cluster import BUILD, Cluster, waitFor
from ledgers import Ledgers

PLUGINS = {version: os.path.join(BUILD, "test-plugins", f"{name}.so") for version, name in
           (("1.0.0", "ledger"), ("1.1.0", "ledger_moves"), ("1.2.0", "ledger_cannot"),
            ("1.3.0", "ledger_crashes"), ("1.4.0", "ledger_turns"))}


class Versions(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)

    def path(self, n):
        return self.cluster.state(n, "host.id")

    def formats(self):
        return {open(self.path(n), encoding="ascii").read().splitlines()[0] for n in self.cluster.numbers}

    def known(self, n):
        return re.findall(r"every host knows version (\d+)", self.cluster.log(n))

    def test_a_disk_says_that_older_builds_cannot_read_it_before_they_cannot(self):
        self.cluster.spawn(3, "--init")  # and it waits for the others
        waitFor(lambda: os.path.exists(self.path(3)), 20, "host 3 has its host.id")
        shutil.copy(self.path(3), self.path(3) + ".before")
        self.cluster.start()
        for n in self.cluster.numbers:
            waitFor(lambda n=n: "6" in self.known(n), 20, f"host {n} knows that all others know")
        self.assertEqual({"format 2"}, self.formats())

        # As a build before left it: 6 is not known here until the disk says so again.
        before = len(self.known(3))
        self.cluster.kill(3)
        os.replace(self.path(3) + ".before", self.path(3))
        self.cluster.restart(3)
        waitFor(lambda: "6" in self.known(3)[before:], 20, "host 3 knows it again")
        self.assertEqual(["5", "6"], self.known(3)[before:][-2:])
        self.assertEqual({"format 2"}, self.formats())


class Upgrade(Ledgers, unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster().start()
        self.addCleanup(self.cluster.close)

    def push(self, *versions):
        for version in versions:
            self.cluster.ask("plugin", "push", PLUGINS[version])

    def upgrade(self, group, version, *options):
        return self.cluster.run("group", "upgrade", group, "--plugin", f"ledger@{version}", "--json", *options)

    def test_under_load_with_every_host_killed(self):
        self.push("1.0.0", "1.1.0")
        self.cluster.ask("group", "create", "kept", "--plugin", "ledger@1.0.0", "--set", "snapshotEveryBytes=262144",
                         "--set", "keepEntries=100", "--set", "digestEveryEntries=200")
        adders = [Adder(self.cluster, "kept", f"a{n}") for n in range(3)]
        for one in adders:
            one.waitMore(200)
        dice = random.Random(20)
        done = []
        for turn, host in enumerate(self.cluster.numbers * 2):
            version = ("1.1.0", "1.0.0")[turn % 2]
            command = threading.Thread(target=lambda: done.append(self.upgrade("kept", version, "--timeout-ms", 20000)))
            command.start()
            adders[0].waitMore(1 + dice.randrange(400))  # wherever the upgrade is by then
            self.cluster.kill(host)
            adders[1].waitMore(50)
            self.cluster.restart(host)
            command.join()
            # Refused because a host was gone, or left in the middle: given again it ends.
            waitFor(lambda: self.upgrade("kept", version).code == 0, 40, f"ledger@{version} with host {host} back")
            self.assertEqual(version, self.cluster.show("kept")["plugin"]["version"])
            adders[2].waitMore(100)
        pipes = [one.end() for one in adders]
        moments = sorted(moment for one in adders for moment in one.pipe.moments)
        rate = len(moments) / (moments[-1] - moments[0])
        print(f"{len(moments)} adds, {rate:.0f}/s; upgrades at first try: {sum(one.code == 0 for one in done)} of {len(done)}")
        self.level("kept")
        self.once("kept", *pipes)
        # The log once more, across every boundary that it still holds.
        for host in self.cluster.numbers:
            self.cluster.kill(host)
        self.cluster.spawnAll()
        self.level("kept")
        self.once("kept", *pipes)
        self.assertFalse([one for one in self.cluster.show("kept")["members"] if "quarantinedAt" in one])

    def test_what_does_not_fit_leaves_the_version_before(self):
        self.push(*PLUGINS)
        self.cluster.pushKv()
        self.cluster.ask("group", "create", "kept", "--plugin", "ledger@1.0.0")
        self.assertEqual(5, int(self.cluster.ask("call", "kept", "add", "key=a", "by=5")["sum"]))
        pids = [self.cluster.children[n].pid for n in self.cluster.numbers]
        for version, words in (("1.2.0", "cannot: this version migrates nothing"),
                               ("1.3.0", "crashed while its machine loaded what the one before has saved (SIGABRT)")):
            refused = self.upgrade("kept", version)
            self.assertEqual((1, "badRequest"), (refused.code, refused.error["code"]), refused)
            self.assertIn(words, refused.error["text"])
            self.assertIn("ledger@1.0.0 goes on", refused.error["text"])
        for plugin, words in (("kv", "kv is another one"), ("ledger@9.9.9", "is not known; push it first")):
            refused = self.cluster.run("group", "upgrade", "kept", "--plugin", plugin, "--json")
            self.assertEqual(1, refused.code)
            self.assertIn(words, refused.error["text"])
        self.assertEqual("1.0.0", self.cluster.show("kept")["plugin"]["version"])
        self.assertEqual(1, self.cluster.run("call", "kept", "take", "key=a", "by=1").code)

        upgraded = self.upgrade("kept", "1.1.0")
        self.assertEqual((0, False), (upgraded.code, upgraded.json["existed"]), upgraded)
        self.assertEqual(3, int(self.cluster.ask("call", "kept", "take", "key=a", "by=2")["sum"]))
        self.cluster.ask("call", "kept", "add", "key=b", "by=1", "note=hello")
        self.assertEqual("hello", self.cluster.ask("call", "kept", "get", "key=b")["note"])
        self.assertTrue(self.upgrade("kept", "1.1.0").json["existed"])
        refused = self.upgrade("kept", "1.4.0")
        self.assertEqual(1, refused.code)
        self.assertIn("method take was a command and is a query now", refused.error["text"])
        # One host away: nobody is left behind.
        self.cluster.kill(3)
        refused = self.cluster.run("group", "upgrade", "kept", "--plugin", "ledger@1.0.0", "--json", via=[1, 2])
        self.assertEqual(1, refused.code, refused)
        self.assertIn("host 3 does not answer", refused.error["text"])
        self.cluster.restart(3)
        waitFor(lambda: self.upgrade("kept", "1.0.0").code == 0, 20, "back to 1.0.0")
        self.assertEqual(1, self.cluster.run("call", "kept", "take", "key=a", "by=1").code)
        self.assertEqual(3, int(self.cluster.ask("call", "kept", "get", "key=a")["sum"]))
        self.assertEqual(pids[:2], [self.cluster.children[n].pid for n in (1, 2)])
        self.level("kept")
        for host in self.cluster.numbers:
            self.cluster.kill(host)
        self.cluster.spawnAll()
        self.level("kept")
        self.assertEqual(3, int(self.cluster.ask("call", "kept", "get", "key=a")["sum"]))
        self.assertEqual("1.0.0", self.cluster.show("kept")["plugin"]["version"])


if __name__ == "__main__":
    unittest.main()
