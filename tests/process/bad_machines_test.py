# Machines that throw, loop for ever or crash the process cost their own group, and nobody else anything.
import os
import re
import time
import unittest

from cluster import BUILD, Cluster, Supervisor, Writer, waitFor

BAD = os.path.join(BUILD, "test-plugins", "bad_behaviour.so")
RESTARTS_MAX = 2
LOOPING = ("loops", "turns")


class BadMachines(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster().start()
        self.addCleanup(self.cluster.close)
        self.cluster.pushKv()
        self.plugin = self.cluster.ask("plugin", "push", BAD)
        self.name = self.cluster.ask("plugin", "list")["plugins"]
        self.name = next(one["name"] for one in self.name if one["name"] != "kv")
        self.cluster.create("steady")
        self.cluster.transfer("steady", 1)

    def bad(self, group):
        """A group of the bad plugin that works until it is asked not to."""
        self.cluster.ask("group", "create", group, "--plugin", self.name, "--set", "applyTimeoutMs=1000")
        self.cluster.ask("call", group, "put", "key=a", "value=b")

    def breakBy(self, group, method):
        """Sends the command that breaks the machine; it must not be answered as if it had worked."""
        done = self.cluster.run("call", group, method, "--timeout-ms", 2000, "--json")
        self.assertNotEqual(0, done.code, done)

    def faults(self, group, word):
        """The faulted members, once every replica is; each says where and why."""
        def look():
            shown = self.cluster.run("group", "show", group, "--json")
            # The hosts may all be starting again, when nobody can say anything of any group.
            if shown.code != 0 and shown.error["code"] in ("unavailable", "timeout"):
                return None
            self.assertEqual(0, shown.code, shown)
            faulted = [one for one in shown.json["members"] if one["fault"]]
            return faulted if len(faulted) == 3 else None
        found = waitFor(look, 30, f"three faulted replicas of {group}")
        for one in found:
            self.assertIn(word, one["fault"])
            self.assertRegex(one["fault"], r"\d", "a fault names its position")
        self.assertEqual(1, len({(one["faultIndex"], one["faultOrdinal"]) for one in found}), found)
        place = f"at {found[0]['faultIndex']}/{found[0]['faultOrdinal']}: "
        # A host that was restarted may not see all the others yet.
        waitFor(lambda: self.cluster.run("group", "show", group).out.count(": faulted: " + place) == 3, 10,
                f"group show of {group}: three lines with {place}")
        return found

    def serving(self):
        self.cluster.ask("call", "steady", "put", "key=still", "value=here")

    def test_a_foreign_exception_stops_that_group_alone(self):
        self.bad("throws")
        pids = [self.cluster.children[n].pid for n in self.cluster.numbers]
        writer = Writer(self.cluster, "steady", "throw")
        writer.waitMore(50)
        self.breakBy("throws", "throwForeign")
        self.faults("throws", "exception")
        writer.waitMore(100)
        self.assertEqual([], writer.end().errors()[:3])
        self.assertEqual(pids, [self.cluster.children[n].pid for n in self.cluster.numbers])
        self.assertTrue(all(self.cluster.alive(n) for n in self.cluster.numbers))
        self.cluster.ask("group", "remove", "throws")
        self.serving()

    def test_endless_loops_stop_their_groups_alone(self):
        """As many as a host has apply workers at first: without more of them nobody would be served."""
        for group in LOOPING:
            self.bad(group)
        writer = Writer(self.cluster, "steady", "loop")
        writer.waitMore(50)
        for group in LOOPING:
            self.breakBy(group, "loopForever")

        def stuck(group):
            members = self.cluster.show(group)["members"]
            return all(one["machine"] == "stuck" for one in members) and members
        for group in LOOPING:
            waitFor(lambda: stuck(group), 30, f"three stuck machines of {group}")
            self.assertEqual(3, self.cluster.run("group", "show", group).out.count(": its machine is stuck"))
        writer.waitMore(200)
        self.assertEqual([], writer.end().errors()[:3])
        self.assertTrue(all(self.cluster.alive(n) for n in self.cluster.numbers))
        self.bad("after")
        for group in LOOPING:
            self.cluster.ask("group", "remove", group)
        self.cluster.ask("call", "after", "get", "key=a")
        self.serving()

    def test_a_crashing_command_is_not_a_crash_loop(self):
        self.bad("crashes")
        supervisor = Supervisor(self.cluster)
        self.addCleanup(supervisor.end)
        writer = Writer(self.cluster, "steady", "crash", timeoutMs=60000)
        writer.waitMore(50)
        self.breakBy("crashes", "crash")
        faults = self.faults("crashes", "brought the process down here (signal 11)")
        writer.waitMore(100)
        self.assertEqual([], writer.end().errors()[:3])
        # Nobody goes on dying: the same processes are there a while of work later.
        pids = [self.cluster.children[n].pid for n in self.cluster.numbers]
        later = Writer(self.cluster, "steady", "later")
        until = time.monotonic() + 2
        waitFor(lambda: time.monotonic() > until and later.count() > 100, 30, "two seconds of writes")
        later.end()
        self.assertEqual([], later.errors()[:3])
        self.assertEqual(pids, [self.cluster.children[n].pid for n in self.cluster.numbers])
        restarts = supervisor.end()
        self.assertGreater(sum(restarts.values()), 0, "the crash killed nobody: it did not happen")
        self.assertLessEqual(max(restarts.values()), RESTARTS_MAX, restarts)
        print(f"restarts {restarts}, faults {[one['fault'] for one in faults]}")
        self.cluster.expectAll("steady", {**writer.acknowledged(), **later.acknowledged()})
        self.cluster.ask("group", "remove", "crashes")
        self.serving()

    def test_a_crashing_query_costs_each_host_one_restart(self):
        self.bad("asks")
        supervisor = Supervisor(self.cluster)
        self.addCleanup(supervisor.end)
        writer = Writer(self.cluster, "steady", "ask", timeoutMs=60000)
        writer.waitMore(50)

        told = r"faulted.*brought the process down.*flotilla group retry"

        def refused():
            return re.search(told, self.cluster.run("call", "asks", "crashQuery", "--timeout-ms", 2000).err)
        waitFor(refused, 60, "a host that it brought down refuses the group's queries")
        for _ in range(5):
            done = self.cluster.run("call", "asks", "crashQuery", "--timeout-ms", 5000)
            self.assertRegex(done.err, told, done)
        self.assertEqual(0, self.cluster.run("call", "asks", "put", "key=c", "value=d").code, "commands go on")
        self.assertIn("queries: one brought the process down",
                      " ".join(one.get("refuses", "") for one in self.cluster.show("asks")["members"]))
        writer.waitMore(100)
        self.assertEqual([], writer.end().errors()[:3])
        restarts = supervisor.end()
        self.assertEqual(1, max(restarts.values()), restarts)  # the lead may have gone to a host that had not been asked
        self.cluster.expectAll("steady", writer.acknowledged())
        self.cluster.ask("group", "retry", "asks")
        self.cluster.ask("call", "asks", "get", "key=c")


if __name__ == "__main__":
    unittest.main()
