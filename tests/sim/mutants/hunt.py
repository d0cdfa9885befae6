# Wakes each planted bug of a build in turn and sees who finds it: a script, a unit test, or the simulator.
"""hunt.py BUILD [--seeds N] [--jobs J] [--both] [NAME or NUMBER …]: prints a table and `N of N caught`.

The simulator runs where scripts and unit tests find nothing; with --both always. Exit 1 if a mutant lives on."""

import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys

import plant

CLEAN = 0  # no mutant awake
TEST_SECONDS_MAX = 240
SIM_SECONDS_MAX = 3600


def run(command, number, seconds):
    """(exit code, or None where it hung; what it said) with that mutant awake."""
    environment = dict(os.environ, FLOTILLA_MUTANT=str(number))
    environment.pop("FLOTILLA_SIM_SEEDS", None)
    try:
        done = subprocess.run(command, cwd=plant.ROOT, env=environment, stdin=subprocess.DEVNULL, timeout=seconds,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    except subprocess.TimeoutExpired as late:
        return None, (late.stdout or b"").decode(errors="replace")
    return done.returncode, done.stdout


def first_failure(said):
    """The script or the test case that failed first, from doctest's words."""
    script = re.search(r"tests/raft/scripts/(\w+)\.txt", said)
    if script:
        return script.group(1) + ".txt"
    case = re.search(r"TEST CASE:\s+(.*)", said)
    return case.group(1).strip() if case else "its end: " + said.strip().split("\n")[-1][:60]


def tests_of(build, number):
    """Which script or unit test finds it; empty: none."""
    for program in ("unit-raft", "unit-group"):
        code, said = run([os.path.join(build, "tests", program)], number, TEST_SECONDS_MAX)
        if code is None:
            return f"{program} hangs"
        if code != 0:
            return first_failure(said)
    return ""


def sim_of(build, number, seeds):
    """(the first seed that finds it, 0: none; its words)."""
    command = [os.path.join(build, "bin", "flotilla-sim"), "--seeds", str(seeds), "--jobs", "1", "--first-failure"]
    code, said = run(command, number, SIM_SECONDS_MAX)
    if code is None:
        return seeds, "hangs"
    failed = json.loads(said.strip().split("\n")[-1])["failedSeeds"]
    if not failed:
        return 0, said if code != 0 else ""
    why = re.search(r"seed \d+: (?:at \d+ us: )?(.*)", said)
    return failed[0], why.group(1) if why else ""


def hunt(build, number, seeds, both):
    """Who finds one mutant: (script or test, seed, the simulator's words)."""
    test = tests_of(build, number)
    return (test, *(sim_of(build, number, seeds) if both or not test else (0, "")))


def wanted(mutants, names):
    if not names:
        return mutants
    known = {key: it for it in mutants for key in (it.name, str(it.number))}
    strangers = [name for name in names if name not in known]
    if strangers:
        sys.exit(f"hunt: there is no mutant {strangers[0]}")
    return [known[name] for name in names]


def main():
    line = argparse.ArgumentParser(description=__doc__)
    line.add_argument("build")
    line.add_argument("--seeds", type=int, default=500)
    line.add_argument("--jobs", type=int, default=os.cpu_count())
    line.add_argument("--both", action="store_true")
    line.add_argument("names", nargs="*")
    its = line.parse_intermixed_args()

    by_tests, seed, words = hunt(its.build, CLEAN, min(its.seeds, 100), True)
    if by_tests or seed or words:
        sys.exit(f"hunt: with no mutant awake something fails: {by_tests or words}")

    mutants = wanted(plant.read(), its.names)
    caught = 0
    print(f"{'mutant':30} {'script or test':58} {'seed':>4}  what the simulator says", flush=True)
    with concurrent.futures.ThreadPoolExecutor(its.jobs) as pool:
        ends = pool.map(lambda it: (it, hunt(its.build, it.number, its.seeds, its.both)), mutants)
        for mutant, (test, seed, words) in ends:
            caught += bool(test or seed)
            name = f"{mutant.number:2} {mutant.name}"
            print(f"{name:30} {test or '-':58.58} {seed or '-':>4}  {words or '-':.90}", flush=True)
            if not (test or seed):
                print(f"   NOT CAUGHT: {mutant.what}", flush=True)
    print(f"{caught} of {len(mutants)} caught")
    sys.exit(0 if caught == len(mutants) else 1)


if __name__ == "__main__":
    main()
