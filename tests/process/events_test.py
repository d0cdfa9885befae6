# Events of a machine: whoever follows a group hears each once and in order, whatever becomes of hosts and leaders.
import base64
import json
import os
import signal
import struct
import subprocess
import threading
import unittest

from cluster import BUILD, COMMAND, Cluster, waitFor

ALARMS = os.path.join(BUILD, "test-plugins", "alarms.so")
COUNT = 60
SECONDS = 40


def alarmOf(event):
    """The alarm that an event is about: its message is the number's eight bytes."""
    message = event["message"]
    raw = base64.b64decode(message["base64"]) if isinstance(message, dict) else message.encode()
    return struct.unpack("=Q", raw)[0]


def places(events):
    return [(one["position"]["index"], one["position"]["ordinal"]) for one in events]


class Follower:
    """`flotilla events GROUP --follow --json` until it is dropped."""

    def __init__(self, cluster, group, *options, via=None):
        self.events = []
        self.child = subprocess.Popen([COMMAND, "events", group, "--follow", "--json", *options],
                                      env=cluster.environment(via), cwd=cluster.dir, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.child.stdout:
            self.events.append(json.loads(line))

    def waitFor(self, count):
        waitFor(lambda: len(self.events) >= count or self.child.poll() is not None, SECONDS,
                f"{count} events, {len(self.events)} have come")
        assert self.child.poll() is None, self.child.stderr.read().decode()

    def signal(self, what):
        os.kill(self.child.pid, what)

    def drop(self):
        self.child.kill()
        self.child.wait()
        self.thread.join(SECONDS)
        self.child.stdout.close()
        self.child.stderr.close()


class Events(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster().start()
        self.addCleanup(self.cluster.close)
        self.cluster.ask("plugin", "push", ALARMS)
        self.cluster.ask("group", "create", "bells", "--plugin", "alarms")

    def follow(self, *options, via=None):
        one = Follower(self.cluster, "bells", *options, via=via)
        self.addCleanup(one.drop)
        return one

    def set(self, alarm, inUs):
        self.cluster.ask("call", "bells", "set", f"alarm={alarm}", f"inUs={inUs}")

    def kept(self, *options):
        done = self.cluster.run("events", "bells", "--json", *options)
        self.assertEqual(0, done.code, done)
        return [json.loads(line) for line in done.out.splitlines()]

    def test_followers_hear_all_once_and_in_order(self):
        first = self.follow("--topic", "alarms/rung")
        all_ = self.follow()
        for alarm in range(COUNT):
            self.set(alarm, 200_000)
            if alarm == COUNT // 3:
                victim = self.cluster.leader("bells")
                self.cluster.kill(victim)
            if alarm == 2 * COUNT // 3:
                self.cluster.restart(victim)
                self.cluster.transfer("bells", victim)
        first.waitFor(COUNT)
        all_.waitFor(2 * COUNT)
        self.assertEqual(list(range(COUNT)), [alarmOf(one) for one in first.events])
        self.assertEqual(sorted(places(all_.events)), places(all_.events))
        self.assertEqual(2 * COUNT, len(set(places(all_.events))))
        self.assertEqual(all_.events, self.kept())
        self.assertEqual(first.events, self.kept("--topic", "alarms/rung"))
        # From a position on, by each host.
        half = all_.events[COUNT]["position"]
        later = self.kept("--after", f"{half['index']}/{half['ordinal']}")
        self.assertEqual(all_.events[COUNT + 1:], later)
        for n in self.cluster.numbers:
            own = self.follow("--topic", "alarms/set", via=[n])
            own.waitFor(COUNT)
            self.assertEqual(list(range(COUNT)), [alarmOf(one) for one in own.events])

    def test_who_is_slow_is_told_what_it_has_missed_and_holds_up_nobody(self):
        self.cluster.ask("group", "create", "short", "--plugin", "alarms", "--set", "keepEvents=50")
        slow = Follower(self.cluster, "short")
        self.addCleanup(slow.drop)
        ring = self.cluster.pipe("short", "set")

        def setAll(first, count):
            for alarm in range(first, first + count):
                ring.send({"alarm": alarm, "inUs": 3_600_000_000})
                waitFor(lambda: len(ring.answers) > alarm, SECONDS, f"alarm {alarm} set")
        setAll(0, 3)
        slow.waitFor(3)
        slow.signal(signal.SIGSTOP)
        setAll(3, 300)  # nobody waits for it
        quick = Follower(self.cluster, "short")
        self.addCleanup(quick.drop)
        quick.waitFor(51)
        self.assertEqual({"compacted": True}, quick.events[0])
        self.assertEqual(list(range(253, 303)), [alarmOf(one) for one in quick.events[1:]])
        slow.signal(signal.SIGCONT)
        waitFor(lambda: "position" in slow.events[-1] and alarmOf(slow.events[-1]) == 302, SECONDS, "the last event")
        gap = slow.events.index({"compacted": True})
        before, after = slow.events[:gap], slow.events[gap + 1:]
        self.assertEqual(list(range(len(before))), [alarmOf(one) for one in before])
        self.assertLess(len(before), 253)
        self.assertEqual(list(range(253, 303)), [alarmOf(one) for one in after])
        # Not before a position that is kept.
        kept = after[0]["position"]
        done = self.cluster.run("events", "short", "--json", "--after", f"{kept['index']}/{kept['ordinal']}")
        self.assertEqual([json.dumps(one, sort_keys=True) for one in after[1:]],
                         [json.dumps(json.loads(line), sort_keys=True) for line in done.out.splitlines()])
        gone = self.cluster.run("events", "short", "--after", "1")
        self.assertEqual(0, gone.code, gone)
        self.assertIn("some events before these are gone", gone.err)
        self.assertEqual(50, len(gone.out.splitlines()))

    def test_a_command_that_fails_tells_nothing_and_what_is_wrong_is_said(self):
        done = self.cluster.run("call", "bells", "set", "alarm=1", "fails=setting")
        self.assertEqual(1, done.code, done)
        self.set(2, 0)
        waitFor(lambda: len(self.kept()) == 2, SECONDS, "two events")
        self.assertEqual([2, 2], [alarmOf(one) for one in self.kept()])
        text = self.cluster.run("events", "bells").out.splitlines()
        self.assertRegex(text[0], r"^\d+/0 alarms/set ")
        none = self.cluster.run("events", "nowhere")
        self.assertEqual(1, none.code, none)
        self.assertIn("nowhere", none.err)
        wrong = self.cluster.run("events", "bells", "--after", "x")
        self.assertEqual(2, wrong.code, wrong)
        self.assertIn('--after "x": no position; write it as INDEX or INDEX/ORDINAL', wrong.err)


if __name__ == "__main__":
    unittest.main()
