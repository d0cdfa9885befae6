# A group past its quota of memory, of apply time or of calls is refused, says so, and costs the others nothing.
import os
import time
import unittest
import urllib.request

from cluster import BUILD, Cluster, waitFor

DRUDGE = os.path.join(BUILD, "test-plugins", "drudge.so")
MIB = 1 << 20
VALUE = "v" * (64 << 10)


class Quotas(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster().start()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.pushKv()
        cls.cluster.ask("plugin", "push", DRUDGE)

    def fill(self, group):
        """Puts until the quota refuses; gives the keys that were taken, and the refusal."""
        pipe = self.cluster.pipe(group, "put")
        for n in range(400):
            pipe.send({"key": f"{time.monotonic_ns()}", "value": VALUE})
            if n % 8 == 7:
                pipe.waitAnswers(n + 1)
                if any("error" in one for one in pipe.answers):
                    break
        answers = pipe.end()
        refused = [one["error"] for one in answers if "error" in one]
        self.assertTrue(refused, "nothing was refused")
        return [asked["key"] for asked, one in zip(pipe.asked, answers) if "error" not in one], refused[0]

    def metric(self, n, name):
        with urllib.request.urlopen(f"http://{self.cluster.http[n]}/metrics", timeout=5) as page:
            lines = page.read().decode().splitlines()
        return int(float(next(line.split()[1] for line in lines if line.startswith(f"flotilla_{name} "))))

    def refuses(self, group):
        return self.cluster.show(group).get("refuses", "")

    def unhealthy(self):
        return [one["name"] for one in self.cluster.ask("group", "list", "--unhealthy")["groups"]]

    def test_memory(self):
        self.cluster.create("full", "--set", f"memoryBytesMax={4 * MIB}")
        taken, error = self.fill("full")
        leader = self.cluster.leader("full")
        self.assertEqual("tooLarge", error["code"])
        self.assertFalse(error["maybeDone"])
        self.assertIn("its quota memoryBytesMax is 4.0 MiB", error["text"])
        self.assertLess(40, len(taken))
        self.assertLess(len(taken), 100)

        # It says so wherever one looks, and nothing else is refused.
        self.assertRegex(self.refuses("full"), r"^memory 4\.\d MiB of 4\.0 MiB: commands refused$")
        shown = self.cluster.run("group", "show", "full").out
        self.assertRegex(shown, r"quotas +memory 4.0 MiB")
        self.assertRegex(shown, r"refuses +memory 4\.\d MiB of 4\.0 MiB: commands refused")
        self.assertIn("over quota", self.cluster.run("group", "list").out)
        self.assertEqual(["full"], self.unhealthy())
        self.assertIn("over a quota: memory", self.cluster.run("status").out)
        self.assertEqual(1, self.cluster.run("status", "--check").code)
        self.assertEqual(1, self.metric(leader, "groups_over_quota"))
        self.assertLessEqual(1, self.metric(leader, "calls_over_memory_total"))
        self.assertEqual(VALUE, self.cluster.ask("call", "full", "get", f"key={taken[0]}")["value"])
        self.assertIn("memoryBytesMax", self.cluster.run("call", "full", "put", "key=a", "value=b").err)

        # The next leader refuses as well: each host judges what it holds itself.
        other = leader % 3 + 1
        self.cluster.transfer("full", other)
        self.assertIn("memoryBytesMax", self.cluster.run("call", "full", "put", "key=a", "value=b").err)

        # What frees memory is taken, and makes room.
        for key in taken[:len(taken) // 4]:
            self.cluster.ask("call", "full", "remove", f"key={key}")
        waitFor(lambda: self.cluster.run("call", "full", "put", "key=a", "value=b").code == 0, 10, "room again")
        self.assertEqual("", self.refuses("full"))
        self.assertEqual([], self.unhealthy())

    def test_a_quota_is_changed(self):
        self.cluster.create("grown", "--set", f"memoryBytesMax={2 * MIB}")
        self.fill("grown")
        away = next(n for n in self.cluster.numbers if n != self.cluster.leader("grown"))
        self.cluster.kill(away)
        done = self.cluster.ask("group", "set", "grown", f"memoryBytesMax={8 * MIB}", "applyTimePercentMax=90")
        self.assertFalse(done["existed"])
        self.assertEqual({"memoryBytesMax": str(8 * MIB), "applyTimePercentMax": "90"}, done["spec"]["options"])
        self.cluster.ask("call", "grown", "put", "key=a", "value=b")
        self.assertTrue(self.cluster.ask("group", "set", "grown", f"memoryBytesMax={8 * MIB}")["existed"])
        self.cluster.restart(away)

        def all3():
            members = self.cluster.show("grown")["members"]
            return [(one.get("memoryBytesMax"), one.get("applyTimePercentMax")) for one in members] == 3 * [(8 * MIB, 90)]
        waitFor(all3, 10, "the host that was away goes by the new quota")

        # Its record has it: no catalog is needed for it after a start.
        self.assertEqual([0, 0, 0], self.cluster.stopAll())
        self.cluster.spawnAll()
        self.cluster.leader("grown")
        waitFor(all3, 10, "all go by it after a start")
        done = self.cluster.run("group", "set", "grown", "memoryBytesMax=0", "applyTimePercentMax=0")
        self.assertEqual("group grown: set, quotas: none", done.out)

        for options, code, text in (
                (["electionTimeoutMs=300"], "badRequest", 'option "electionTimeoutMs": cannot be changed'),
                (["memoryBytesMax=lots"], "badRequest", 'option memoryBytesMax: found "lots"; give a whole number'),
                (["applyTimePercentMax=101"], "badRequest", "from 0 to 100")):
            done = self.cluster.run("group", "set", "grown", *options, "--json")
            self.assertEqual(1, done.code, done)
            self.assertEqual(code, done.error["code"])
            self.assertIn(text, done.error["text"])
        self.assertEqual("noSuchGroup", self.cluster.run("group", "set", "nowhere", "memoryBytesMax=1", "--json").error["code"])
        self.assertEqual(2, self.cluster.run("group", "set", "grown", "memoryBytesMax").code)

    def test_apply_time(self):
        self.cluster.ask("group", "create", "greedy", "--plugin", "drudge", "--set", "applyTimePercentMax=5")
        self.cluster.create("steady")
        pipe = self.cluster.pipe("greedy", "put")
        for n in range(1000):
            pipe.send({"key": n, "value": n})
        pipe.end()
        # Half a second of its window's share, in works of some milliseconds, and it is tired.
        def tired():
            self.cluster.run("call", "greedy", "toil", "rounds=4000", "--timeout-ms", 2000)
            return self.refuses("greedy")
        refuses = waitFor(tired, 20, "a tired group")
        self.assertEqual("apply time over 5 % of a thread: calls refused", refuses)
        done = self.cluster.run("call", "greedy", "toil", "rounds=1", "--timeout-ms", 300, "--json")
        self.assertNotEqual(0, done.code, done)
        self.assertFalse(done.error["maybeDone"])
        self.assertIn("its quota applyTimePercentMax", done.error["text"])
        self.assertIn("greedy", self.unhealthy())
        self.cluster.putAll("steady", {f"k{n}": "v" for n in range(100)})
        leader = self.cluster.leader("greedy")
        self.assertLessEqual(1, self.metric(leader, "calls_over_time_total"))
        # A call that waits gets through once enough of its share has come in again.
        self.cluster.ask("call", "greedy", "weigh", "rounds=1", "--timeout-ms", 15000)
        # Without a quota nothing is refused any more, however much it does.
        self.cluster.ask("group", "set", "greedy", "applyTimePercentMax=0")
        for _ in range(5):
            self.cluster.ask("call", "greedy", "toil", "rounds=4000")
        self.assertEqual("", self.refuses("greedy"))
        # What it did meanwhile is not held against it when it has one again.
        pipe = self.cluster.pipe("greedy", "toil")
        for _ in range(60):
            pipe.send({"rounds": 4000})
        self.assertEqual([], [one for one in pipe.end() if "error" in one])
        self.cluster.ask("group", "set", "greedy", "applyTimePercentMax=1")
        self.cluster.ask("call", "greedy", "toil", "rounds=1")
        self.assertEqual("", self.refuses("greedy"))

    def test_calls_per_second(self):
        self.cluster.create("hurried", "--set", "callsPerSecondMax=200")
        self.cluster.create("calm")
        began = time.monotonic()
        pipe = self.cluster.pipe("hurried", "put")
        for n in range(600):
            pipe.send({"key": f"k{n}", "value": "v"})
        # All get through, as fast as they may: the client asks again for those that are refused.
        self.assertEqual([], [one for one in pipe.end() if "error" in one])
        self.assertLess(1.9, time.monotonic() - began)  # 600 calls, a tenth of a second's share at once
        leader = self.cluster.leader("hurried")
        self.assertLessEqual(1, self.metric(leader, "calls_over_rate_total"))
        self.assertRegex(self.cluster.run("group", "show", "hurried").out, r"quotas +200 calls a second")
        self.assertEqual(200, self.cluster.show("hurried")["members"][0]["callsPerSecondMax"])

        # Who gives up is told why, and it shows; the others go on.
        self.cluster.ask("group", "set", "hurried", "callsPerSecondMax=1")
        pipe = self.cluster.pipe("hurried", "put", timeoutMs=1500)
        for n in range(30):
            pipe.send({"key": f"l{n}", "value": "v"})
        errors = [one["error"] for one in pipe.end() if "error" in one]
        self.assertLess(20, len(errors))
        for error in errors:
            self.assertFalse(error["maybeDone"], error)
            self.assertIn("its quota callsPerSecondMax", error["text"])
        self.assertEqual("more than 1 calls a second: some refused", self.refuses("hurried"))
        self.assertIn("hurried", self.unhealthy())
        self.cluster.putAll("calm", {f"k{n}": "v" for n in range(100)})
        waitFor(lambda: self.refuses("hurried") == "", 30, "nothing is refused any more")
        done = self.cluster.run("group", "set", "hurried", "callsPerSecondMax=0")
        self.assertEqual("group hurried: set, quotas: none", done.out)
        self.cluster.putAll("hurried", {f"k{n}": "v" for n in range(100)})


if __name__ == "__main__":
    unittest.main()
