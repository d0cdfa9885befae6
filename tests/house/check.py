# Fails where the tree is not built as the design draws it: `check.py [ROOT]`.
import os
import sys

import includes
import rooms
import words
from tree import Tree


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(here))
    tree = Tree(root)
    wrong = list(includes.check(tree)) + list(words.check(tree))
    for line in rooms.listing(tree):
        print("look again:", line)
    for line in wrong:
        print(line)
    print(f"house: {len(tree.paths)} files read, {len(wrong)} not as drawn")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
