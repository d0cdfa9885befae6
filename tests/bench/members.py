# Three members on loopback to be measured: ours, and etcd's.
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "process"))


def cluster(build):
    """tests/process/cluster.py's three hosts, of that build."""
    os.environ["FLOTILLA_BUILD"] = build
    from cluster import Cluster  # reads FLOTILLA_BUILD as it is imported
    return Cluster()


def bench(build, hosts, *options):
    """One run of flotilla-bench; gives its object."""
    done = subprocess.run(
        [os.path.join(build, "bin", "flotilla-bench"), "--connect", ",".join(hosts.listen.values()),
         "--token", os.path.join(hosts.dir, "operator.token"), "--json", *map(str, options)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"flotilla-bench {' '.join(map(str, options))}: exit {done.returncode}")
    return json.loads(done.stdout)


class Usage:
    """What processes have used: processor seconds and resident bytes, by /proc."""

    TICK = os.sysconf("SC_CLK_TCK")

    def __init__(self, pids):
        self.pids = pids

    def cpuSeconds(self):
        total = 0
        for pid in self.pids:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / self.TICK

    def memoryBytes(self):
        total = 0
        for pid in self.pids:
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                total += next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))
        return total


class Etcd:
    """Three etcd members with a directory each, gone at the end."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="flotilla-etcd-")
        self.children = []
        held = [socket.socket() for _ in range(6)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in held]
        for one in held:
            one.close()
        self.clients, peers = ports[:3], ports[3:]
        members = ",".join(f"m{i}=http://127.0.0.1:{peers[i]}" for i in range(3))
        for i in range(3):
            with open(os.path.join(self.dir, f"m{i}.log"), "wb") as log:
                self.children.append(subprocess.Popen(
                    ["etcd", "--name", f"m{i}", "--data-dir", os.path.join(self.dir, f"m{i}"),
                     "--listen-client-urls", f"http://127.0.0.1:{self.clients[i]}",
                     "--advertise-client-urls", f"http://127.0.0.1:{self.clients[i]}",
                     "--listen-peer-urls", f"http://127.0.0.1:{peers[i]}",
                     "--initial-advertise-peer-urls", f"http://127.0.0.1:{peers[i]}",
                     "--initial-cluster", members, "--quota-backend-bytes", str(8 << 30)],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def __enter__(self):
        until = time.monotonic() + 30
        while not all(self.healthy(port) for port in self.clients):
            if time.monotonic() > until:
                raise SystemExit("etcd: no three healthy members within 30 s")
            time.sleep(0.1)
        return self

    @staticmethod
    def healthy(port):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as reply:
                return json.loads(reply.read()).get("health") == "true"
        except OSError:
            return False

    def __exit__(self, *_):
        for child in self.children:
            child.kill()
            child.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    @staticmethod
    def build(into):
        """Debian keeps Go's libraries where GOPATH looks for them."""
        program = os.path.join(into, "etcd-load")
        environment = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOFLAGS="-p=2",
                           GOCACHE=os.path.join(into, "cache"))
        subprocess.run(["go", "build", "-o", program, os.path.join(HERE, "etcd", "load.go")],
                       env=environment, check=True)
        return program

    def load(self, program, *options):
        addresses = ",".join(f"127.0.0.1:{port}" for port in self.clients)
        done = subprocess.run([program, "-connect", addresses, *map(str, options)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout)


def median(values):
    return statistics.median(values)


def processes(hosts):
    return [hosts.children[n].pid for n in hosts.numbers]

