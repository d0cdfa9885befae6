# One flipped bit, or one missing file, of each kind on one host: found, said, never served, nothing lost.
import os
import random
import re
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
    "boots": r"^boots$",
    "generations": r"^log/generations$",
    "meta current": r"^meta/CURRENT$",
}
MAYBE = {"table": r"\.ldb$"}  # there only when LevelDB wrote one
ONLY_GONE = {"crash marks": r"^crash\.marks$"}  # its bits are mostly zeros that nobody reads
TWICE = {"mark": r"^log/mark$", "meta mark": r"^meta/mark$"}  # two copies inside: one bit costs nothing

# What host 1 must say when such a file is damaged, and when it is gone.
DAMAGED = {
    "journal": r"generation \d+: frame \d+ (is missing, and|fails|is damaged)",
    "manifest": r"generation \d+ does not open: Corruption",
    "current": r"generation \d+ does not open: Corruption",
    "meta journal": r"meta .*: its last change is number \d+, number \d+ was synced",
    "meta manifest": r"meta .* does not open: Corruption",
    "table": r"meta .*: Corruption",
    "snapshot": r"group g: snapshot .*: fails its checksum",
    "plugin copy": r"group g: plugin file .* is damaged, its content has SHA-256",
    "host.id": r"data_dir .*: host\.id fails its checksum",
    "boots": r"data_dir .*: boots fails its checksum",
    "generations": r"log/generations: fails its checksum",
    "meta current": r"meta .* does not open: Corruption: CURRENT",
}
GONE = {
    "journal": r"generation \d+: frame \d+ is missing, and was synced",
    "manifest": r"generation \d+ does not open: Corruption: CURRENT points to a non-existent file",
    "current": r"generation \d+: CURRENT is missing",
    "meta journal": r"meta .*: its last change is number \d+, number \d+ was synced",
    "meta manifest": r"meta .* does not open: Corruption: CURRENT points to a non-existent file",
    "table": r"meta .* does not open: Corruption: 1 missing file",
    "snapshot": r"group g: snapshot .*(missing|not there|No such file|gone)",
    "plugin copy": r"group g: plugin [0-9a-f]{64}: its file is not on this host; it is fetched from one that has it",
    "host.id": r"data_dir .*: no host\.id; a new host starts once with --init",
    "boots": r"data_dir .*: boots is missing",
    "generations": r"log/generations: open: No such file or directory; this host does not start",
    "meta current": r"meta .*: CURRENT is missing",
    "crash marks": r"crash marks .*: the file is missing; replicas whose machines crashed are tried again",
    "mark": r"log/mark: open: No such file or directory; this host does not start",
    "meta mark": r"meta/mark: open: No such file or directory; this host does not start",
}


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
        found = self.cluster.paths(1, {**KINDS, **MAYBE, **TWICE, **ONLY_GONE}[kind])
        if not found and kind in MAYBE:
            self.skipTest(f"no file of the kind {kind} was written")
        self.assertTrue(found, f"host 1 has no file of the kind {kind}")
        return max((self.cluster.state(1, path) for path in found), key=self.used)

    def used(self, path):
        """How much of a file is in use: a journal that was laid out ahead ends in zeros."""
        with open(path, "rb") as file:
            return len(file.read().rstrip(b"\0"))

    def flip(self, path, part):
        """Flips one bit this far into the file."""
        os.chmod(path, 0o644)
        with open(path, "r+b") as file:
            size = self.used(path)
            at = min(size - 1, int(size * part))
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ (1 << random.randrange(8))]))

    def outcome(self, what, expected):
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
        said = [line for line in words.splitlines() if re.search(expected, line)]
        self.assertTrue(said, f"host 1 said nothing of {what}:\n{words}")
        print(f"{what}: host 1 {'runs' if self.cluster.alive(1) else 'refuses'}: {said[-1]}")
        self.cluster.putAll("g", {"after": what})

    def healed(self):
        """A plugin's copy is on every host: the damaged one is fetched again and the replica begins anew."""
        def level():
            members = {one["host"]: one for one in self.cluster.show("g", via=[2, 3])["members"]}
            return not members[1]["fault"] and members[1]["applied"] >= members[2]["commit"]
        waitFor(level, 20, "host 1's replica of g with the plugin fetched again")
        key = next(iter(self.held))
        done = self.cluster.run("call", "g", "get", f"key={key}", "--stale-ms", 60000, "--json", via=[1])
        self.assertEqual(self.held[key], done.json["value"], done)

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
            self.outcome(f"a bit flipped in {os.path.relpath(path, self.cluster.state(1))} at {part:.0%}", DAMAGED[kind])
            if kind == "plugin copy":
                self.healed()

    def remove(self, kind):
        path = self.victim(kind)
        os.remove(path)
        self.outcome(f"{os.path.relpath(path, self.cluster.state(1))} deleted", GONE[kind])
        if kind == "plugin copy":
            self.healed()

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
    for kind in [*KINDS, *MAYBE, *TWICE, *ONLY_GONE]:
        name = kind.replace(" ", "_").replace(".", "_")
        if kind not in {**TWICE, **ONLY_GONE}:
            setattr(Damage, f"test_a_bit_of_a_{name}", lambda self, kind=kind: self.damage(kind))
        setattr(Damage, f"test_no_{name}", lambda self, kind=kind: self.remove(kind))


addCases()

if __name__ == "__main__":
    unittest.main()
