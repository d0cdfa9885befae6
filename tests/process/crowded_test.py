# Many busy groups on a small volume: their snapshots lie together, through kills and damage.
import os
import re
import subprocess
import unittest

from cluster import BUILD, ROUNDS, Cluster, waitFor

BENCH = os.path.join(BUILD, "bin", "flotilla-bench")
GROUPS = 40
SLOT = 64 << 10
SMALL = ("snapshots", "small")


class Crowded(unittest.TestCase):
    def setUp(self):
        # Eight generations of a MiB: what one second writes is more than they may hold.
        self.cluster = Cluster(tail="[storage]\ngeneration_bytes = 1048576\n").start()
        self.addCleanup(self.cluster.close)
        self.cluster.pushKv()
        self.mine = {f"bench-{i}": {f"mine-{key}": f"value {key} of {i}" for key in range(5)}
                     for i in range(1, GROUPS + 1)}
        self.load(0.1)  # makes the groups
        for group, pairs in self.mine.items():
            self.cluster.putAll(group, pairs)
        self.ids = {group: self.cluster.show(group)["id"] for group in self.mine}
        self.load(4)

    def load(self, seconds):
        """Nothing that was acknowledged may be lost, or the bench fails."""
        done = subprocess.run(
            [BENCH, "--connect", ",".join(self.cluster.listen.values()), "--groups", str(GROUPS), "--keys", "2000",
             "--in-flight", "2000", "--seconds", str(seconds), "--warmup-seconds", "0.1", "--json"],
            env=self.cluster.environment(), capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def expectMine(self, via=None):
        for group, pairs in self.mine.items():
            self.cluster.expectAll(group, pairs, via)

    def smallBytes(self, n):
        path = self.cluster.state(n, *SMALL)
        return os.path.getsize(path) if os.path.exists(path) else 0

    def groupsIn(self, n):
        """Whose heads there are in host n's file; group 0 is the catalog."""
        with open(self.cluster.state(n, *SMALL), "rb") as file:
            slots = file.read()
        heads = [slots[at:at + 24] for at in range(0, len(slots), SLOT)]
        return {int.from_bytes(head[16:24], "little") for head in heads if head[:8].strip(b"\0")}

    def test_what_they_hold_survives_kills_of_all_hosts(self):
        for _ in range(ROUNDS + 1):
            for group in self.mine:
                for member in self.cluster.show(group)["members"]:
                    self.assertGreater(member["firstIndex"], 1, f"{group} was not cut on host {member['host']}")
            for n in self.cluster.numbers:
                # Each replica has the newest, the one before it, and one that is written.
                self.assertLessEqual(set(self.ids.values()), self.groupsIn(n))
                self.assertGreaterEqual(4 * GROUPS, self.smallBytes(n) / SLOT)
            for n in self.cluster.numbers:
                self.cluster.kill(n)
            self.cluster.spawnAll()
            for n in self.cluster.numbers:
                self.expectMine([n])
            self.load(1)
        # Who asks for one has a file.
        self.cluster.putAll("bench-1", {"one": "more"})
        self.cluster.ask("group", "snapshot", "bench-1")
        number = self.ids["bench-1"]
        leader = self.cluster.leader("bench-1")
        self.assertTrue(self.cluster.paths(leader, rf"^snapshots/{number}-\d+/\d+-\d+\.snap$"))
        for group in list(self.mine):
            self.cluster.ask("group", "remove", group)
        for n in self.cluster.numbers:
            waitFor(lambda n=n: not self.groupsIn(n) - {0}, 20, f"host {n} keeps nothing of what was removed")

    def test_a_damaged_one_is_said_and_made_anew(self):
        self.cluster.kill(1)
        with open(self.cluster.state(1, *SMALL), "r+b") as file:
            for at in range(0, self.smallBytes(1), SLOT):
                file.seek(at + SLOT // 1000)
                file.write(b"damage")
        before = len(self.cluster.log(1))
        self.cluster.spawn(1)
        self.cluster.waitReady(1)
        self.expectMine([2, 3])
        said = set(re.findall(r"group (bench-\d+): snapshot .*; nor is it whole in .*/snapshots/small; its replica here",
                              self.cluster.log(1)[before:]))
        self.assertEqual(set(self.mine), said)
        for group in list(self.mine)[:5]:
            self.cluster.ask("group", "rebuild", group, "--on", 1)
            self.cluster.expectAll(group, self.mine[group], via=[1])
            self.assertEqual([None] * 3, [member.get("fault") for member in self.cluster.show(group)["members"]])


if __name__ == "__main__":
    unittest.main()

