# Many idle groups on three hosts: what they cost, how soon they are led, and what the end of a host sets off.
import os
import statistics
import time
import urllib.error
import urllib.request

from members import Usage, bench, cluster

IDLE_SECONDS = 10
TRIM_SECONDS = 5     # after all have fallen asleep a host gives memory back
CALM_SECONDS = 5     # without another election, and a storm is over
WAIT_SECONDS = 180
PIPES = 20           # groups whose first write is timed
MAKE_IN_FLIGHT = 64  # puts under way while the groups get their first keys


def metrics(hosts, n):
    """What a host's /metrics says, by name without flotilla_; nothing while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://{hosts.http[n]}/metrics", timeout=10) as reply:
            lines = reply.read().decode().splitlines()
    except (urllib.error.URLError, OSError):
        return {}
    plain = (line.split(" ") for line in lines if line.startswith("flotilla_") and "{" not in line)
    return {name.removeprefix("flotilla_"): float(value) for name, value in plain}


class Idle:
    """One cluster with `count` groups on three hosts, put through all of it."""

    def __init__(self, build, count):
        self.build, self.count, self.seen = build, count, {"groups": count}
        self.hosts = cluster(build)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.hosts.__exit__(kind)

    def every(self, names=None):
        return {n: metrics(self.hosts, n) for n in names or self.hosts.numbers}

    def sum(self, figure, names=None):
        return sum(found.get(figure, 0) for found in self.every(names).values())

    def until(self, condition, what):
        end = time.monotonic() + WAIT_SECONDS
        while not condition():
            if time.monotonic() > end:
                raise SystemExit(f"{self.count} groups: {what}: not within {WAIT_SECONDS} s; "
                                 f"{ {n: (it.get('replicas'), it.get('replicas_leading'), it.get('replicas_leaderless'), it.get('replicas_asleep')) for n, it in self.every().items()} }")
            time.sleep(0.05)

    def lull(self):
        self.until(lambda: all(it.get("replicas_asleep") == self.count for it in self.every().values()), "all asleep")

    def led(self, names):
        """Every replica of these hosts is open and knows a leader, and all leaders are among these hosts."""
        found = self.every(names)
        return (all(it.get("replicas") == self.count + 1 and it.get("replicas_leaderless") == 0 for it in found.values())
                and sum(it["replicas_leading"] for it in found.values()) == self.count + 1)

    def spread(self, names=None):
        return {n: int(it.get("replicas_leading", 0)) for n, it in self.every(names).items()}

    def calm(self, names):
        """Waits until nobody has stood for a while; gives how many did since those processes began."""
        last, since = self.sum("elections_total", names), time.monotonic()
        while time.monotonic() - since < CALM_SECONDS:
            time.sleep(0.2)
            now = self.sum("elections_total", names)
            if now != last:
                last, since = now, time.monotonic()
        return last

    def usage(self, n):
        return Usage([self.hosts.children[n].pid])

    def share(self, names):
        """Percent of a core, the busiest host's, over some seconds."""
        used = {n: self.usage(n) for n in names}
        before, began = {n: it.cpuSeconds() for n, it in used.items()}, time.monotonic()
        time.sleep(IDLE_SECONDS)
        took = time.monotonic() - began
        return max((it.cpuSeconds() - before[n]) / took * 100 for n, it in used.items())

    def memory(self):
        return sum(self.usage(n).memoryBytes() for n in self.hosts.numbers)

    # ---- the stations

    def make(self):
        self.hosts.start()
        self.hosts.pushKv()
        empty = self.memory()
        made = bench(self.build, self.hosts, "--groups", self.count, "--in-flight", MAKE_IN_FLIGHT,
                     "--warmup-seconds", 0, "--seconds", 1, "--keys", self.count)["made"]
        self.seen["makeSeconds"] = made["seconds"]
        self.lull()
        time.sleep(TRIM_SECONDS)
        replicas = self.count * len(self.hosts.numbers)
        self.seen["machineKiBAReplica"] = self.sum("machine_bytes") / replicas / 1024
        self.seen["memoryKiBAReplica"] = (self.memory() - empty) / replicas / 1024
        self.seen["spreadMade"] = self.spread()

    def idle(self):
        self.lull()
        self.seen["idlePercent"] = self.share(self.hosts.numbers)

    def pipes(self, names):
        pipes = {name: self.hosts.pipe(name, "put") for name in names}
        self.write(pipes)
        self.lull()
        return pipes

    @staticmethod
    def write(pipes):
        """One put a pipe, one after another; milliseconds each took."""
        took = {}
        for name, pipe in pipes.items():
            before, began = len(pipe.answers), time.monotonic()
            pipe.send({"key": "first", "value": name})
            end = began + WAIT_SECONDS
            while len(pipe.answers) == before and time.monotonic() < end:
                time.sleep(0.0002)
            if len(pipe.answers) == before or "error" in pipe.answers[-1]:
                raise SystemExit(f"put to {name}: {pipe.answers[before:]}")
            took[name] = (pipe.moments[before] - began) * 1000
        return took

    @staticmethod
    def writeAll(pipes):
        """One put a pipe, all at once; milliseconds until the last was answered."""
        before, began = {name: len(pipe.answers) for name, pipe in pipes.items()}, time.monotonic()
        for name, pipe in pipes.items():
            pipe.send({"key": "first", "value": name})
        for name, pipe in pipes.items():
            pipe.waitAnswers(before[name] + 1, WAIT_SECONDS)
            if "error" in pipe.answers[-1]:
                raise SystemExit(f"put to {name}: {pipe.answers[-1]}")
        return max(pipe.moments[before[name]] - began for name, pipe in pipes.items()) * 1000

    def kill(self):
        numbers = self.hosts.numbers
        led = {one["name"]: one["leader"] for one in self.hosts.ask("group", "list")["groups"]}
        victim = max(numbers, key=lambda n: sum(leader == n for leader in led.values()))
        names = [name for name, leader in led.items() if leader == victim and name.startswith("bench-")]
        chosen = names[:: max(1, len(names) // PIPES)][:PIPES]
        pipes = self.pipes(chosen)
        alive = self.write(pipes)
        self.seen["firstWriteAliveMs"] = {"median": statistics.median(alive.values()), "max": max(alive.values())}
        self.lull()
        rest = [n for n in numbers if n != victim]
        ledBy = int(metrics(self.hosts, victim)["replicas_leading"])
        before = self.sum("elections_total", rest)
        self.hosts.kill(victim)
        began = time.monotonic()
        self.seen["firstWriteDeadMs"] = self.writeAll(pipes)
        self.until(lambda: self.led(rest), "all led after a kill")
        self.seen["ledAfterKillSeconds"] = time.monotonic() - began
        elections = int(self.calm(rest) - before)
        self.seen.update(killedLed=ledBy, killElections=elections, killElectionsPerLed=elections / max(1, ledBy),
                         spreadKilled=self.spread(rest), killedPercent=self.share(rest))
        for pipe in pipes.values():
            pipe.drop()

        before = self.sum("elections_total", rest)
        self.hosts.restart(victim)
        self.until(lambda: self.led(numbers), "all led after the restart")
        began = time.monotonic()
        self.seen["restartElections"] = int(self.sum("elections_total", numbers) - before)
        self.until(lambda: self.spread()[victim] >= ledBy * 0.99, "leaderships given back")
        self.seen["givenBackSeconds"] = time.monotonic() - began
        self.lull()
        self.seen["spreadRestarted"] = self.spread()

    def startAll(self, crashed):
        numbers = self.hosts.numbers
        began = time.monotonic()
        if crashed:
            for n in numbers:
                self.hosts.kill(n)
        else:
            self.hosts.stopAll()
            self.seen["stopSeconds"] = time.monotonic() - began
        began = time.monotonic()
        for n in numbers:
            self.hosts.spawn(n)
        self.until(lambda: self.led(numbers), "all led after a start")
        suffix = "Crashed" if crashed else "Stopped"
        self.seen["ledAfterStartSeconds" + suffix] = time.monotonic() - began
        self.seen["startElections" + suffix] = int(self.calm(numbers))
        self.seen["startCpuSeconds" + suffix] = sum(self.usage(n).cpuSeconds() for n in numbers)
        self.lull()
        self.seen["spreadStarted" + suffix] = self.spread()


ROWS = (
    ("made in, s", "makeSeconds", "{:.1f}"),
    ("memory a replica, KiB (machine's own share not taken off)", "memoryKiBAReplica", "{:.1f}"),
    ("of that said by machines, KiB", "machineKiBAReplica", "{:.1f}"),
    ("core of the busiest host while idle, %", "idlePercent", "{:.2f}"),
    ("first write to a sleeping group, ms", "firstWriteAliveMs", "{}"),
    ("the same where its leader's host was just killed, ms", "firstWriteDeadMs", "{:.0f}"),
    ("groups the killed host led", "killedLed", "{}"),
    ("elections its end set off", "killElections", "{}"),
    ("all led again after, s", "ledAfterKillSeconds", "{:.1f}"),
    ("core of the busiest host while it is gone, %", "killedPercent", "{:.1f}"),
    ("leaders a host then", "spreadKilled", "{}"),
    ("elections its return set off", "restartElections", "{}"),
    ("its leaderships are given back within, s", "givenBackSeconds", "{:.0f}"),
    ("leaders a host then", "spreadRestarted", "{}"),
    ("a stop of all took, s", "stopSeconds", "{:.1f}"),
    ("all led after a start of all, s", "ledAfterStartSecondsStopped", "{:.1f}"),
    ("elections of it", "startElectionsStopped", "{}"),
    ("processor time of it, all hosts, s", "startCpuSecondsStopped", "{:.1f}"),
    ("leaders a host then", "spreadStartedStopped", "{}"),
    ("all led after SIGKILL and start of all, s", "ledAfterStartSecondsCrashed", "{:.1f}"),
    ("elections of it", "startElectionsCrashed", "{}"),
    ("leaders a host then", "spreadStartedCrashed", "{}"),
)


def measure(build, count, tell):
    """Every figure of so many idle groups; `tell(text)` hears of each station."""
    with Idle(os.path.abspath(build), count) as one:
        for station in (one.make, one.idle, one.kill, lambda: one.startAll(False), lambda: one.startAll(True)):
            station()
            tell(f"{count} groups: {one.seen}")
    return one.seen
