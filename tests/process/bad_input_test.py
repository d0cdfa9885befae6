# Every bad input gets one clear line that says what was found and what to do, and changes nothing.
import json
import os
import re
import shutil
import subprocess
import unittest

from cluster import BUILD, HOST, KV, ROOT, Cluster, waitFor


def oneLine(text):
    """The last line a program wrote, without the logger's own columns in front."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1] if lines else ""


class BadConfig(unittest.TestCase):
    """Judged before anything is touched: --check-config says the same as a start would."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.close)

    def refused(self, expected, replace=("", ""), tail=""):
        """Changes host 1's file in one place; the check must end with this text, in one line."""
        self.cluster.writeConfig(1, tail=tail)
        with open(self.cluster.config(1), encoding="utf-8") as file:
            text = file.read()
        self.assertIn(replace[0], text)
        with open(self.cluster.config(1), "w", encoding="utf-8") as file:
            file.write(text.replace(*replace, 1))
        done = subprocess.run([HOST, "--config", self.cluster.config(1), "--check-config"], capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, timeout=30, check=False)
        said = (done.stderr + done.stdout).strip()
        self.assertEqual(2, done.returncode, said)
        self.assertRegex(said, expected)
        self.assertEqual(1, len(said.splitlines()), said)
        self.assertFalse(os.path.exists(self.cluster.state(1)))

    def test_a_good_file_passes(self):
        self.cluster.writeConfig(1)
        done = subprocess.run([HOST, "--config", self.cluster.config(1), "--check-config"], capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, timeout=30, check=False)
        self.assertEqual(0, done.returncode, done.stderr)

    def test_an_unknown_key(self):
        self.refused(r"host\.toml:\d+:\d+: host\.lisen: unknown key; known here: .*listen",
                     ("listen =", "lisen ="))
        self.refused(r"host\.toml:\d+:\d+: storrage: unknown key", tail="[storrage]\na = 1")

    def test_a_missing_port(self):
        self.refused(r'host\.listen: "127\.0\.0\.1": no port; write it as host:port',
                     (f'listen = "{self.cluster.listen[1]}"', 'listen = "127.0.0.1"'))
        self.refused(r'cluster\.founders\.2: "10\.0\.0\.7": no port; write it as host:port',
                     (f'2 = "{self.cluster.listen[2]}"', '2 = "10.0.0.7"'))

    def test_two_hosts_with_one_id(self):
        self.refused(r"host\.toml:\d+:\d+: .*cannot redefine existing string '2'; write each key once, "
                     r"and give each host an id of its own", ("3 = ", "2 = "))
        self.refused(r"host\.toml:\d+:\d+: cluster\.founders\.0?2: two hosts with the id 2; give each its own",
                     ("3 = ", "02 = "))

    def test_an_address_for_all_the_world_without_tls(self):
        port = self.cluster.listen[1].split(":")[1]
        self.refused(r'"0\.0\.0\.0:\d+" is not loopback.*\[tls\].*insecure',
                     (f'listen = "{self.cluster.listen[1]}"', f'listen = "0.0.0.0:{port}"'))

    def test_a_file_that_is_not_there(self):
        done = subprocess.run([HOST, "--config", "nowhere.toml"], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=30, check=False)
        self.assertEqual(2, done.returncode)
        self.assertIn("nowhere.toml: cannot be read", done.stderr)

    def test_a_broken_file(self):
        self.refused(r"host\.toml:\d+:\d+: ", ('listen = "', 'listen = '))


class BadDirectory(unittest.TestCase):
    def start(self, cluster, n):
        """Starts a host that must refuse; gives the last line it wrote."""
        before = len(cluster.log(n))
        cluster.spawn(n)
        waitFor(lambda: not cluster.alive(n), 15, f"host {n} refusing to start")
        self.assertNotEqual(0, cluster.children[n].returncode)
        return oneLine(cluster.log(n)[before:])

    def test_no_host_id(self):
        with Cluster(hosts=1) as cluster:
            self.assertRegex(self.start(cluster, 1),
                             r"data_dir .*: no host\.id; a new host starts once with --init, "
                             r"one that lost its disk joins under a new id")
            self.assertFalse(os.path.exists(cluster.state(1, "log")))

    def test_init_over_a_host(self):
        with Cluster(hosts=1).start() as cluster:
            cluster.kill(1)
            with open(cluster.state(1, "host.id"), "rb") as file:
                before = file.read()
            done = cluster.init(1)
            self.assertNotEqual(0, done.code)
            self.assertRegex(oneLine(done.err),
                             r"data_dir .*: host\.id is there already \(host 1, cluster process-test\); "
                             r"start without --init")
            with open(cluster.state(1, "host.id"), "rb") as file:
                self.assertEqual(before, file.read())

    def test_init_where_host_id_is_lost(self):
        with Cluster(hosts=1).start() as cluster:
            cluster.kill(1)
            os.remove(cluster.state(1, "host.id"))
            done = cluster.init(1)
            self.assertNotEqual(0, done.code)
            self.assertRegex(oneLine(done.err), r"data_dir .*: meta/ is there without host\.id; ")
            self.assertFalse(os.path.exists(cluster.state(1, "host.id")))

    def test_init_again_after_one_that_was_refused(self):
        with Cluster(hosts=1, tail='[storage]\nvolumes = { other = "file/below" }\n') as cluster:
            blocker = os.path.join(cluster.place(1), "file")
            with open(blocker, "wb"):
                pass
            done = cluster.init(1)
            self.assertNotEqual(0, done.code)
            self.assertIn("file", oneLine(done.err))
            os.remove(blocker)
            cluster.start()

    def test_two_processes_on_one_directory(self):
        with Cluster(hosts=1).start() as cluster:
            first = cluster.children[1]
            said = self.start(cluster, 1)
            cluster.children[1] = first
            self.assertRegex(said, r"data_dir .*: in use by another flotilla-host \(pid \d+\); "
                             r"stop it, or give this host its own host\.data_dir")
            self.assertTrue(cluster.alive(1))
            self.assertTrue(cluster.ready(1))

    def test_another_hosts_directory(self):
        with Cluster(hosts=2).start() as cluster:
            for n in (1, 2):
                cluster.kill(n)
            shutil.rmtree(cluster.state(2))
            shutil.copytree(cluster.state(1), cluster.state(2))
            self.assertRegex(self.start(cluster, 2),
                             r"data_dir .*: belongs to host 1, this is host 2; correct host\.id")

    def test_another_clusters_directory(self):
        with Cluster(hosts=1).start() as one, Cluster(hosts=1).start() as other:
            one.kill(1)
            other.kill(1)
            with open(other.config(1), encoding="utf-8") as file:
                text = file.read().replace('name = "process-test"', 'name = "another"')
            with open(other.config(1), "w", encoding="utf-8") as file:
                file.write(text)
            self.assertRegex(self.start(other, 1),
                             r'data_dir .*: belongs to cluster "process-test", this is "another"; '
                             r"correct cluster\.name")


class BadPlugin(unittest.TestCase):
    """A file is judged in a child process; the host that was asked goes on."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(hosts=1).start()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.pushKv()
        cls.cluster.create("g")

    def refused(self, path, expected):
        before = self.cluster.ask("plugin", "list")
        for way in (["plugin", "push", path], ["plugin", "check", path]):
            done = self.cluster.run(*way)
            self.assertNotEqual(0, done.code, done)
            self.assertRegex(done.err, expected)
            self.assertEqual(1, len(done.err.splitlines()), done)
        self.assertEqual(before, self.cluster.ask("plugin", "list"))
        self.cluster.putAll("g", {"still": "here"})

    def compiled(self, name, text):
        """A shared object from C, against the SDK's own header."""
        source = os.path.join(self.cluster.dir, name + ".c")
        with open(source, "w", encoding="ascii") as file:
            file.write(text)
        path = os.path.join(self.cluster.dir, name + ".so")
        subprocess.run(["cc", "-shared", "-fPIC", f"-I{ROOT}/sdk", "-o", path, source], check=True)
        return path

    def test_no_elf_file(self):
        path = os.path.join(self.cluster.dir, "text.so")
        with open(path, "w", encoding="ascii") as file:
            file.write("no program at all\n" * 10)
        self.refused(path, r"is no ELF file; give the shared object that flotilla_add_plugin builds")

    def test_no_file(self):
        done = self.cluster.run("plugin", "push", "nowhere.so")
        self.assertEqual(2, done.code, done)
        self.assertIn("nowhere.so", done.err)

    def test_no_entry_symbol(self):
        self.refused(self.compiled("empty", "int nothing;\n"), r"exports no flotilla_plugin")

    def test_constructors_that_crash(self):
        self.refused(self.compiled("crashing", "#include <stdlib.h>\n"
                                   "__attribute__((constructor)) static void no(void) { abort(); }\n"),
                     r": crashed while it was loaded \(SIGABRT\)")

    def test_another_abi(self):
        """kv's own bytes with another number in the descriptor's place are no plugin; so a descriptor in C."""
        text = ("#include <flotilla/abi.h>\n"
                "static flotilla_descriptor it;\n"
                '__attribute__((visibility("default"))) const flotilla_descriptor* flotilla_plugin(void) {\n'
                "  it.size = sizeof it; it.magic = FLOTILLA_ABI_MAGIC; it.abiMajor = FLOTILLA_ABI_MAJOR + 1;\n"
                "  return &it;\n}\n")
        self.refused(self.compiled("abi", text),
                     r": built for ABI 2\.0, this host has ABI 1\.3; build it against this host's sdk/")

    def test_another_capnp_version(self):
        self.refused(os.path.join(BUILD, "test-plugins", "bad_capnp.so"),
                     r": built with Cap'n Proto 1\.0\.1, this host has 0\.9\.2; build it with the same one")

    def test_a_method_without_handler(self):
        self.refused(os.path.join(BUILD, "test-plugins", "bad_missing_handler.so"),
                     r": method get @1 has no handler; add it to the machine and to FLOTILLA_PLUGIN")

    def test_a_method_that_takes_a_capability(self):
        self.refused(os.path.join(BUILD, "test-plugins", "bad_capability.so"),
                     r": method watch: parameter\.options\.sinks is a capability; only bytes are replicated")

    def test_other_bytes_under_one_version(self):
        path = os.path.join(self.cluster.dir, "kv.so")
        shutil.copy(KV, path)
        with open(path, "ab") as file:
            file.write(b"\0more")
        done = self.cluster.run("plugin", "push", path, "--json")
        self.assertEqual(1, done.code, done)
        self.assertEqual("alreadyExists", done.error["code"])
        self.assertRegex(done.error["text"],
                         r"plugin kv@1\.0\.0: exists with SHA-256 [0-9a-f]{12}, this file has [0-9a-f]{12}; "
                                              r"give it another version")
        again = self.cluster.run("plugin", "push", KV, "--json")
        self.assertEqual(0, again.code, again)


class BadCalls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster().start()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.pushKv()
        cls.cluster.create("g")
        cls.cluster.putAll("g", {"a": "b"})

    def refused(self, code, exitCode, expected, *arguments, **options):
        done = self.cluster.run(*arguments, "--json", **options)
        self.assertEqual(exitCode, done.code, done)
        self.assertRegex(done.error["text"], expected)
        if code:
            self.assertEqual(code, done.error["code"])
        plain = self.cluster.run(*arguments, **options)
        self.assertEqual(exitCode, plain.code)
        self.assertEqual(1, len(plain.err.splitlines()), plain)
        self.assertRegex(plain.err, expected)
        self.cluster.expectAll("g", {"a": "b"})

    def test_a_group_with_another_spec(self):
        self.refused("alreadyExists", 1,
                     r"group g: exists with options none, asked for electionTimeoutMs=900; remove it first",
                     "group", "create", "g", "--plugin", "kv", "--set", "electionTimeoutMs=900")

    def test_the_same_spec_again_is_no_error(self):
        self.assertEqual(0, self.cluster.run("group", "create", "g", "--plugin", "kv").code)

    def test_the_name_of_the_clusters_own_group(self):
        self.refused("badRequest", 1, r"group catalog: the name of the cluster's own group; give another",
                     "group", "create", "catalog", "--plugin", "kv")

    def test_an_unknown_group(self):
        self.refused("noSuchGroup", 1, r"group nowhere: there is none of that name; create it first",
                     "call", "nowhere", "put", "key=a", "value=c")
        self.refused("noSuchGroup", 1, r"group nowhere: there is none of that name; `flotilla group list`",
                     "group", "show", "nowhere")

    def test_removing_what_is_not_there_says_so(self):
        done = self.cluster.run("group", "remove", "nowhere")
        self.assertEqual(0, done.code, done)
        self.assertIn("nowhere", done.out)

    def test_an_unknown_method(self):
        self.refused("noSuchMethod", 1, r"fly: plugin kv has no such method; it has put, get",
                     "call", "g", "fly", "key=a")

    def test_a_bad_name(self):
        self.refused("badRequest", 2, r"Big Group.*a-z", "group", "create", "Big Group", "--plugin", "kv")

    def test_an_unknown_plugin(self):
        self.refused(None, 1, r"group h: plugin nothing is not known; push it first",
                     "group", "create", "h", "--plugin", "nothing")

    def test_an_unknown_option(self):
        self.refused(None, 1, r"electionTimeout\b.*electionTimeoutMs",
                     "group", "create", "h", "--plugin", "kv", "--set", "electionTimeout=5")

    def test_hosts_that_are_not_there(self):
        self.refused(None, 1, r"group h: host 9 is not known; there are 1 2 3",
                     "group", "create", "h", "--plugin", "kv", "--on", "1,2,9")

    def test_json_that_does_not_fit(self):
        for arguments, expected in {
            ('{"key":"a","value":5}',): r'value: expected a string or \{"base64":.*found 5',
            ('{"key":"a","valeu":"c"}',): r"valeu: no such field; there is key, value",
            ('{"key":"a","key":"b","value":"c"}',): r"key: given twice",
            ('{"key":',): r"not JSON: at byte 8",
            ('["a"]',): r"write field=value, field=@FILE, one JSON object, or -",
            ("key=a", "colour=red"): r"colour: no such field; there is key, value",
            ('{"key":"a","value":{"base64":"***"}}',): r'value\.base64: expected base64 with padding, found "\*\*\*"',
        }.items():
            with self.subTest(arguments=arguments):
                self.refused(None, 2, expected, "call", "g", "put", *arguments)

    def test_numbers_that_do_not_fit(self):
        methods = {one["name"]: one for one in self.cluster.ask("call", "g")["methods"]}
        self.assertIn("list", methods)
        for value, expected in {"1.5": r"limit.*1\.5", "-1": r"limit.*-1", "99999999999": r"limit.*99999999999",
                                '"many"': r"limit"}.items():
            with self.subTest(value=value):
                self.refused(None, 2, expected, "call", "g", "list", '{"prefix":"","limit":' + value + "}")

    def test_a_value_over_the_limit(self):
        big = os.path.join(self.cluster.dir, "big")
        with open(big, "wb") as file:
            file.write(b"x" * (5 << 20))
        self.refused("badRequest", 2, r"big: more than \d{6,} bytes; give a smaller file",
                     "call", "g", "put", "key=a", f"value=@{big}")
        self.refused("tooLarge", 1, r"parameters of 5242\d{3} bytes, at most \d{7}", "call", "g", "put", "-",
                     stdin=json.dumps({"key": "a", "value": "x" * (5 << 20)}))
        self.refused("app", 1, r"a value has at most 1048576 bytes, this one 2097152", "call", "g", "put", "-",
                     stdin=json.dumps({"key": "a", "value": "x" * (2 << 20)}))

    def test_the_machines_own_refusal(self):
        self.refused("app", 1, r"a key needs at least one byte", "call", "g", "put", "key=", "value=c")

    def test_a_wrong_token(self):
        wrong = os.path.join(self.cluster.dir, "wrong.token")
        with open(wrong, "w", encoding="ascii") as file:
            file.write("not the secret\n")
        self.refused("denied", 1,
                     r"login: this token opens nothing here; give the token of an operator or of a client with --token",
                     "call", "g", "put", "key=a", "value=c", "--token", wrong)
        done = self.cluster.run("status", "--token", "nowhere.token")
        self.assertEqual(2, done.code, done)
        self.assertIn("nowhere.token", done.err)

    def test_nobody_there(self):
        done = self.cluster.run("status", "--connect", "127.0.0.1:1", "--timeout-ms", 2000)
        self.assertEqual(3, done.code, done)
        self.assertIn("127.0.0.1:1", done.err)

    def test_a_wrong_command_line(self):
        for arguments in (["grop", "list"], ["group", "create"], ["status", "--jsn"], ["call"]):
            with self.subTest(arguments=arguments):
                done = self.cluster.run(*arguments)
                self.assertEqual(2, done.code, done)
                self.assertTrue(done.err)

    def test_lines_answer_each_line_for_itself(self):
        done = self.cluster.run("call", "g", "put", "--lines",
                                stdin='{"key":"l1","value":"x"}\n{"key":5}\nnonsense\n{"key":"l2","value":"y"}\n')
        lines = done.out.splitlines()
        self.assertEqual(4, len(lines), done)
        self.assertEqual([False, True, True, False], ['"error"' in line for line in lines])
        self.cluster.expectAll("g", {"l1": "x", "l2": "y"})

    def test_a_line_over_the_limit_gets_one_answer(self):
        done = self.cluster.run("call", "g", "put", "--lines",
                                stdin=json.dumps({"key": "l3", "value": "x" * (9 << 20)}) +
                                '\n{"key":"l4","value":"y"}\n')
        lines = [json.loads(line) for line in done.out.splitlines()]
        self.assertEqual(2, len(lines), done.out)
        self.assertEqual("tooLarge", lines[0]["error"]["code"])
        self.assertRegex(lines[0]["error"]["text"], r"line 1: more than \d{7} bytes; send less at once")
        self.assertNotIn("error", lines[1])
        self.cluster.expectAll("g", {"l4": "y"})


if __name__ == "__main__":
    unittest.main()
