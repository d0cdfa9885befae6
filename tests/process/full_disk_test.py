# A full disk refuses writes, keeps reading, and takes writes again once there is room, without repair.
import os
import re
import subprocess
import unittest

from cluster import BUILD, Cluster, waitFor

ARCHIVE = os.path.join(BUILD, "plugins", "archive.so")  # kv with its state on disk

MIB = 1 << 20

# The ballast holds what a host has taken and not written when its disk is full: 200 puts of 20 kB here.
TAIL = "[storage]\nballast_bytes = 8388608\ngeneration_bytes = 1048576\n"


class FullDisk(unittest.TestCase):
    def mount(self, cluster, n):
        """Gives a host a small file system of its own."""
        place = cluster.state(n)
        os.makedirs(place, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "flotilla-test", place],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.skipTest(f"no tmpfs can be mounted here: {done.stderr.strip()}")
        cluster.mounts.append(place)

    def fill(self, cluster, n, name="filler"):
        with open(cluster.state(n, name), "wb", buffering=0) as file:
            for piece in (65536, 4096):
                try:
                    while True:
                        file.write(b"\0" * piece)
                except OSError:
                    pass

    def createOnDisk(self, cluster):
        cluster.ask("plugin", "push", ARCHIVE)
        cluster.ask("group", "create", "d", "--plugin", "archive")

    def test_read_only_while_full_and_back_when_there_is_room(self):
        with Cluster(tail=TAIL) as cluster:
            for n in cluster.numbers:
                self.mount(cluster, n)
            cluster.start()
            cluster.pushKv()
            cluster.create("g")
            self.createOnDisk(cluster)
            held = {f"k{n}": f"v{n}" for n in range(100)}
            onDisk = dict(held)
            cluster.putAll("g", held)
            cluster.putAll("d", onDisk)
            for n in cluster.numbers:
                self.fill(cluster, n)

            def refused():
                pipe = cluster.pipe("g", "put", timeoutMs=3000)
                for number in range(200):
                    pipe.send({"key": f"full-{number}", "value": "z" * 20000})
                for request, answer in zip(pipe.asked, pipe.end()):
                    if "error" not in answer:
                        held[request["key"]] = request["value"]
                return {answer["error"]["code"] for answer in pipe.answers if "error" in answer}

            seen = waitFor(lambda: {"diskFull"} & refused(), 30, "a put refused with diskFull")
            self.assertEqual({"diskFull"}, seen)
            self.assertTrue(all(cluster.alive(n) for n in cluster.numbers), "a host stopped for lack of space")
            cluster.expectAll("g", held)
            # Without what the ballast left, a machine on disk cannot write what it has gathered, and goes on with it.
            for n in cluster.numbers:
                self.fill(cluster, n, "more")
            lacks = r"machine .*/machines/.*: (waits for 16 MiB of room|.*No space left)"
            waitFor(lambda: re.search(lacks, cluster.run("group", "snapshot", "d", "--timeout-ms", 1000).err), 30,
                    "the machine on disk without room")
            cluster.expectAll("d", onDisk)
            self.assertEqual([""] * 3, [one.get("fault") or "" for one in cluster.show("d")["members"]])
            for n in cluster.numbers:
                os.remove(cluster.state(n, "filler"))
                os.remove(cluster.state(n, "more"))
            for group, pairs in (("g", held), ("d", onDisk)):
                waitFor(lambda: cluster.run("call", group, "put", "key=room", "value=again", "--timeout-ms", 3000).code == 0,
                        30, f"a put to {group} taken again")
                pairs["room"] = "again"
                cluster.expectAll(group, pairs)
            waitFor(lambda: cluster.run("group", "snapshot", "d").code == 0, 30, "the machine on disk written")
            for n in cluster.numbers:
                cluster.kill(n)
            cluster.spawnAll()
            cluster.expectAll("g", held)
            cluster.expectAll("d", onDisk)
            self.assertTrue(any("d: its machine on disk stands at" in cluster.log(n) for n in cluster.numbers))

    def test_one_full_host_of_three_holds_nobody_up(self):
        for leader in (1, 3):
            with self.subTest(leader=leader):
                self.oneFull(leader)

    def oneFull(self, leader):
        with Cluster(tail=TAIL) as cluster:
            self.mount(cluster, 3)
            cluster.start()
            cluster.pushKv()
            cluster.create("g")
            self.createOnDisk(cluster)
            for group in ("g", "d"):
                cluster.transfer(group, leader)
            self.fill(cluster, 3)
            held = {f"k{n}": "z" * 20000 for n in range(300)}
            for group in ("g", "d"):
                cluster.putAll(group, held)
                cluster.expectAll(group, held)
            os.remove(cluster.state(3, "filler"))

            def level(group):
                members = {one["host"]: one for one in cluster.show(group)["members"]}
                return members[3]["applied"] >= max(one["commit"] for one in members.values())
            for group in ("g", "d"):
                waitFor(lambda: level(group), 30, f"host 3 caught up with {group} once it had room")


if __name__ == "__main__":
    unittest.main()
