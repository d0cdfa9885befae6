# Two hundred groups come and go while hosts die: exactly the wanted ones remain, and nothing of the others.
import os
import random
import re
import threading
import time
import unittest

from cluster import ROUNDS, Cluster, waitFor

GROUPS = 200
WORKERS = 4


class Churn(unittest.TestCase):
    def until(self, cluster, *arguments):
        """Repeats an idempotent command until it is done; hosts die under it."""
        until = time.monotonic() + 60
        while True:
            done = cluster.run(*arguments, "--timeout-ms", 10000, "--json")
            if done.code == 0:
                return done.json
            if done.code not in (3, 4) and done.error["code"] not in ("unavailable", "notLeader", "timeout"):
                raise AssertionError(done)
            if time.monotonic() > until:
                raise AssertionError(f"not done in 60 s: {done}")

    def killing(self, cluster, ended, deaths):
        """Kills one host at a time and starts it again, so that two are always there."""
        chance = random.Random(7)
        while not ended.is_set():
            n = chance.choice(cluster.numbers)
            cluster.kill(n)
            cluster.restart(n)
            deaths.append(n)

    def test_only_the_wanted_groups_remain(self):
        with Cluster().start() as cluster:
            cluster.pushKv()
            for turn in range(ROUNDS):
                self.round(cluster, f"t{turn}")

    def round(self, cluster, prefix):
        ended, deaths, failures, self.snapshots = threading.Event(), [], [], []
        killer = threading.Thread(target=self.killing, args=(cluster, ended, deaths))
        names = [f"{prefix}-{number}" for number in range(GROUPS)]
        removed = names[1::2]

        def work(mine):
            try:
                for name in mine:
                    self.until(cluster, "group", "create", name, "--plugin", "kv")
                    if name in removed:
                        self.withSnapshots(cluster, name)
                        self.until(cluster, "group", "remove", name)
            except Exception as error:  # shown by the test's own thread
                failures.append(error)

        workers = [threading.Thread(target=work, args=(names[i::WORKERS],)) for i in range(WORKERS)]
        killer.start()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        ended.set()
        killer.join()
        self.assertEqual([], failures)
        self.assertGreaterEqual(len(deaths), 3, "hardly anything died")
        print(f"{len(names)} groups created, {len(removed)} removed, {len(deaths)} hosts killed, "
              f"{sum(self.snapshots)} snapshots of removed groups")
        self.assertGreaterEqual(sum(self.snapshots), len(removed) // 2, "removed groups left nothing to find")
        wanted = {name for name in names if name not in removed}
        self.settled(cluster, wanted)
        self.assertEqual([0, 0, 0], cluster.stopAll())  # each replica's snapshot is saved
        for n in cluster.numbers:
            self.assertLessEqual(len(wanted), len(self.directories(cluster, n)), f"directories of host {n}")
        cluster.spawnAll()  # a record that was left behind would come to life
        self.settled(cluster, wanted)
        self.reborn(cluster, removed[0], names[0])
        for name in names:
            self.until(cluster, "group", "remove", name)
        self.settled(cluster, set())
        self.assertEqual([0, 0, 0], cluster.stopAll())
        cluster.spawnAll()
        self.settled(cluster, set())

    def withSnapshots(self, cluster, name):
        """Gives a group something to leave behind; a host that dies meanwhile may prevent it."""
        cluster.run("call", name, "put", "key=a", "value=b", "--timeout-ms", 5000)
        done = cluster.run("group", "snapshot", name, "--timeout-ms", 5000, "--json")
        self.snapshots.append(done.code == 0)

    def listed(self, cluster, *options):
        return {one["name"]: one for one in cluster.ask("group", "list", *options)["groups"] if one["id"] != 0}

    def settled(self, cluster, wanted):
        """The list, each host's list and each host's directories hold the wanted groups and no other."""
        waitFor(lambda: set(self.listed(cluster)) == wanted, 30, f"{len(wanted)} groups listed")
        ids = {one["id"] for one in self.listed(cluster).values()} | {0}
        for n in cluster.numbers:
            waitFor(lambda n=n: set(self.listed(cluster, "--on", n)) == wanted, 30, f"host {n}'s groups")
            waitFor(lambda n=n: cluster.ask("host", "show", n)["replicas"] == len(wanted) + 1, 30,
                    f"{len(wanted)} replicas and the catalog's on host {n}")
            waitFor(lambda n=n: self.directories(cluster, n) <= ids, 30,
                    f"no directory of a removed group on host {n}")

    def directories(self, cluster, n):
        """The ids of the groups that have a directory on a host."""
        found = set()
        place = cluster.state(n, "snapshots")
        for name in os.listdir(place):
            match = re.fullmatch(r"(\d+)-\d+", name)
            self.assertTrue(match, f"{place}/{name}")
            found.add(int(match.group(1)))
        return found

    def reborn(self, cluster, gone, alive):
        """A name that is used again begins empty; one with an old client's group answers groupRemoved."""
        cluster.putAll(alive, {"old": "of the first"})
        before = cluster.show(alive)
        cluster.ask("group", "remove", alive)
        self.until(cluster, "group", "create", alive, "--plugin", "kv")
        after = cluster.show(alive)
        self.assertNotEqual(before["id"], after["id"])
        self.assertEqual({"old": None}, cluster.getAll(alive, ["old"]))
        again = cluster.ask("group", "remove", gone)
        self.assertIsInstance(again, dict)


class WithoutCatalog(unittest.TestCase):
    def test_groups_serve_while_the_catalog_has_no_quorum(self):
        with Cluster().start() as cluster:
            cluster.pushKv()
            cluster.create("alone", "--on", "1")
            cluster.putAll("alone", {"a": "before"}, via=[1])
            for n in (2, 3):
                cluster.kill(n)
            cluster.putAll("alone", {"b": "without the others"}, via=[1])
            cluster.kill(1)
            cluster.spawn(1)
            waitFor(lambda: cluster.run("call", "alone", "get", "key=a", "--json", via=[1]).code == 0, 30,
                    "the group served by the one host that is there")
            cluster.expectAll("alone", {"a": "before", "b": "without the others"}, via=[1])
            cluster.putAll("alone", {"c": "and after a restart"}, via=[1])
            refused = cluster.run("group", "create", "new", "--plugin", "kv", "--timeout-ms", 2000, "--json", via=[1])
            self.assertIn(refused.code, (1, 4), refused)
            # What it has not heard of may still be there: without the catalog nobody can say that it is not.
            for word in (("group", "show", "new"), ("call", "new", "get", "key=a"), ("group", "remove", "id:900")):
                unsure = cluster.run(*word, "--timeout-ms", 2000, "--json", via=[1])
                self.assertNotEqual(0, unsure.code, unsure)
                self.assertIn(unsure.error["code"], ("unavailable", "timeout"), unsure)
            for n in (2, 3):
                cluster.spawn(n)
            for n in (2, 3):
                cluster.waitReady(n)
            cluster.create("new")
            self.assertEqual("noSuchGroup", cluster.run("group", "show", "other", "--json").error["code"])


if __name__ == "__main__":
    unittest.main()
