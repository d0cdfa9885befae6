# A newcomer's way: an installed tree, a new plugin that stands alone, a playground that runs it, a client of one's own.
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

from cluster import BUILD, ROOT, freePorts

BUILD_SECONDS = 150


class Install(unittest.TestCase):
    """Nothing below uses a file of the source tree but the example client, which is copied out of it first."""

    def setUp(self):
        self.place = os.path.realpath(tempfile.mkdtemp(prefix="flotilla-install-"))
        self.addCleanup(shutil.rmtree, self.place, ignore_errors=True)
        self.prefix = os.path.join(self.place, "prefix")
        self.base = freePorts(1)[0]
        self.environment = dict(os.environ)
        for name in ("FLOTILLA_TOKEN", "CMAKE_PREFIX_PATH"):
            self.environment.pop(name, None)
        self.environment["FLOTILLA_CONNECT"] = f"127.0.0.1:{self.base}"
        self.environment["PATH"] = f"{self.prefix}/bin:{os.environ['PATH']}"
        # Whatever directory a compiler cache compares by, the plugin is new.
        self.environment["CCACHE_DISABLE"] = "1"

    def run_(self, *words, code=0, seconds=60):
        done = subprocess.run([str(word) for word in words], cwd=self.place, env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
        self.assertEqual(code, done.returncode, f"{words}: {done.stdout} {done.stderr}")
        return done

    def edit(self, path, old, new):
        path = os.path.join(self.place, path)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.assertEqual(1, text.count(old), f"{path}: {old}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))

    def build(self, folder):
        """Configures and builds as the folder's README says: the prefix is found by its bin/ in PATH."""
        self.run_("cmake", "-S", folder, "-B", f"{folder}/build")
        self.run_("cmake", "--build", f"{folder}/build", "-j2", seconds=BUILD_SECONDS)

    def test_a_newcomers_way(self):
        self.run_("cmake", "--install", BUILD, "--prefix", self.prefix)
        for path in ("bin/flotilla", "bin/flotilla-host", "bin/flotilla-plugin-check", "bin/flotilla-sim",
                     "lib/flotilla/plugins/kv.so", "lib/cmake/Flotilla/FlotillaConfig.cmake",
                     "lib/pkgconfig/flotilla-sdk.pc", "lib/pkgconfig/flotilla-client.pc",
                     "include/flotilla/abi.h", "share/flotilla/schemas/client.capnp"):
            self.assertTrue(os.path.exists(os.path.join(self.prefix, path)), path)

        made = self.run_("flotilla", "plugin", "new", "tally").stdout
        self.assertIn("cmake -S tally -B tally/build", made)
        self.edit("tally/tally.cc", "throw flotilla::Error(\"emptyName\", \"give it a name\")",
                  "throw flotilla::Error(\"nameless\", \"what is to be counted?\")")
        self.edit("tally/tally_test.cc", "\"emptyName\"", "\"nameless\"")
        began = time.monotonic()
        self.build("tally")
        print(f"built in {time.monotonic() - began:.0f} s")
        passed = self.run_("ctest", "--test-dir", "tally/build", "--no-tests=error").stdout
        self.assertIn("100% tests passed, 0 tests failed out of 2", passed)
        plugin = "tally/build/plugins/tally.so"
        checked = self.run_("flotilla", "plugin", "check", plugin).stdout
        self.assertIn("plugin tally 1.0.0", checked)
        self.assertIn("2000 calls made up from seed 1: answers and digests equal in twin processes", checked)
        wavering = os.path.join(BUILD, "test-plugins", "wavering_{}.so")
        clock = wavering.format("clock")
        refused = self.run_("flotilla", "plugin", "check", clock, code=1).stderr
        self.assertIn("uses a clock (imports _ZNSt6chrono3_V212steady_clock3nowEv)", refused)
        allow = ("--allow", "_ZNSt6chrono3_V212steady_clock3nowEv")
        refused = self.run_("flotilla", "plugin", "check", clock, *allow, code=1).stderr
        self.assertRegex(refused, r"call \d+, put\(.*no clock, random numbers, addresses")
        refused = self.run_("flotilla", "--json", "plugin", "check", wavering.format("restore_order"), code=1).stderr
        self.assertIn("restored from a snapshot before call", json.loads(refused)["error"]["text"])

        self.guide()
        self.addCleanup(self.run_, "flotilla", "playground", "stop")
        self.run_("flotilla", "playground", "start", "--base-port", self.base)
        self.run_("flotilla", "plugin", "push", plugin)
        self.run_("flotilla", "group", "create", "g", "--plugin", "tally")
        for by in (2, 3):
            self.run_("flotilla", "call", "g", "add", "name=ships", f"by={by}")
        answer = self.run_("flotilla", "--json", "call", "g", "read", "name=ships").stdout
        self.assertEqual(5, json.loads(answer)["value"])
        refused = self.run_("flotilla", "call", "g", "add", "by=1", code=1).stderr
        self.assertIn("what is to be counted?", refused)

        self.client()

    def guide(self):
        """The worked example of the author's guide, as the guide writes it."""
        with open(f"{self.prefix}/share/doc/flotilla/plugins.md", encoding="utf-8") as file:
            blocks = re.findall(r"^```(capnp|cpp)\n(.*?)^```$", file.read(), re.M | re.S)
        self.assertEqual(["capnp", "cpp", "cpp", "cpp", "cpp", "cpp"], [kind for kind, _ in blocks])
        # One shows timers in another machine.
        interface, machine, onDisk, _, test, clusterTest = (text for _, text in blocks)
        self.run_("flotilla", "plugin", "new", "stock")
        for name, begins, text in (("stock.capnp", "interface Stock", interface), ("stock.cc", "", machine),
                                   ("stock_test.cc", "int main()", test), ("stock_cluster_test.cc", "", clusterTest)):
            with open(os.path.join(self.place, "stock", name), "r+", encoding="utf-8") as file:
                kept = file.read().split(begins)[0] if begins else ""
                file.seek(0)
                file.write(kept + text)
                file.truncate()
        self.build("stock")
        self.run_("ctest", "--test-dir", "stock/build", "--no-tests=error")
        checked = self.run_("flotilla", "plugin", "check", "stock/build/plugins/stock.so", "--config", "goodsMax=5")
        self.assertIn("answers and digests equal", checked.stdout)
        refused = self.run_("flotilla", "plugin", "check", "stock/build/plugins/stock.so", "--config", "goodsMax=many",
                            code=1).stderr
        self.assertIn('config goodsMax "many": needs a whole number from 0 to 4294967295', refused)
        # The same on disk: other last lines, and nothing else.
        self.assertIn("flotilla::DiskTable<", onDisk)
        with open(os.path.join(self.place, "stock", "stock.cc"), "w", encoding="utf-8") as file:
            file.write(machine.split("private:\n")[0] + onDisk)
        self.build("stock")
        self.run_("ctest", "--test-dir", "stock/build", "--no-tests=error")
        checked = self.run_("flotilla", "plugin", "check", "stock/build/plugins/stock.so", "--config", "goodsMax=5")
        self.assertIn("answers and digests equal", checked.stdout)

    def client(self):
        """An application against Flotilla::client, and the same with pkg-config's words alone."""
        shutil.copytree(os.path.join(ROOT, "examples", "kv-client"), os.path.join(self.place, "kv-client"))
        self.build("kv-client")
        self.run_("flotilla", "plugin", "push", f"{self.prefix}/lib/flotilla/plugins/kv.so")
        self.run_("flotilla", "group", "create", "k", "--plugin", "kv")
        asked = (f"127.0.0.1:{self.base}", "playground/client.token", "k")
        self.run_("kv-client/build/kv-client", *asked, "put", "a", "kept by an own client")
        answer = self.run_("kv-client/build/kv-client", *asked, "get", "a").stdout
        self.assertEqual("kept by an own client\n", answer)

        self.environment["PKG_CONFIG_PATH"] = f"{self.prefix}/lib/pkgconfig"
        flags = self.run_("pkg-config", "--cflags", "--libs", "flotilla-client").stdout.split()
        with open(os.path.join(self.place, "least.cc"), "w", encoding="utf-8") as file:
            file.write("#include \"sdk/client/client.h\"\n"
                       "int main() {\n"
                       "  auto io = kj::setupAsyncIo();\n"
                       "  flotilla::client::Client client(io, {});\n"
                       "}\n")
        self.run_("c++", "least.cc", "-o", "least", *flags, seconds=BUILD_SECONDS)
        self.assertTrue(re.search(r"-I\S+include", self.run_("pkg-config", "--cflags", "flotilla-sdk").stdout))


if __name__ == "__main__":
    unittest.main()
