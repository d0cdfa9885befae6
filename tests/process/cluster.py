# Real hosts on loopback for process tests: started, killed, paused and asked by the shipped programs.
"""Every process here is one we started, ended by its id; every directory is gone at the end.

Waiting is always for a condition with a deadline. FLOTILLA_BUILD names the build directory; FLOTILLA_ROUNDS
multiplies how often a test repeats itself (soaks).
"""

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("FLOTILLA_BUILD") or os.path.join(ROOT, "build", "release"))
HOST = os.path.join(BUILD, "bin", "flotilla-host")
COMMAND = os.path.join(BUILD, "bin", "flotilla")
ROUNDS = int(os.environ.get("FLOTILLA_ROUNDS") or 1)
KV = os.path.join(BUILD, "plugins", "kv.so")

START_SECONDS = 30
COMMAND_SECONDS = 60
ELECTION_TIMEOUT_MS = 1000  # a group's default


def waitFor(condition, seconds, what):
    """What a condition gives once it gives something true."""
    until = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > until:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def freePorts(count):
    """Ports below the range that outgoing connections take theirs from, free at this moment."""
    found, held = [], []
    while len(found) < count:
        port = random.randrange(15000, 30000)
        one = socket.socket()
        try:
            one.bind(("127.0.0.1", port))
            found.append(port)
            held.append(one)
        except OSError:
            one.close()
    for one in held:
        one.close()
    return found


class Answer:
    """What a command printed, and how it ended."""

    def __init__(self, arguments, code, out, err):
        self.arguments, self.code, self.out, self.err = arguments, code, out.strip(), err.strip()

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def error(self):
        """The error object of --json, wherever it was printed."""
        return json.loads(self.err or self.out)["error"]

    def __repr__(self):
        return f"flotilla {' '.join(self.arguments)}: exit {self.code}, out {self.out!r}, err {self.err!r}"


class Cluster:
    """Some hosts with a directory each. Extra lines go into every host's file, or into one's (`only`).

    Keys of [host], [cluster], [storage] and [plugins] are given as text; `tail` is added at the end.
    """

    def __init__(self, hosts=3, host="", cluster="", tail="", only=None):
        self.dir = tempfile.mkdtemp(prefix="flotilla-process-")
        self.numbers = list(range(1, hosts + 1))
        ports = freePorts(2 * hosts)
        self.listen = {n: f"127.0.0.1:{ports[n - 1]}" for n in self.numbers}
        self.http = {n: f"127.0.0.1:{ports[hosts + n - 1]}" for n in self.numbers}
        self.children = {n: None for n in self.numbers}
        self.pipes = []
        self.mounts = []
        self.lock = threading.Lock()
        self.secret("operator.token", "operator-" + os.urandom(12).hex())
        self.secret("peer.token", "peer-" + os.urandom(12).hex())
        for n in self.numbers:
            self.writeConfig(n, host, cluster, (only or {}).get(n, "") + tail)

    def secret(self, name, text):
        path = os.path.join(self.dir, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write(text + "\n")

    def writeConfig(self, n, host="", cluster="", tail=""):
        founders = ", ".join(f'{m} = "{self.listen[m]}"' for m in self.numbers)
        os.makedirs(self.place(n), exist_ok=True)
        with open(self.config(n), "w", encoding="utf-8") as file:
            file.write(f'[host]\nid = {n}\nlisten = "{self.listen[n]}"\nhttp = "{self.http[n]}"\n'
                       f'data_dir = "state"\n{host}\n'
                       f'[cluster]\nname = "process-test"\nfounders = {{ {founders} }}\n'
                       f'operator_token = "../operator.token"\npeer_token = "../peer.token"\n'
                       f"{cluster}\n{tail}\n")

    def place(self, n):
        return os.path.join(self.dir, f"host-{n}")

    def config(self, n):
        return os.path.join(self.place(n), "host.toml")

    def state(self, n, *below):
        return os.path.join(self.place(n), "state", *below)

    def log(self, n):
        try:
            with open(os.path.join(self.place(n), "host.log"), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            for n in self.numbers:
                tail = "\n".join(self.log(n).splitlines()[-25:])
                print(f"--- host {n}, end of its log\n{tail}", file=sys.stderr)
        self.close()

    def close(self):
        for pipe in self.pipes:
            pipe.drop()
        for n in self.numbers:
            self.resume(n)
            self.kill(n)
        for mount in self.mounts:
            subprocess.run(["umount", "-l", mount], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.dir, ignore_errors=True)

    # ---- processes

    def init(self, n):
        done = subprocess.run([HOST, "--config", self.config(n), "--init"], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=COMMAND_SECONDS, check=False)
        return Answer(["--init"], done.returncode, done.stdout, done.stderr)

    def spawn(self, n, *options, before=()):
        """Starts a host's process; `before` is put in front of it (strace …)."""
        with self.lock:
            with open(os.path.join(self.place(n), "host.log"), "ab") as log:
                self.children[n] = subprocess.Popen(
                    [*before, HOST, "--config", self.config(n), *options], stdin=subprocess.DEVNULL,
                    stdout=log, stderr=log, cwd=self.place(n))

    def start(self):
        """Founds the cluster: every host begins with --init, which also serves."""
        return self.spawnAll("--init")

    def spawnAll(self, *options):
        for n in self.numbers:
            if not self.alive(n):
                self.spawn(n, *options)
        for n in self.numbers:
            self.waitReady(n)
        return self

    def restart(self, n):
        self.spawn(n)
        self.waitReady(n)

    def alive(self, n):
        return self.children[n] is not None and self.children[n].poll() is None

    def ready(self, n):
        try:
            with urllib.request.urlopen(f"http://{self.http[n]}/readyz", timeout=2) as reply:
                return reply.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def waitReady(self, n, seconds=START_SECONDS):
        def look():
            if not self.alive(n):
                raise AssertionError(f"host {n} ended with {self.children[n].returncode} before it was ready")
            return self.ready(n)
        waitFor(look, seconds, f"host {n} ready")

    def signal(self, n, number):
        if self.alive(n):
            self.children[n].send_signal(number)

    def kill(self, n):
        """SIGKILL, and gone when this returns."""
        self.signal(n, signal.SIGKILL)
        if self.children[n] is not None:
            self.children[n].wait()

    def pause(self, n):
        self.signal(n, signal.SIGSTOP)

    def resume(self, n):
        self.signal(n, signal.SIGCONT)

    def stop(self, n, seconds=15):
        """SIGTERM; gives the exit code."""
        self.signal(n, signal.SIGTERM)
        return self.children[n].wait(seconds)

    def stopAll(self):
        for n in self.numbers:
            self.signal(n, signal.SIGTERM)
        return [self.children[n].wait(15) for n in self.numbers if self.children[n] is not None]

    # ---- commands

    def environment(self, via=None):
        return dict(os.environ, FLOTILLA_CONNECT=",".join(self.listen[n] for n in (via or self.numbers)),
                    FLOTILLA_TOKEN=os.path.join(self.dir, "operator.token"))

    def run(self, *arguments, via=None, env=None, stdin=None):
        """One command to its end, whatever that is."""
        done = subprocess.run([COMMAND, *map(str, arguments)], env={**self.environment(via), **(env or {})},
                              cwd=self.dir, input=stdin if stdin is not None else "", capture_output=True,
                              text=True, timeout=COMMAND_SECONDS, check=False)
        return Answer([str(one) for one in arguments], done.returncode, done.stdout, done.stderr)

    def ask(self, *arguments, via=None):
        """One command that must succeed; gives its --json object."""
        done = self.run(*arguments, "--json", via=via)
        assert done.code == 0, done
        return done.json

    def show(self, group, via=None):
        return self.ask("group", "show", group, via=via)

    def leader(self, group, seconds=15):
        """The host that leads a group, once there is one that runs."""
        def look():
            done = self.run("group", "show", group, "--json")
            found = done.json["leader"] if done.code == 0 else 0
            return found if found and self.alive(found) else 0
        return waitFor(look, seconds, f"a leader of {group}")

    def pushKv(self):
        self.ask("plugin", "push", KV)

    def create(self, group, *options):
        return self.ask("group", "create", group, "--plugin", "kv", *options)

    def transfer(self, group, to):
        """Moves a leadership and waits until it has moved."""
        def move():
            self.run("group", "transfer", group, "--to", to)
            return self.leader(group) == to
        waitFor(move, 20, f"{group} led by host {to}")

    def pipe(self, group, method, via=None, timeoutMs=30000):
        one = Pipe(self, group, method, via, timeoutMs)
        self.pipes.append(one)
        return one

    def putAll(self, group, pairs, via=None):
        """Puts every pair; all must be acknowledged."""
        pipe = self.pipe(group, "put", via)
        for key, value in pairs.items():
            pipe.send({"key": key, "value": value})
        for request, answer in zip(pipe.asked, pipe.end()):
            assert "error" not in answer, f"put {request['key']}: {answer}"

    def getAll(self, group, keys, via=None):
        """Key -> value, None where there is none; every get must be answered."""
        pipe = self.pipe(group, "get", via)
        for key in keys:
            pipe.send({"key": key})
        found = {}
        for request, answer in zip(pipe.asked, pipe.end()):
            assert "error" not in answer, f"get {request['key']}: {answer}"
            found[request["key"]] = answer["value"] if answer["found"] else None
        return found

    def expectAll(self, group, pairs, via=None):
        """Every pair must be there as it was written."""
        found = self.getAll(group, pairs, via)
        wrong = {key: found[key] for key, value in pairs.items() if found[key] != value}
        assert not wrong, f"{group}: {len(wrong)} of {len(pairs)} lost or other, such as {list(wrong.items())[:3]}"

    def paths(self, n, pattern):
        """Files below a host's state whose path matches, in order."""
        found = []
        for folder, _, files in os.walk(self.state(n)):
            for name in files:
                path = os.path.relpath(os.path.join(folder, name), self.state(n))
                if re.search(pattern, path):
                    found.append(path)
        return sorted(found)


class Pipe:
    """`flotilla call GROUP METHOD --lines`: calls in, answers out in the order asked, each with its moment."""

    def __init__(self, cluster, group, method, via, timeoutMs):
        self.asked, self.answers, self.moments = [], [], []
        self.child = subprocess.Popen(
            [COMMAND, "call", group, method, "--lines", "--timeout-ms", str(timeoutMs)],
            env=cluster.environment(via), cwd=cluster.dir, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.child.stdout:
            self.moments.append(time.monotonic())
            self.answers.append(json.loads(line))

    def send(self, request):
        self.asked.append(request)
        self.child.stdin.write(json.dumps(request).encode() + b"\n")
        self.child.stdin.flush()

    def closeAll(self):
        for stream in (self.child.stdin, self.child.stdout, self.child.stderr):
            try:
                stream.close()
            except OSError:
                pass  # calls that were never sent

    def waitAnswers(self, count, seconds=30):
        waitFor(lambda: len(self.answers) >= count or self.child.poll() is not None, seconds,
                f"{count} answers, {len(self.answers)} have come")

    def end(self, seconds=COMMAND_SECONDS):
        """Waits for every answer."""
        try:
            self.child.stdin.close()
        except OSError:
            pass  # it ended first; the count below tells
        self.reader.join(seconds)
        if len(self.answers) != len(self.asked):
            words = b"" if self.child.poll() is None else self.child.stderr.read()
            raise AssertionError(f"{len(self.asked)} calls, {len(self.answers)} answers: {words.decode()}")
        self.child.wait(seconds)
        return self.answers

    def drop(self):
        """Ends the process at once; what was answered by then stays in `answers`."""
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        self.reader.join(COMMAND_SECONDS)
        self.closeAll()


class Writer:
    """Puts new keys into one group, a few in flight, until told to end."""

    def __init__(self, cluster, group, prefix="w", inFlight=4, timeoutMs=30000):
        self.pipe = cluster.pipe(group, "put", timeoutMs=timeoutMs)
        self.group, self.prefix, self.inFlight = group, prefix, inFlight
        self.sent = {}
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.write, daemon=True)
        self.thread.start()

    def write(self):
        while not self.ended.is_set():
            if len(self.sent) - len(self.pipe.answers) >= self.inFlight:
                time.sleep(0.0005)
                continue
            key = f"{self.prefix}-{len(self.sent)}"
            self.sent[key] = f"{self.group}/{key}"
            try:
                self.pipe.send({"key": key, "value": self.sent[key]})
            except OSError:
                return

    def count(self):
        return len(self.pipe.answers)

    def waitMore(self, count, seconds=30):
        """Waits until so many more answers have come."""
        wanted = self.count() + count
        waitFor(lambda: self.count() >= wanted, seconds, f"{count} more answers of {self.group}")

    def end(self):
        self.ended.set()
        self.thread.join()
        self.pipe.end()
        return self

    def acknowledged(self):
        """What was answered without an error."""
        return {request["key"]: request["value"]
                for request, answer in zip(self.pipe.asked, self.pipe.answers) if "error" not in answer}

    def errors(self):
        return [answer for answer in self.pipe.answers if "error" in answer]

    def longestGapMs(self, after=0.0):
        """The longest time without an answer that ended after this moment."""
        moments = self.pipe.moments
        gaps = [later - sooner for sooner, later in zip(moments, moments[1:]) if later > after]
        return max(gaps, default=0.0) * 1000


class Supervisor:
    """Starts every host again that ends by itself, and counts how often."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.restarts = {n: 0 for n in cluster.numbers}
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while not self.ended.wait(0.05):
            for n in self.cluster.numbers:
                if not self.cluster.alive(n) and not self.ended.is_set():
                    self.restarts[n] += 1
                    self.cluster.spawn(n)

    def end(self):
        self.ended.set()
        self.thread.join()
        return self.restarts
