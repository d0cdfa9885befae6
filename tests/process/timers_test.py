# Timers of a machine: 10,000 pending while leaders are killed and clocks are set by an hour; each fires once, none early.
import mmap
import os
import random
import struct
import time
import unittest

from cluster import BUILD, ROUNDS, Cluster, waitFor

ALARMS = os.path.join(BUILD, "test-plugins", "alarms.so")
MOVED_CLOCK = os.path.join(BUILD, "tests", "moved_clock.so")
HOUR_US = 3_600_000_000
COUNT = 10_000 * ROUNDS
AT_ONCE = 1_000      # of one command
FIRST_IN_US = 4_000_000
LAST_AFTER_US = 8_000_000 * ROUNDS  # the first
SLEW = 1.1           # log time runs at most so much faster than a clock
KILLS = 3 * ROUNDS
SECONDS = 40 * ROUNDS


class Clock:
    """A host's wall clock, which goes as far ahead as the test says, from now on."""

    def __init__(self, path):
        self.path = path
        with open(path, "w+b") as file:
            file.write(struct.pack("=q", 0))
            file.flush()
            self.page = mmap.mmap(file.fileno(), 8)

    def setAhead(self, us):
        self.page[:] = struct.pack("=q", us)

    def before(self):
        return ("env", f"LD_PRELOAD={MOVED_CLOCK}", f"MOVED_CLOCK={self.path}")


class Timers(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)
        self.clocks = {n: Clock(os.path.join(self.cluster.dir, f"clock-{n}")) for n in self.cluster.numbers}
        for n in self.cluster.numbers:
            self.cluster.spawn(n, "--init", before=self.clocks[n].before())
        for n in self.cluster.numbers:
            self.cluster.waitReady(n)
        self.cluster.ask("plugin", "push", ALARMS)
        self.cluster.ask("group", "create", "clocks", "--plugin", "alarms")

    def tally(self, *options, via=None):
        return self.cluster.ask("call", "clocks", "tally", *options, via=via)

    def restart(self, n):
        self.cluster.spawn(n, before=self.clocks[n].before())
        self.cluster.waitReady(n)

    def test_each_fires_once_and_none_early(self):
        began = time.monotonic()
        everyUs = LAST_AFTER_US // COUNT
        for first in range(0, COUNT, AT_ONCE):
            self.cluster.ask("call", "clocks", "setMany", f"first={first}", f"count={AT_ONCE}",
                             f"inUs={FIRST_IN_US + first * everyUs}", f"everyUs={everyUs}")
        self.assertEqual(COUNT, self.tally()["pending"])
        self.cluster.ask("group", "snapshot", "clocks")
        rung = 0
        for _ in range(KILLS):
            leader = self.cluster.leader("clocks")
            for n in self.cluster.numbers:
                self.clocks[n].setAhead(random.choice([-HOUR_US, 0, HOUR_US]))
            if rung == 0:
                self.clocks[leader].setAhead(HOUR_US)  # it has 4 s to believe it
            rung = waitFor(lambda rung=rung: max(0, self.tally()["rung"] - rung), SECONDS, "alarms ring on") + rung
            self.cluster.kill(leader)
            self.restart(leader)
        waitFor(lambda: self.tally()["pending"] == 0, SECONDS, f"all {COUNT} alarms to ring")
        took = time.monotonic() - began
        # By their own clocks an hour has passed, or none.
        self.assertGreater(took, (FIRST_IN_US + LAST_AFTER_US) / 1e6 / SLEW - 0.5)
        for n in self.cluster.numbers:
            # Each replica tells what its own machine has seen.
            own = waitFor(lambda n=n: [it for it in [self.tally("--stale-ms", 0, via=[n])] if it["pending"] == 0],
                          SECONDS, f"host {n} has applied all")[0]
            self.assertEqual((COUNT, 0, 0), (own["rung"], own["twice"], own["early"]), own)
        print(f"{COUNT} timers: each fired once, the last after {took:.1f} s, "
              f"at most {own['lateUsMax'] / 1000:.0f} ms late by log time, {KILLS} leaders killed")


if __name__ == "__main__":
    unittest.main()
