#!/usr/bin/env bash
# What of host/raft the scripts alone reach, line by line; and with 500 seeds of random clusters beside them, branch by
# branch (gcov; without the branches of exceptions, and of ASSERTs, whose other way nothing may take). Outside CI: it
# builds host/raft once more, in build/coverage.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
out=$root/build/coverage
mkdir -p "$out"
objects=()
flags=(-std=c++20 -O0 -g --coverage -fno-exceptions -fno-inline -I"$root" -I"$root/sdk")
for source in host/raft/*.cc host/base/*.cc tests/raft/fleet.cc tests/raft/raft_script.cc tests/raft/script_test.cc \
  tests/raft/random_test.cc tests/support/*.cc; do
  [ "$source" != host/base/log.cc ] || continue
  object=$out/$(echo "$source" | tr / _ | sed 's/\.cc$/.o/')
  objects+=("$object")
  case $source in
    host/raft/*) g++ "${flags[@]}" -c "$source" -o "$object" ;;
    *) g++ -std=c++20 -O1 -I"$root" -I"$root/sdk" -c "$source" -o "$object" ;;
  esac
done
g++ --coverage "${objects[@]}" -lxxhash -pthread -o "$out/raft-covered"

# Sums the lines or the branches that gcov counts in host/raft.
measure() {
  rm -rf "$out/gcov" && mkdir "$out/gcov"
  (cd "$out/gcov" && gcov --json-format --branch-probabilities "$out"/host_raft_*.gcda > /dev/null)
  python3 - "$out/gcov" "$1" "$root" <<'PYTHON'
import collections, glob, gzip, json, sys
folder, what, root = sys.argv[1:]
lines, branches = collections.defaultdict(dict), collections.defaultdict(dict)
for path in glob.glob(folder + "/*.json.gz"):
    for file in json.load(gzip.open(path))["files"]:
        name = file["file"].replace(root + "/", "")
        if not name.startswith("host/raft/"):
            continue
        source = open(root + "/" + name, encoding="utf-8").read().split("\n")
        for line in file["lines"]:
            key = line["line_number"]
            lines[name][key] = lines[name].get(key, 0) + line["count"]
            if "ASSERT(" in source[key - 1]:
                continue
            for place, branch in enumerate(b for b in line["branches"] if not b["throw"]):
                at = (key, line.get("function_name"), place)
                branches[name][at] = branches[name].get(at, 0) + branch["count"]
table = lines if what == "lines" else branches
reached = total = 0
for name in sorted(table):
    hit = sum(1 for count in table[name].values() if count)
    reached, total = reached + hit, total + len(table[name])
    missed = sorted({k if what == "lines" else k[0] for k, count in table[name].items() if not count})
    print(f"  {name}: {hit}/{len(table[name])}" + (f"  not: {' '.join(map(str, missed))}" if missed else ""))
print(f"{what}: {reached}/{total} = {100 * reached / total:.1f} %")
PYTHON
}

rm -f "$out"/*.gcda
"$out/raft-covered" -tc='*script*' > /dev/null
echo "scripts alone"
measure lines
RAFT_SEEDS=500 "$out/raft-covered" -tc='*no seed*' > /dev/null
echo "scripts and 500 seeds"
measure branches
