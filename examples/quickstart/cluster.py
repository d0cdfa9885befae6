# Three hosts of one's own and the flotilla command, as the tour uses them.
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

COMMAND_SECONDS = 60
PENDING_MAX = 256  # calls in flight on one pipe


class Refused(Exception):
    """A command that did not end with exit code 0."""

    def __init__(self, arguments, code, text):
        super().__init__(f"flotilla {' '.join(arguments)}: exit {code}: {text}")
        self.code, self.text = code, text


def freeBasePort(hosts):
    """A port such that it, its followers and their HTTP ports are free at this moment."""
    for _ in range(200):
        base = random.randrange(20000, 30000, 10)
        taken = []
        try:
            for offset in [*range(hosts), *range(100, 100 + hosts)]:
                one = socket.socket()
                taken.append(one)
                one.bind(("127.0.0.1", base + offset))
            return base
        except OSError:
            continue
        finally:
            for one in taken:
                one.close()
    raise SystemExit("quickstart: no free ports between 20000 and 30000; give --base-port")


class Cluster:
    """A playground in a directory of its own, gone at the end whatever happens."""

    def __init__(self, build, basePort, hosts=3):
        self.program = os.path.abspath(os.path.join(build, "bin", "flotilla"))
        self.hosts = hosts
        self.basePort = basePort or freeBasePort(hosts)
        self.place = tempfile.mkdtemp(prefix="flotilla-quickstart-")
        self.dir = os.path.join(self.place, "playground")
        self.environment = dict(
            os.environ,
            FLOTILLA_CONNECT=",".join(f"127.0.0.1:{self.basePort + i}" for i in range(hosts)),
            FLOTILLA_TOKEN=os.path.join(self.dir, "operator.token"))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.showLogs()
        for number in range(1, self.hosts + 1):
            self.end(number)
        shutil.rmtree(self.place, ignore_errors=True)

    def showLogs(self):
        """After a failure: what each host said last."""
        for number in range(1, self.hosts + 1):
            try:
                path = os.path.join(self.dir, f"host-{number}", "host.log")
                with open(path, encoding="utf-8", errors="replace") as file:
                    tail = file.read().splitlines()[-15:]
            except OSError:
                continue
            print(f"--- host {number}, end of its log", *tail, sep="\n", file=sys.stderr)

    def pid(self, number):
        """The process id of a host, or None where it does not run."""
        try:
            with open(os.path.join(self.dir, f"host-{number}", "pid"), encoding="ascii") as file:
                pid = int(file.read().strip())
            with open(f"/proc/{pid}/cmdline", "rb") as file:  # empty for one that only waits to be reaped
                return pid if b"flotilla-host" in file.read() else None
        except (OSError, ValueError):
            return None

    def end(self, number):
        pid = self.pid(number)
        if pid:
            os.kill(pid, signal.SIGKILL)

    def run(self, *arguments):
        """Runs one command to its end and gives what it printed; raises Refused."""
        done = subprocess.run([self.program, *arguments], env=self.environment, cwd=self.place,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=COMMAND_SECONDS, check=False)
        if done.returncode != 0:
            raise Refused(arguments, done.returncode, (done.stderr or done.stdout).strip())
        return done.stdout

    def ask(self, *arguments):
        """The same, with --json, and gives the object."""
        return json.loads(self.run(*arguments, "--json"))

    def playground(self, verb, *arguments):
        return self.run("playground", verb, *arguments, "--dir", self.dir)

    def leader(self, group):
        """Who leads a group, waiting until somebody does."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            found = self.ask("group", "show", group)["leader"]
            if found:
                return found
        raise SystemExit(f"quickstart: group {group} had no leader for 20 s")

    def pipe(self, group, method):
        return Pipe(self, group, method)


class Pipe:
    """`flotilla call GROUP METHOD --lines`: many calls in flight, answered in the order asked."""

    def __init__(self, cluster, group, method):
        self.asked, self.answers = [], []
        self.slots = threading.Semaphore(PENDING_MAX)
        self.child = subprocess.Popen(
            [cluster.program, "call", group, method, "--lines", "--timeout-ms", "30000"],
            env=cluster.environment, cwd=cluster.place, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.child.stdout:
            self.answers.append((time.monotonic(), json.loads(line)))
            self.slots.release()

    def send(self, request):
        """Sends one call; waits while too many are unanswered."""
        if not self.slots.acquire(timeout=COMMAND_SECONDS):
            raise SystemExit(f"quickstart: no answer for {COMMAND_SECONDS} s")
        self.asked.append(request)
        self.child.stdin.write(json.dumps(request).encode() + b"\n")
        self.child.stdin.flush()

    def end(self):
        """Waits for every answer, and gives them with the moments they came."""
        self.child.stdin.close()
        self.reader.join(COMMAND_SECONDS)
        words = self.child.stderr.read().decode()
        self.child.wait(COMMAND_SECONDS)
        if len(self.answers) != len(self.asked):
            raise SystemExit(
                f"quickstart: {len(self.asked)} calls, {len(self.answers)} answers: {words.strip()}")
        return self.answers
