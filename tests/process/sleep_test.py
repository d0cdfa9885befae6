# Idle groups sleep: no replica of theirs speaks or is ticked, and a call, or the end of the leader's host, wakes them.
import re
import time
import unittest
import urllib.request

from cluster import ELECTION_TIMEOUT_MS, Cluster, waitFor

GROUPS = 20
SECONDS = 30


def figure(cluster, n, name):
    with urllib.request.urlopen(f"http://{cluster.http[n]}/metrics", timeout=5) as reply:
        found = re.search(rf"^flotilla_{name} (\d+)", reply.read().decode(), re.MULTILINE)
    return int(found.group(1))


def asleep(cluster, n):
    return figure(cluster, n, "replicas_asleep")


class Sleep(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster().start()
        self.addCleanup(self.cluster.close)
        self.cluster.pushKv()
        self.names = [f"quiet-{number}" for number in range(GROUPS)]
        for name in self.names:
            self.cluster.create(name, "--set", "sleepAfterMs=400")

    def lull(self, hosts=None):
        hosts = hosts or self.cluster.numbers
        waitFor(lambda: all(asleep(self.cluster, n) == GROUPS for n in hosts), SECONDS, "all groups asleep")

    def put(self, group, value):
        began = time.monotonic()
        self.cluster.putAll(group, {"key": value})
        return (time.monotonic() - began) * 1000

    def test_a_call_wakes_a_sleeping_group_and_no_other(self):
        self.lull()
        self.assertLess(self.put("quiet-3", "first"), ELECTION_TIMEOUT_MS)
        self.assertLess(asleep(self.cluster, 1), GROUPS)
        self.lull()
        for n in self.cluster.numbers:
            self.cluster.expectAll("quiet-3", {"key": "first"}, via=[n])
        self.lull()

    def test_the_groups_of_a_killed_host_are_woken_led_by_others_and_given_back(self):
        self.lull()
        victim = self.cluster.leader("quiet-0")
        led = {one["name"] for one in self.cluster.ask("group", "list")["groups"] if one["leader"] == victim}
        others = [n for n in self.cluster.numbers if n != victim]
        elections = sum(figure(self.cluster, n, "elections_total") for n in others)
        self.cluster.kill(victim)
        rest = [n for n in self.cluster.numbers if n != victim]
        # Of those that it led a voter is missing now, so they stay awake; the others sleep on.
        took = self.put("quiet-0", "after the kill")
        print(f"the first put to a sleeping group whose leader was killed took {took:.0f} ms")
        for name in self.names:
            waitFor(lambda name=name: self.cluster.show(name, via=rest)["leader"] in rest, SECONDS,
                    f"{name} led by another host")
        # One election a group that it led, the catalog's perhaps among them.
        elections = sum(figure(self.cluster, n, "elections_total") for n in others) - elections
        self.assertLessEqual(len(led), elections)
        self.assertLessEqual(elections, len(led) + 2)
        self.cluster.restart(victim)
        self.cluster.waitReady(victim)
        waitFor(lambda: led == {one["name"] for one in self.cluster.ask("group", "list")["groups"]
                                if one["leader"] == victim}, SECONDS, "leaderships given back")
        self.lull()
        self.cluster.expectAll("quiet-0", {"key": "after the kill"})

    def test_a_stopped_host_is_missed_too(self):
        self.lull()
        victim = self.cluster.leader("quiet-1")
        rest = [n for n in self.cluster.numbers if n != victim]
        self.cluster.pause(victim)
        waitFor(lambda: self.cluster.show("quiet-1", via=rest)["leader"] in rest, SECONDS, "another leader")
        self.cluster.putAll("quiet-1", {"key": "meanwhile"}, via=rest)
        self.cluster.resume(victim)
        self.cluster.expectAll("quiet-1", {"key": "meanwhile"}, via=[victim])
        self.lull()


if __name__ == "__main__":
    unittest.main()
