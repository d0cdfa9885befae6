# The tour: loads Debian's package database into groups, kills a leader, and checks that nothing was lost.
import argparse
import base64
import os
import sys
import threading
import time

from cluster import Cluster, Refused

ELECTION_TIMEOUT_MS = 1000  # a group's default
STEPS = 13


class Tour:
    """The steps in order; each prints what was seen and raises SystemExit where it did not hold."""

    def __init__(self, cluster, build, records):
        self.cluster, self.build, self.records = cluster, build, records
        self.written = {}  # group -> {key: value}, acknowledged
        self.number = 0
        self.seen = []

    def step(self, text):
        self.number += 1
        print(f"[{self.number:2}/{STEPS}] {text}", flush=True)

    def say(self, text):
        print(f"        {text}", flush=True)

    def note(self, name, value):
        self.seen.append((name, value))

    def expect(self, holds, text):
        if not holds:
            raise SystemExit(f"quickstart: {text}")

    def write(self, group, pairs):
        """Puts pairs into a group, many in flight; every one must be acknowledged."""
        pipe = self.cluster.pipe(group, "put")
        progress = Progress(f"group {group}", len(pairs))
        for key, value in pairs:
            pipe.send({"key": key, "value": encoded(value)})
            progress.show(len(pipe.answers))
        for (_, answer), (key, value) in zip(pipe.end(), pairs):
            self.expect("error" not in answer, f"put {key} into {group}: {answer}")
            self.written.setdefault(group, {})[key] = value
        progress.end()

    def refusedWrite(self):
        """The error of a put into 103, which is not there."""
        try:
            self.cluster.run("call", "103", "put", "key=a", "value=b")
        except Refused as refusal:
            self.expect(refusal.code == 1, f"exit {refusal.code} for an unknown group, not 1")
            self.expect("103" in refusal.text and "\n" not in refusal.text,
                        f"an unclear error for an unknown group: {refusal.text}")
            self.say(refusal.text)
            return refusal.text
        raise SystemExit("quickstart: a write to group 103 went through, which does not exist")

    def run(self):
        began = time.monotonic()
        self.openCluster()
        self.importRecords()
        refusal = self.addGroup()
        self.inTurn()
        self.killLeader()
        self.listAndRemove(refusal)
        self.compare()
        self.step("stop the hosts")
        self.cluster.playground("stop")
        self.expect(not any(self.cluster.pid(n) for n in range(1, 4)), "a host still runs after stop")
        self.note("the whole tour", f"{time.monotonic() - began:.1f} s")

    def openCluster(self):
        self.step(f"start three hosts on 127.0.0.1:{self.cluster.basePort} and the two ports after it")
        self.cluster.playground("start", "--hosts", "3", "--base-port", str(self.cluster.basePort))
        self.step("push the plugin kv, a store of keys and values")
        self.cluster.run("plugin", "push", os.path.abspath(os.path.join(self.build, "plugins", "kv.so")))
        self.step("create the groups 101 and 102, each with a replica on every host")
        for group in ("101", "102"):
            self.cluster.run("group", "create", group, "--plugin", "kv")

    def importRecords(self):
        self.step(f"import {len(self.records)} records of the package database, spread over both groups")
        began = time.monotonic()
        spread = {"101": [], "102": []}
        for number, pair in enumerate(self.records.items()):
            spread["101" if number % 2 == 0 else "102"].append(pair)
        for group, pairs in spread.items():
            self.write(group, pairs)
        took = time.monotonic() - began
        size = sum(len(value) for value in self.records.values())
        self.say(f"{len(self.records)} records, {size / 1e6:.1f} MB in {took:.2f} s, every one acknowledged")
        self.note("records imported", f"{len(self.records)} ({size / 1e6:.1f} MB) in {took:.2f} s")

    def addGroup(self):
        self.step("a write to group 103, which does not exist, is refused")
        refusal = self.refusedWrite()
        self.step("create 103 while the hosts run")
        self.cluster.run("group", "create", "103", "--plugin", "kv")
        return refusal

    def inTurn(self):
        self.step("write to all three groups in turn")
        pipes = {group: self.cluster.pipe(group, "put") for group in ("101", "102", "103")}
        sent = {group: [] for group in pipes}
        for turn in range(300):
            group = ("101", "102", "103")[turn % 3]
            key, value = f"turn-{turn}", f"turn {turn} of group {group}\n".encode()
            sent[group].append((key, value))
            pipes[group].send({"key": key, "value": encoded(value)})
        for group, pipe in pipes.items():
            for (_, answer), (key, value) in zip(pipe.end(), sent[group]):
                self.expect("error" not in answer, f"put {key} into {group}: {answer}")
                self.written.setdefault(group, {})[key] = value
        self.say("100 writes to each of 101, 102 and 103, every one acknowledged")

    def killLeader(self):
        leader = self.cluster.leader("101")
        self.step(f"kill host {leader}, which leads 101, with SIGKILL while writing to 101")
        writer = Writer(self.cluster, "101")
        writer.untilAnswered(200)
        killed = time.monotonic()
        self.cluster.playground("kill", str(leader))
        writer.untilAnsweredAfter(killed, 500)
        answers = writer.end()
        self.expect(self.cluster.pid(leader) is None, f"host {leader} is still there")
        lost = [answer for _, answer in answers if "error" in answer]
        moments = [moment for moment, answer in answers if "error" not in answer]
        gap = max(later - sooner for sooner, later in zip(moments, moments[1:])) * 1000
        follower = self.cluster.leader("101")
        self.say(f"writes went on after {gap:.0f} ms; host {follower} leads 101 now")
        self.expect(not lost, f"{len(lost)} writes got no answer of their own, the first: {lost[:1]}")
        self.expect(gap <= 3 * ELECTION_TIMEOUT_MS,
                    f"writes stood still for {gap:.0f} ms, more than three election timeouts")
        self.written["101"].update(writer.sent)
        self.note("writes interrupted for", f"{gap:.0f} ms (three election timeouts are "
                                            f"{3 * ELECTION_TIMEOUT_MS} ms)")
        self.readBack("101")
        self.say(f"{len(self.written['101'])} acknowledged records of 101 read back: none lost")
        self.step(f"start host {leader} again")
        self.cluster.playground("restart", str(leader))

    def listAndRemove(self, refusal):
        self.step("the groups, as the cluster lists them")
        for line in self.cluster.run("group", "list").splitlines():
            self.say(line)
        self.readBack("103")
        self.step("remove 103: the same error as before")
        self.cluster.run("group", "remove", "103")
        self.expect(self.refusedWrite() == refusal, f"another error than before, which was: {refusal}")
        names = {group["name"] for group in self.cluster.ask("group", "list")["groups"]}
        self.expect("103" not in names and {"101", "102"} <= names, f"groups after the removal: {names}")

    def compare(self):
        self.step("read every record back and compare it byte by byte")
        for group in ("101", "102"):
            self.readBack(group)
        held = {**self.written["101"], **self.written["102"]}
        for key, value in self.records.items():
            self.expect(held.get(key) == value, f"record {key} is not among what was written")
        count = sum(len(self.written[group]) for group in ("101", "102"))
        self.say(f"{count} records compared, all equal")
        self.note("records read back and equal", str(count))

    def readBack(self, group):
        """Reads all that was acknowledged in a group; each must be there, byte for byte."""
        wanted = self.written[group]
        pipe = self.cluster.pipe(group, "get")
        progress = Progress(f"group {group}", len(wanted))
        for key in wanted:
            pipe.send({"key": key})
            progress.show(len(pipe.answers))
        for (_, answer), (key, value) in zip(pipe.end(), wanted.items()):
            self.expect(answer.get("found") is True, f"{key} of group {group} is lost: {answer}")
            self.expect(decoded(answer["value"]) == value, f"{key} of group {group} reads back otherwise")
        progress.end()


class Writer:
    """Writes to a group without pause, a few calls in flight, until told to end."""

    def __init__(self, cluster, group):
        self.pipe = cluster.pipe(group, "put")
        self.sent = {}
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.write, daemon=True)
        self.thread.start()

    def write(self):
        while not self.stopped.is_set():
            if len(self.sent) - len(self.pipe.answers) >= 16:
                time.sleep(0.0005)
                continue
            key = f"while-killing-{len(self.sent)}"
            self.sent[key] = f"written as number {len(self.sent)}\n".encode()
            self.pipe.send({"key": key, "value": encoded(self.sent[key])})

    def wait(self, holds, text):
        until = time.monotonic() + 30
        while not holds():
            if time.monotonic() > until:
                raise SystemExit(f"quickstart: {text} after 30 s")
            time.sleep(0.005)

    def untilAnswered(self, count):
        self.wait(lambda: len(self.pipe.answers) >= count, f"no {count} answers")

    def untilAnsweredAfter(self, moment, count):
        self.wait(lambda: len(self.pipe.answers) > count and self.pipe.answers[-count][0] > moment,
                  f"no {count} answers since the leader was killed")

    def end(self):
        self.stopped.set()
        self.thread.join()
        return self.pipe.end()


class Progress:
    """A bar on a terminal; nothing elsewhere."""

    WIDTH = 40

    def __init__(self, name, total):
        self.name, self.total, self.on = name, max(total, 1), sys.stderr.isatty()

    def show(self, done):
        if self.on:
            filled = self.WIDTH * done // self.total
            bar = "#" * filled + "." * (self.WIDTH - filled)
            sys.stderr.write(f"\r        {self.name} [{bar}] {done}/{self.total}")
            sys.stderr.flush()

    def end(self):
        if self.on:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def encoded(value):
    """A value as `flotilla call` takes Data: text where it is UTF-8, else base64."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode("ascii")}


def decoded(value):
    if isinstance(value, str):
        return value.encode("utf-8")
    return base64.b64decode(value["base64"])


def readRecords(path):
    """Package -> its stanza, byte for byte; a name that stands twice (two architectures) gets its own."""
    records = {}
    with open(path, "rb") as file:
        for stanza in file.read().split(b"\n\n"):
            fields = dict(line.split(b":", 1) for line in stanza.split(b"\n")
                          if line[:1].isalpha() and b":" in line)
            if b"Package" not in fields:
                continue
            name = fields[b"Package"].strip().decode("utf-8")
            if name in records:
                name += ":" + fields.get(b"Architecture", b"").strip().decode("utf-8")
            records[name] = stanza.strip(b"\n") + b"\n"
    return records


def main():
    parser = argparse.ArgumentParser(prog="run.sh", description="A tour of Flotilla on real input.")
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--base-port", type=int, default=0, help="first of the ports; default: free ones")
    parser.add_argument("--input", default="/var/lib/dpkg/status", help="a Debian package database")
    options = parser.parse_args()
    try:
        records = readRecords(options.input)
    except OSError as error:
        raise SystemExit(f"quickstart: {options.input}: {error.strerror}; give another with --input")
    if not records:
        raise SystemExit(f"quickstart: {options.input}: no record in it; give a Debian package database")
    with Cluster(options.build, options.base_port) as cluster:
        tour = Tour(cluster, options.build, records)
        try:
            tour.run()
        except Refused as refusal:
            raise SystemExit(f"quickstart: {refusal}") from refusal
        print("\nall held:")
        for name, value in tour.seen:
            print(f"  {name:30} {value}")


if __name__ == "__main__":
    main()
