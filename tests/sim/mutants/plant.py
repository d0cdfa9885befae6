# Puts all planted bugs into a copy of the tree, each asleep until $FLOTILLA_MUTANT names its number.
"""plant.py COPY: plants planted.txt in COPY, a copy of this tree. plant.py --check: only sees that it could."""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", "..", ".."))
LIST = os.path.join(HERE, "planted.txt")
SWITCH = "host/base/planted.h"
SWITCH_TEXT = """// Which planted bug is awake: the one whose number $FLOTILLA_MUTANT is.
#pragma once

#include <cstdlib>

namespace flotilla {

inline bool planted(int number) {
  static const char* const named = std::getenv("FLOTILLA_MUTANT");
  static const int awake = named == nullptr ? 0 : std::atoi(named);
  return awake == number;
}

}  // namespace flotilla
"""


class Wrong(Exception):
    """The list cannot be planted as it stands."""


class Mutant:
    """One bug: its number, name and words, and what it changes."""

    def __init__(self, number, name, what):
        self.number = number
        self.name = name
        self.what = what
        self.changes = []  # (path, lines before, lines after)


def read(path=LIST):
    """The mutants of a list, numbered from 1 as they stand in it."""
    mutants = []
    path_now = None
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    after = True  # the last line was a "+", or none of a change
    for line in lines:
        if line.startswith("mutant "):
            name, what = line[len("mutant "):].split(": ", 1)
            mutants.append(Mutant(len(mutants) + 1, name, what))
            path_now, after = None, True
        elif line.startswith("file "):
            path_now, after = line[len("file "):], True
        elif line.startswith("-"):
            if after:
                mutants[-1].changes.append((path_now, [], []))
            mutants[-1].changes[-1][1].append(line[1:].strip())
            after = False
        elif line.startswith("+"):
            mutants[-1].changes[-1][2].append(line[1:].strip())
            after = True
        elif line.strip() and not line.startswith("#"):
            raise Wrong(f"{line!r} is no line of a list of mutants")
    names = [it.name for it in mutants]
    for name in names:
        if names.count(name) > 1:
            raise Wrong(f"mutant {name}: there are two")
    for it in mutants:
        if not it.changes or any(not (path and before and after) for path, before, after in it.changes):
            raise Wrong(f"mutant {it.name}: it changes nothing, or does not say where")
        if not any("PLANTED" in line for _, _, new in it.changes for line in new):
            raise Wrong(f"mutant {it.name}: PLANTED is nowhere in it")
    return mutants


def places(lines, wanted):
    """Where the wanted lines stand among a file's lines, indentation aside."""
    bare = [line.strip() for line in lines]
    return [at for at in range(len(bare)) if bare[at:at + len(wanted)] == wanted]


def planted(mutants, text_of):
    """Each file that changes, with all mutants in it: {path: text}."""
    originals, cuts = {}, {}
    for mutant in mutants:
        for path, before, after in mutant.changes:
            lines = originals.setdefault(path, text_of(path).split("\n"))
            found = places(lines, before)
            if len(found) != 1:
                raise Wrong(f"mutant {mutant.name}: {path} holds {before[0]!r} {len(found)} times, not once; "
                            "tests/sim/mutants/planted.txt has to follow its code")
            new = [line.replace("PLANTED", f"::flotilla::planted({mutant.number})") for line in after]
            cuts.setdefault(path, []).append((found[0], len(before), new, mutant.name))
    texts = {}
    for path, lines in originals.items():
        lines = list(lines)
        last = len(lines) + 1
        for at, count, new, name in sorted(cuts[path], key=lambda it: it[0], reverse=True):
            if at + count > last:
                raise Wrong(f"mutant {name}: changes a line of {path} that another one changes too")
            lines[at:at + count] = new
            last = at
        first = next(i for i, line in enumerate(lines) if re.match(r"#include|#pragma once", line))
        first += 1 if lines[first].startswith("#pragma") else 0
        lines.insert(first, f'#include "{SWITCH}"')
        texts[path] = "\n".join(lines)
    return texts


def text_at(root):
    def text_of(path):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            return file.read()
    return text_of


def main():
    if len(sys.argv) != 2:
        sys.exit("Usage: plant.py COPY | --check")
    try:
        mutants = read()
        root = ROOT if sys.argv[1] == "--check" else sys.argv[1]
        texts = planted(mutants, text_at(root))
    except (Wrong, OSError) as wrong:
        sys.exit(f"plant: {wrong}")
    if sys.argv[1] != "--check":
        texts[SWITCH] = SWITCH_TEXT
        for path, text in texts.items():
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
    print(f"plant: {len(mutants)} mutants in {len(texts)} files")


if __name__ == "__main__":
    main()
