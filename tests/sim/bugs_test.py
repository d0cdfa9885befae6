# Every test that tests/BUGS.md names exists, and each of the forty bugs has one.
"""A name that changed, a line that is gone and a kind that nobody knows are found: that is tested here as well."""

import glob
import os
import re
import sys
import unittest

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "sim", "mutants"))
import plant  # noqa: E402

BUGS = 40


def text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def literals(pattern):
    """The C++ text of some sources, with adjacent string literals put together."""
    paths = sorted(glob.glob(os.path.join(ROOT, pattern), recursive=True))
    return "\n".join(re.sub(r'"\s*\n\s*"', "", text(path)) for path in paths)


class Known:
    """What tests there are, by kind."""

    def __init__(self):
        self.cases = set(re.findall(r'TEST_CASE\("([^"]+)"', literals("tests/**/*.cc")))
        self.judged = literals("tests/sim/*.cc")
        self.mutants = {it.name for it in plant.read()}

    def has(self, kind, name):
        if kind == "script":
            return os.path.exists(os.path.join(ROOT, "tests", "raft", "scripts", name + ".txt"))
        if kind == "unit":
            return name in self.cases
        if kind == "mutant":
            return name in self.mutants
        if kind == "sim":
            return any(name in literal for literal in re.findall(r'"((?:[^"\\]|\\.)*)"', self.judged))
        if kind == "process":
            file, case, test = name.split(".")
            path = os.path.join("tests", "process", file + ".py")
            if not os.path.exists(os.path.join(ROOT, path)):
                return False
            body = re.split(r"^class ", text(path), flags=re.M)
            return any(it.startswith(case + "(") and f"def {test}(" in it for it in body)
        return False


def problems(page, known):
    """What is wrong with a page of bugs."""
    found, numbers = [], []
    for line in page.split("\n"):
        row = re.match(r"\| (\d+) \| (.+?) \| (.*) \|$", line)
        if not row:
            continue
        numbers.append(int(row.group(1)))
        names = re.findall(r"(\w+) `([^`]+)`", row.group(3))
        if len([kind for kind, _ in names if kind != "with"]) == 0:
            found.append(f"bug {row.group(1)} names no test")
        for kind, name in names:
            if kind != "with" and not known.has(kind, name):
                found.append(f"bug {row.group(1)}: there is no {kind} {name!r}")
    if numbers != list(range(1, BUGS + 1)):
        found.append(f"the bugs are {numbers}, not 1 to {BUGS}")
    return found


class Bugs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.known = Known()
        cls.page = text("tests/BUGS.md")

    def test_every_name_exists(self):
        self.assertEqual([], problems(self.page, self.known))

    def test_a_name_that_is_not_there_is_found(self):
        for kind, name in (("script", "bug_12_vote_lost"), ("unit", "group/group: three replicas elect, replicate and answer"),
                           ("mutant", "tail-kept"), ("sim", "nobody leads"),
                           ("process", "sigkill_test.SigkillOfAll.test_acknowledged_puts_survive")):
            self.assertTrue(self.known.has(kind, name), f"{kind} {name}")
            self.assertFalse(self.known.has(kind, name + "-"), f"{kind} {name}")
        self.assertFalse(self.known.has("process", "nowhere_test.Nowhere.test_nothing"))
        self.assertFalse(self.known.has("rumour", "tail-kept"))

    def test_a_bug_that_is_left_out_or_shows_nothing_is_found(self):
        without = "\n".join(line for line in self.page.split("\n") if not line.startswith("| 17 "))
        self.assertEqual(1, len(problems(without, self.known)))
        idle = re.sub(r"^\| 17 \| (.*?) \| .*$", r"| 17 | \1 | nothing |", self.page, flags=re.M)
        self.assertEqual(["bug 17 names no test"], problems(idle, self.known))


if __name__ == "__main__":
    unittest.main()
