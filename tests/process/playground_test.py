# The operator's first minutes: playground, plugin, group, a call through each host; stop and resume.
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from cluster import COMMAND, KV, freePorts


class Playground(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.mkdtemp(prefix="flotilla-playground-")
        self.base = freePorts(1)[0]
        self.addCleanup(shutil.rmtree, self.place, ignore_errors=True)

    def run_(self, *arguments, code=0, connect=0):
        """A command in the playground's folder, as a person types it there."""
        environment = dict(os.environ)
        environment.pop("FLOTILLA_TOKEN", None)
        environment["FLOTILLA_CONNECT"] = f"127.0.0.1:{self.base + connect}"
        done = subprocess.run([COMMAND, *map(str, arguments)], cwd=self.place, env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual(code, done.returncode, f"{arguments}: {done.stdout} {done.stderr}")
        return done

    def test_put_through_one_host_get_through_the_others(self):
        self.addCleanup(self.run_, "playground", "stop")
        self.run_("playground", "start", "--base-port", self.base)
        for n in (1, 2, 3):
            for name in ("config.toml", "host.log", "pid"):
                self.assertTrue(os.path.exists(f"{self.place}/playground/host-{n}/{name}"), (n, name))
        token = f"{self.place}/playground/operator.token"
        self.assertEqual(0o600, os.stat(token).st_mode & 0o777)

        self.run_("plugin", "push", KV)
        self.run_("group", "create", "g", "--plugin", "kv")
        shown = json.loads(self.run_("group", "show", "g", "--json").stdout)
        self.assertEqual([1, 2, 3], [one["host"] for one in shown["members"]])
        self.run_("call", "g", "put", "key=a", "value=hello", connect=0)
        for other in (1, 2):
            answer = json.loads(self.run_("call", "g", "get", "key=a", "--json", connect=other).stdout)
            self.assertEqual({"value": "hello", "found": True},
                             {name: answer[name] for name in ("value", "found")})
        self.assertIn("put", self.run_("call", "g").stdout)

        self.run_("playground", "kill", 2)
        self.run_("call", "g", "put", "key=b", "value=two of three", connect=0)
        self.run_("playground", "restart", 2)
        self.run_("playground", "stop")
        self.run_("call", "g", "get", "key=a", "--timeout-ms", 2000, code=3)

        self.run_("playground", "start", "--base-port", self.base)
        answer = json.loads(self.run_("call", "g", "get", "key=b", "--json", connect=1).stdout)
        self.assertEqual("two of three", answer["value"])
        self.run_("playground", "status")


if __name__ == "__main__":
    unittest.main()
