# Every plugin that must be refused is pushed to hosts that serve, which go on serving.
import os
import subprocess
import unittest

from cluster import BUILD, Cluster, Writer

FOLDER = os.path.join(BUILD, "test-plugins")
CHECK = os.path.join(BUILD, "bin", "flotilla-plugin-check")
MISBEHAVING = {"bad_behaviour.so", "bad_boundary.so"}  # fit to be loaded: bad_machines_test.py
HANGS = {"bad_load_hang.so"}
GAP_MS = 1500


class BadPlugins(unittest.TestCase):
    def test_each_is_refused_with_the_checkers_words_and_nobody_else_notices(self):
        cluster = Cluster().start()
        self.addCleanup(cluster.close)
        cluster.pushKv()
        cluster.create("steady")
        files = sorted(name for name in os.listdir(FOLDER)
                       if name.startswith("bad_") and name not in MISBEHAVING)
        self.assertGreaterEqual(len(files), 30)
        writer = Writer(cluster, "steady", "w")
        writer.waitMore(50)
        for name in files:
            path = os.path.join(FOLDER, name)
            done = cluster.run("plugin", "push", path)
            self.assertEqual(1, done.code, done)
            self.assertEqual(1, len(done.err.splitlines()), done)
            if name in HANGS:
                self.assertIn("nothing in it may wait while it is loaded", done.err)
                continue
            checked = subprocess.run([CHECK, path], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(1, checked.returncode, name)
            why = checked.stderr.strip().split(name + ": ", 1)[1]
            self.assertTrue(done.err.endswith(why), f"{done.err}\n{why}")
            writer.waitMore(5)
        self.assertEqual(["kv"], [one["name"] for one in cluster.ask("plugin", "list")["plugins"]])
        self.assertEqual([], writer.end().errors()[:3])
        self.assertTrue(all(cluster.alive(n) for n in cluster.numbers))
        self.assertLess(writer.longestGapMs(), GAP_MS)
        print(f"{len(files)} plugins refused, longest gap of writes {writer.longestGapMs():.0f} ms")


if __name__ == "__main__":
    unittest.main()
