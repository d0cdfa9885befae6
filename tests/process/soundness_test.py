# A replica that has come to differ is found while it runs, serves nobody, and is built anew from another one.
import itertools
import os
import re
import unittest
import urllib.request

from cluster import BUILD, Cluster, Writer, waitFor

LEDGER = os.path.join(BUILD, "test-plugins", "ledger.so")
WAVERING = os.path.join(BUILD, "test-plugins", "wavering_{}.so")


class Soundness(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster().start()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.pushKv()
        cls.cluster.ask("plugin", "push", LEDGER)

    def member(self, group, host):
        return next(one for one in self.cluster.show(group)["members"] if one["host"] == host)

    def runs(self, group, host):
        """Whether it is shown so; a host that is slow to answer is shown without."""
        one = self.member(group, host)
        return one.get("machine") == "running" and one.get("ready")

    def metric(self, host, name):
        with urllib.request.urlopen(f"http://{self.cluster.http[host]}/metrics", timeout=5) as reply:
            found = re.search(rf"^flotilla_{name} (\d+)", reply.read().decode(), re.M)
        return int(found.group(1))

    def level(self, group):
        """All have applied the same, and their machines' digests are equal."""
        def look():
            members = self.cluster.show(group)["members"]
            places = {(one["applied"], one["digest"]) for one in members}
            return len(places) == 1 and all(one["ready"] and one["digest"] for one in members)
        waitFor(look, 20, f"equal digests of {group}")

    def test_every_replica_is_rebuilt_while_writes_go_on(self):
        self.cluster.create("built", "--set", "digestEveryEntries=100")
        writer = Writer(self.cluster, "built", "built")
        writer.waitMore(100)
        for host in self.cluster.numbers:
            self.assertEqual({"name": "built", "on": host}, self.cluster.ask("group", "rebuild", "built", "--on", host))
            waitFor(lambda: self.runs("built", host), 10, f"the replica on host {host} is shown as running")
            self.assertIn("built: rebuilt from a peer's snapshot", self.cluster.log(host))
            writer.waitMore(50)
        self.assertEqual([], writer.end().errors()[:3])
        self.cluster.expectAll("built", writer.acknowledged())
        self.level("built")
        self.assertTrue(all("quarantinedAt" not in one for one in self.cluster.show("built")["members"]))
        # Killed in the middle of it, wherever that is, it goes on after the next start.
        for _ in range(2):
            other = next(n for n in self.cluster.numbers if n != self.cluster.leader("built"))
            self.cluster.run("group", "rebuild", "built", "--on", other, "--timeout-ms", 1)
            self.cluster.kill(other)
            tried = self.cluster.ask("group", "retry", "built", via=[n for n in self.cluster.numbers if n != other])
            self.assertEqual([other], tried["unanswered"])
            self.cluster.restart(other)
            waitFor(lambda: self.member("built", other)["ready"], 20, f"host {other} serves again")
        self.cluster.expectAll("built", writer.acknowledged())
        self.level("built")

    def test_what_cannot_be_rebuilt_is_refused(self):
        self.cluster.ask("group", "create", "alone", "--plugin", "kv", "--on", 2)
        for host, words in ((2, "it has no other replica to be rebuilt from"), (1, "no replica on host 1")):
            done = self.cluster.run("group", "rebuild", "alone", "--on", host, "--json")
            self.assertEqual((1, "badRequest"), (done.code, done.error["code"]), done)
            self.assertIn(words, done.error["text"])
        self.assertEqual({"name": "alone", "replicas": 0, "unanswered": []}, self.cluster.ask("group", "retry", "alone"))

    def test_a_replica_that_goes_astray_is_found_and_rebuilt(self):
        for group, leads in (("follows", False), ("leads", True)):
            self.cluster.ask("group", "create", group, "--plugin", "ledger", "--config", f"strays={group}",
                             "--set", "digestEveryEntries=20")
            self.cluster.transfer(group, 2 if leads else 1)
            adds = self.cluster.pipe(group, "add")
            for _ in range(40):
                adds.send({"key": "a", "by": 1})
            self.assertEqual(list(range(1, 41)), [int(one["sum"]) for one in adds.end()])
            self.level(group)
            self.assertNotIn("quarantinedAt", self.member(group, 2))

            trap = os.path.join(self.cluster.place(2), group)
            with open(trap, "w", encoding="ascii"):
                pass
            before = self.member(group, 2)["applied"]
            self.cluster.ask("call", group, "add", "key=a", "by=1")
            waitFor(lambda: self.member(group, 2)["applied"] > before, 10, "host 2 has applied that")
            os.remove(trap)

            def nextAdd():
                """One at a time: each is an entry of its own. A leader astray answers wrongly until it is found."""
                self.cluster.run("call", group, "add", "key=b", "by=1", "--json")
                return self.member(group, 2).get("quarantinedAt", 0)
            at = waitFor(nextAdd, 30, f"host 2 quarantined in {group}")
            shown = self.cluster.show(group)
            self.assertEqual([2], [one["host"] for one in shown["members"] if "quarantinedAt" in one])
            self.assertEqual("quarantined", self.member(group, 2)["machine"])
            self.assertIn(f"host 2: quarantined: its digest at {at} is ", self.cluster.run("group", "show", group).out)
            waitFor(lambda: self.cluster.leader(group) != 2, 10, "another leader")
            self.assertEqual(1, self.metric(2, "replicas_quarantined"))
            checked = self.cluster.run("status", "--check")
            self.assertEqual(1, checked.code)
            self.assertIn("quarantined", checked.out + checked.err)

            # The majority goes on; whoever asks by way of host 2 hears the truth from another one.
            self.assertEqual(42, int(self.cluster.ask("call", group, "add", "key=a", "by=1")["sum"]))
            for stale in ((), ("--stale-ms", 60000)):
                self.assertEqual(42, int(self.cluster.ask("call", group, "get", "key=a", *stale, via=[2])["sum"]))
            self.assertEqual(0, self.cluster.ask("group", "retry", group)["replicas"])
            self.cluster.kill(2)
            self.cluster.restart(2)
            waitFor(lambda: self.member(group, 2).get("machine") == "quarantined", 10, "quarantined after a restart")
            self.assertEqual(42, int(self.cluster.ask("call", group, "get", "key=a", via=[2])["sum"]))

            self.cluster.ask("group", "rebuild", group, "--on", 2)
            waitFor(lambda: self.runs(group, 2), 10, "the replica on host 2 is shown as running")
            self.assertEqual(0, self.metric(2, "replicas_quarantined"))
            self.level(group)
            # The group before this one may have been begun with again only now.
            waitFor(lambda: self.cluster.run("status", "--check").code == 0, 20, "all is well again")
            self.cluster.kill(2)
            self.cluster.restart(2)
            self.level(group)

    def wavers(self, group):
        """A group of the wavering plugin of that name; gives what puts a key and then says who is found to differ."""
        self.cluster.ask("plugin", "push", WAVERING.format(group))
        self.cluster.ask("group", "create", group, "--plugin", f"wavering_{group}", "--set", "digestEveryEntries=20")
        keys = itertools.count()

        def nextPut():
            """One at a time: each is an entry of its own."""
            self.cluster.run("call", group, "put", f"key=key-{next(keys)}", "--json")
            return [one["host"] for one in self.cluster.show(group)["members"]
                    if "quarantinedAt" in one or "digestsSplitAt" in one]
        return nextPut

    def test_what_no_machine_may_use_is_found(self):
        for group in ("clock", "random", "pointer_order", "uninitialized"):
            waitFor(self.wavers(group), 60, f"replicas of {group} that differ")

    def test_an_order_that_a_restore_changes_is_found(self):
        nextPut = self.wavers("answered_order")
        for _ in range(50):
            self.assertEqual([], nextPut())
        other = next(n for n in self.cluster.numbers if n != self.cluster.leader("answered_order"))
        self.cluster.ask("group", "snapshot", "answered_order")
        self.cluster.stop(other)
        self.cluster.restart(other)
        self.assertEqual([other], waitFor(nextPut, 60, "a replica that differs since it was restored"))


if __name__ == "__main__":
    unittest.main()
