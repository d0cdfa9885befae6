# One flipped bit, or one missing file, of each kind on one host: found, said, never served, nothing lost.
import os
import random
import shutil
import unittest

from cluster import ROUNDS, Cluster, waitFor

# Kind of file -> what its path below data_dir looks like. Damage to each must be found.
KINDS = {
    "journal": r"^log/.*\d+\.log$",
    "manifest": r"^log/.*MANIFEST-\d+$",
    "current": r"^log/.*CURRENT$",
    "meta journal": r"^meta/\d+\.log$",
    "meta manifest": r"^meta/MANIFEST-\d+$",
    "snapshot": r"^snapshots/[1-9].*",
    "plugin copy": r"^plugins/[0-9a-f]{64}\.so$",
    "host.id": r"^host\.id$",
}
MAYBE = {"table": r"\.ldb$"}  # there only when LevelDB wrote one

SAYS = r"(damage|checksum|corrupt|missing|no host\.id|does not match|not match|gap|lost|again|unreadable|refetch|fetch)"


class Damage(unittest.TestCase):
    """The same three hosts, killed after 600 puts and one snapshot, brought back to that state for each case."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(tail="[storage]\nballast_bytes = 0\n").start()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.pushKv()
        # The log is cut behind each snapshot, so that nothing else knows what it holds.
        cls.cluster.create("g", "--set", "keepEntries=1")
        cls.held = {f"key-{number}": f"value {number} " + "x" * 200 for number in range(300)}
        cls.cluster.putAll("g", cls.held)
        cls.cluster.ask("group", "snapshot", "g")
        more = {f"key-{number}": f"later {number} " + "y" * 200 for number in range(150, 450)}
        cls.cluster.putAll("g", more)
        cls.held.update(more)
        for n in cls.cluster.numbers:
            cls.cluster.kill(n)
        cls.saved = os.path.join(cls.cluster.dir, "saved")
        for n in cls.cluster.numbers:
            shutil.copytree(cls.cluster.state(n), os.path.join(cls.saved, str(n)))

    def setUp(self):
        for n in self.cluster.numbers:
            self.cluster.kill(n)
            shutil.rmtree(self.cluster.state(n))
            shutil.copytree(os.path.join(self.saved, str(n)), self.cluster.state(n))

    def victim(self, kind):
        """The largest file of a kind on host 1."""
        found = self.cluster.paths(1, {**KINDS, **MAYBE}[kind])
        if not found and kind in MAYBE:
            self.skipTest(f"no file of the kind {kind} was written")
        self.assertTrue(found, f"host 1 has no file of the kind {kind}")
        return max((self.cluster.state(1, path) for path in found), key=os.path.getsize)

    def flip(self, path, part):
        """Flips one bit this far into the file."""
        os.chmod(path, 0o644)
        with open(path, "r+b") as file:
            size = os.path.getsize(path)
            at = min(size - 1, int(size * part))
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ (1 << random.randrange(8))]))

    def outcome(self, what):
        """Host 1 either says why it does not start or comes up; nothing is lost or wrong anywhere."""
        before = len(self.cluster.log(1))
        for n in (2, 3):
            self.cluster.spawn(n)
        self.cluster.spawn(1)
        for n in (2, 3):
            self.cluster.waitReady(n)
        waitFor(lambda: not self.cluster.alive(1) or self.cluster.ready(1) or self.faulted(), 20,
                f"host 1 decided after {what}")
        self.cluster.expectAll("g", self.held, via=[2, 3])
        words = self.cluster.log(1)[before:]
        self.assertNotIn("Assertion", words)
        if self.cluster.alive(1):
            # Reads of whatever age through host 1 may be refused or old, never of no write at all.
            for key in list(self.held)[::40]:
                done = self.cluster.run("call", "g", "get", f"key={key}", "--stale-ms", 60000,
                                        "--timeout-ms", 5000, "--json", via=[1])
                if done.code == 0 and done.json["found"]:
                    number = key.split("-")[1]
                    self.assertRegex(done.json["value"], rf"^(value {number} x+|later {number} y+)$")
        else:
            self.assertNotEqual(0, self.cluster.children[1].returncode, words)
            self.assertGreaterEqual(self.cluster.children[1].returncode, 0, "died of a signal: " + words[-2000:])
        self.assertRegex(words, SAYS, f"host 1 said nothing of {what}")
        said = [line for line in words.splitlines() if any(one in line for one in SAYS.strip("()").split("|"))]
        print(f"{what}: host 1 {'runs' if self.cluster.alive(1) else 'refuses'}: {said[-1] if said else ''}")
        self.cluster.putAll("g", {"after": what})

    def faulted(self):
        done = self.cluster.run("group", "show", "g", "--json", via=[2, 3])
        return done.code == 0 and any(one["host"] == 1 and one["fault"] for one in done.json["members"])

    def damage(self, kind):
        for turn in range(ROUNDS):
            if turn:
                self.setUp()
            path = self.victim(kind)
            part = 0.5 if turn == 0 else random.uniform(0.05, 0.8)
            self.flip(path, part)
            self.outcome(f"a bit flipped in {os.path.relpath(path, self.cluster.state(1))} at {part:.0%}")

    def remove(self, kind):
        path = self.victim(kind)
        os.remove(path)
        self.outcome(f"{os.path.relpath(path, self.cluster.state(1))} deleted")

    def test_a_founder_that_lost_its_disk_does_not_vote(self):
        shutil.rmtree(self.cluster.state(1))
        refused = self.cluster.log(1)
        self.cluster.spawn(1)
        waitFor(lambda: not self.cluster.alive(1), 10, "host 1 refusing to start without host.id")
        self.assertIn("no host.id", self.cluster.log(1)[len(refused):])
        # Made new with --init it has another birth, and the others do not take it for host 1.
        self.cluster.spawn(1, "--init")
        waitFor(lambda: "host 1: started" in self.cluster.log(1)[len(refused):], 10, "host 1 made new with --init")
        self.cluster.spawn(2)
        done = waitFor(lambda: self.asked(), 20, "an answer of host 2")
        self.assertNotEqual(0, done.code, "a wiped founder and one other host served a write")
        self.cluster.spawn(3)
        self.cluster.waitReady(2)
        self.cluster.waitReady(3)
        self.cluster.expectAll("g", self.held, via=[2, 3])
        self.assertRegex(self.cluster.log(1) + self.cluster.log(2) + self.cluster.log(3), "birth")

    def asked(self):
        done = self.cluster.run("call", "g", "put", "key=wiped", "value=1", "--timeout-ms", 6000, "--json", via=[2])
        return done if done.code != 3 else None


def addCases():
    """One test for each kind and way, so that each is named in the output."""
    for kind in [*KINDS, *MAYBE]:
        name = kind.replace(" ", "_").replace(".", "_")
        setattr(Damage, f"test_a_bit_of_a_{name}", lambda self, kind=kind: self.damage(kind))
        setattr(Damage, f"test_no_{name}", lambda self, kind=kind: self.remove(kind))


addCases()

if __name__ == "__main__":
    unittest.main()
