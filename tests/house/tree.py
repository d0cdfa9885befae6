# The source files of a tree, as the rules of the house see them.
"""Owns no rule: only which files there are, and what they hold."""

import os

IGNORED_FOLDERS = {".git", "build", "playground", ".cache", "__pycache__", "node_modules", "target"}
CODE = (".h", ".cc", ".c")
COMMENTED = {".h": "//", ".cc": "//", ".c": "//", ".capnp": "#", ".py": "#", ".sh": "#"}


class Source:
    """One file: its path from the root, with slashes, and its lines."""

    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            self.lines = file.read().split("\n")
        if self.lines and self.lines[-1] == "":
            self.lines.pop()

    @property
    def ending(self):
        return os.path.splitext(self.path)[1]

    @property
    def folder(self):
        return os.path.dirname(self.path)


class Tree:
    """All files below a root that are ours, in order of path."""

    def __init__(self, root):
        self.root = root
        self.paths = []
        for folder, below, files in os.walk(root):
            below[:] = sorted(name for name in below if name not in IGNORED_FOLDERS)
            for name in sorted(files):
                self.paths.append(os.path.relpath(os.path.join(folder, name), root))
        self.paths.sort()
        self.known = set(self.paths)

    def sources(self, endings):
        """Every file with one of these endings."""
        return [Source(self.root, path) for path in self.paths if path.endswith(tuple(endings))]
