# What a group or a host is told to be: volumes, learners, timeouts, declared groups, snapshots, one id a name.
import os
import re
import threading
import time
import unittest

from cluster import BUILD, Cluster, Writer, waitFor

DECLARED = f"""
[storage]
volumes = {{ fast = "fast" }}
[plugins]
dirs = ["{os.path.join(BUILD, "plugins")}"]
[[group]]
name = "main"
plugin = "kv"
[[group]]
name = "quick"
plugin = "kv"
on = [1, 2, 3]
options = {{ electionTimeoutMs = 400, heartbeatMs = 50 }}
[[group]]
name = "watched"
plugin = "kv"
on = [1, 2]
learners = [3]
[[group]]
name = "misfit"
plugin = "kv"
config = {{ sped = "1" }}
"""
LEDGER = os.path.join(BUILD, "test-plugins", "ledger.so")


class Settings(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(cluster='default_group = "main"', tail=DECLARED).start()
        cls.addClassCleanup(cls.cluster.close)
        # A host is ready before what its file declares has been made.
        for group in ("main", "quick", "watched"):
            waitFor(lambda: cls.cluster.run("group", "show", group).code == 0, 20, f"the declared group {group}")
            cls.cluster.leader(group)

    def tearDown(self):
        # What one test leaves dead must not fail those after it.
        for n in self.cluster.numbers:
            if not self.cluster.alive(n):
                self.cluster.restart(n)

    def files(self, n, volume):
        place = os.path.join(self.cluster.place(n), volume)
        return {os.path.relpath(os.path.join(folder, name), place)
                for folder, _, names in os.walk(place) for name in names}

    def test_declared_groups_are_there_once(self):
        waitFor(lambda: len(self.cluster.ask("group", "list")["groups"]) >= 3, 20, "the declared groups")
        ids = {}
        for group in ("main", "quick", "watched"):
            self.cluster.putAll(group, {"a": group})
            ids[group] = self.cluster.show(group)["id"]
        self.assertEqual([0, 0, 0], self.cluster.stopAll())
        self.cluster.spawnAll()
        for group, number in ids.items():
            self.cluster.expectAll(group, {"a": group})
            self.assertEqual(number, self.cluster.show(group)["id"])

    def test_a_learner_follows_and_does_not_vote(self):
        self.cluster.putAll("watched", {"b": "seen by the learner"})
        members = {one["host"]: one for one in self.cluster.show("watched")["members"]}
        self.assertEqual({1, 2, 3}, set(members))
        self.assertEqual("learner", members[3]["role"])
        waitFor(lambda: {one["host"]: one for one in self.cluster.show("watched")["members"]}[3]["applied"]
                >= members[self.cluster.leader("watched")]["commit"], 10, "the learner up to date")
        other = 1 if self.cluster.leader("watched") == 2 else 2
        self.cluster.kill(other)
        done = self.cluster.run("call", "watched", "put", "key=c", "value=d", "--timeout-ms", 3000, "--json")
        self.assertNotEqual(0, done.code, "one voter of two and a learner committed a write")
        self.cluster.restart(other)
        self.cluster.putAll("watched", {"d": "with both voters"})

    def test_an_election_timeout_of_its_own(self):
        leader = self.cluster.leader("quick")
        writer = Writer(self.cluster, "quick", "quick")
        writer.waitMore(50)
        killed = time.monotonic()
        self.cluster.kill(leader)
        writer.waitMore(100)
        writer.end()
        gap = writer.longestGapMs(after=killed)
        print(f"electionTimeoutMs 400: writes stood still for {gap:.0f} ms")
        self.assertEqual([], writer.errors()[:3])
        self.assertLessEqual(gap, 3 * 400)
        self.cluster.restart(leader)

    def test_settings_that_do_not_fit_refuse_the_group(self):
        self.cluster.ask("plugin", "push", LEDGER)
        for name, plugin, setting, needed in (
                ("sped", "kv", "sped=1", "config sped: no such key; this plugin knows none"),
                ("many", "ledger", "keysMax=many",
                 'config keysMax "many": needs a whole number from 0 to 4294967295')):
            for via in self.cluster.numbers:
                done = self.cluster.run("group", "create", name, "--plugin", plugin, "--config", setting, "--json",
                                        via=[via])
                self.assertEqual(1, done.code, done)
                self.assertEqual("badRequest", done.error["code"])
                self.assertIn(f"group {name}: ", done.error["text"])
                self.assertIn(needed, done.error["text"])
            self.assertEqual("noSuchGroup", self.cluster.run("group", "show", name, "--json").error["code"])
        self.cluster.ask("group", "create", "many", "--plugin", "ledger", "--config", "keysMax=1")
        self.cluster.ask("call", "many", "add", "key=a", "by=1")
        self.assertEqual("full", self.cluster.run("call", "many", "add", "key=b", "by=1", "--json").error["appCode"])
        refused = waitFor(lambda: next((line for n in self.cluster.numbers for line in self.cluster.log(n).splitlines()
                                        if "group misfit: its [[group]] table is refused" in line), None),
                          20, "the declared group misfit is refused")
        self.assertIn("config sped: no such key", refused)
        self.assertEqual("noSuchGroup", self.cluster.run("group", "show", "misfit", "--json").error["code"])

    def test_a_group_on_another_volume(self):
        before = self.files(1, "fast")
        self.cluster.create("fast", "--set", "volume=fast")
        self.cluster.putAll("fast", {f"k{n}": "v" * 500 for n in range(200)})
        self.cluster.ask("group", "snapshot", "fast")
        added = self.files(1, "fast") - before
        number = self.cluster.show("fast")["id"]
        self.assertTrue(any(re.match(rf"snapshots/{number}-", path) for path in added), added)
        self.assertTrue(any(path.startswith("log/") for path in self.files(1, "fast")))
        self.assertFalse(self.cluster.paths(1, rf"^snapshots/{number}-"))
        refused = self.cluster.run("group", "create", "slow", "--plugin", "kv", "--set", "volume=nowhere", "--json")
        self.assertEqual(1, refused.code, refused)
        self.assertIn("nowhere", refused.error["text"])

    def test_a_snapshot_on_request_and_on_stop(self):
        self.cluster.create("snapped")
        self.cluster.putAll("snapped", {f"k{n}": "v" for n in range(100)})
        self.cluster.ask("group", "snapshot", "snapped")
        shown = self.cluster.show("snapped")
        for one in shown["members"]:
            self.assertGreater(one["snapshotIndex"], 0)
            self.assertEqual(1, len({re.sub(r"/[^/]*$", "", path) for path in
                                     self.cluster.paths(one["host"], rf"^snapshots/{shown['id']}-")}))
        self.cluster.putAll("snapped", {f"l{n}": "w" for n in range(100)})
        applied = {one["host"]: one["applied"] for one in self.cluster.show("snapped")["members"]}
        self.assertEqual(0, self.cluster.stop(2))
        self.cluster.restart(2)
        again = {one["host"]: one for one in self.cluster.show("snapped")["members"]}
        self.assertGreaterEqual(again[2]["snapshotIndex"], min(applied.values()))
        self.cluster.expectAll("snapped", {**{f"k{n}": "v" for n in range(100)}, **{f"l{n}": "w" for n in range(100)}})

    def test_many_creates_of_one_name_give_one_id(self):
        answers = []

        def create(n):
            via = [self.cluster.numbers[n % 3]]
            answers.append(self.cluster.run("group", "create", "wanted", "--plugin", "kv", "--json", via=via))

        threads = [threading.Thread(target=create, args=(n,)) for n in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], [one for one in answers if one.code != 0])
        self.assertEqual(1, len({(one.json["id"], one.json["incarnation"]) for one in answers}))
        other = self.cluster.run("group", "create", "wanted", "--plugin", "kv", "--set", "electionTimeoutMs=700", "--json")
        self.assertEqual(1, other.code)
        self.assertEqual("alreadyExists", other.error["code"])
        self.assertIn("electionTimeoutMs", other.error["text"])

    def test_a_host_that_was_away_past_compaction_comes_back(self):
        self.cluster.create("far", "--set", "snapshotEveryBytes=65536", "--set", "keepEntries=10")
        self.cluster.putAll("far", {"first": "one"})
        away = 1 if self.cluster.leader("far") != 1 else 2
        self.cluster.kill(away)
        pairs = {f"k{n}": "v" * 400 for n in range(1000)}
        self.cluster.putAll("far", pairs)
        self.cluster.ask("group", "snapshot", "far", via=[n for n in self.cluster.numbers if n != away])
        first = max(one["firstIndex"] for one in self.cluster.show("far")["members"])
        self.assertGreater(first, 2, "nothing was compacted")
        self.cluster.restart(away)
        def level():
            members = {one["host"]: one for one in self.cluster.show("far")["members"]}
            return members[away]["applied"] >= max(one["commit"] for one in members.values())
        waitFor(level, 20, f"host {away} caught up by snapshot")
        done = self.cluster.run("call", "far", "get", "key=k999", "--stale-ms", 60000, "--json", via=[away])
        self.assertEqual("v" * 400, done.json["value"], done)


if __name__ == "__main__":
    unittest.main()
