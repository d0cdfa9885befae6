# How files and classes are named and what they say about themselves.
import os
import re

from tree import COMMENTED

TOP = {
    "CMakeLists.txt", "CMakePresets.json", "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md",
    "LICENSE", ".clang-format", ".clang-tidy", ".ci", ".gitignore", "host", "sdk", "plugins",
    "schemas", "admin", "tests", "examples", "docs",
}

BANNED = {"util", "utils", "common", "manager", "helper", "helpers", "impl", "data", "info",
          "handle", "process", "misc"}
GIVEN = {"tests/process"}  # named by the design itself

CLASS = re.compile(r"^(\s*)(?:class|struct)\s+(?:\[\[\w+\]\]\s+)?(\w+)(?:\s+final)?\s*(?::[^:;].*)?\{?\s*$")
TYPE = re.compile(r"^\s*(?:class|struct|enum class|enum|union)\s+(?:\[\[\w+\]\]\s+)?(\w+)\b(?!\s*;)")
MEMBER = re.compile(r"\b[a-z]\w*_\s*(?:;|=|\{|\[)")
VIRTUAL = re.compile(r"\bvirtual\b|\boverride\b")
MACHINE_PATH = re.compile(r"(?<![\w.$}/])/(?:root|home/\w+|work|Users)/\w")
REGISTRY = re.compile(
    r"https?://[\w.-]*(?:pypi|npmjs|crates\.io|registry|artifactory|nexus|proxy\.golang|mirror)[\w./-]*", re.I)
TEXT = (".h", ".cc", ".c", ".capnp", ".py", ".sh", ".txt", ".md", ".cmake", ".json", ".toml", ".in", ".yml",
        "run", ".js", ".rs")


def check(tree):
    """Yields one line for each name or missing word."""
    yield from topLevel(tree)
    yield from names(tree)
    yield from unbuilt(tree)
    for source in tree.sources(tuple(COMMENTED)):
        yield from firstLine(source)
    for source in tree.sources((".h", ".cc", ".c")):
        yield from typeNames(source)
        yield from prefetches(source)
    for source in tree.sources((".h",)):
        if not source.path.startswith("tests/"):
            yield from labels(source)
    for source in tree.sources(TEXT):
        yield from machineWords(source)


def topLevel(tree):
    entries = {path.split("/", 1)[0] for path in tree.paths}
    for entry in sorted(entries - TOP):
        yield f"{entry}: no entry of the top level; its place is in one of the folders"
    for entry in sorted({"CMakeLists.txt", "README.md", "ARCHITECTURE.md", "LICENSE"} - entries):
        yield f"{entry}: missing at the top level"


def names(tree):
    seen = set()
    for path in tree.paths:
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            part = "/".join(parts[:depth])
            if part in seen or part in GIVEN:
                continue
            seen.add(part)
            words = re.split(r"[_.\-]", os.path.splitext(parts[depth - 1])[0].lower())
            for word in sorted(set(words) & BANNED):
                yield f'{part}: "{word}" says nothing; name the noun'


def unbuilt(tree):
    """Tests that no program has: they would pass whatever they say."""
    lists = {source.folder: " ".join(source.lines).split() for source in tree.sources(("CMakeLists.txt",))}
    for source in tree.sources(("_test.cc",)):
        ours = source.path.startswith("tests/")  # an example's list may take them by their names' ends
        if ours and os.path.basename(source.path) not in lists.get(source.folder, []):
            yield f"{source.path}: its folder's CMakeLists.txt does not name it, so it is not built"


def typeNames(source):
    for number, line in enumerate(source.lines, 1):
        match = TYPE.match(line)
        if not match:
            continue
        words = [word.lower() for word in re.findall(r"[A-Z][a-z0-9]*|[a-z0-9]+", match.group(1))]
        if words[-1] != "data":  # Cap'n Proto's Data and data_dir are nouns that others may be named after
            words = [word for word in words if word != "data"]
        for word in sorted(set(words) & BANNED):
            yield f'{source.path}:{number}: {match.group(1)}: "{word}" says nothing; name the noun'


def prefetches(source):
    """gcc leaves out calls of functions that do nothing else: base::prefetchLine keeps them."""
    if not source.path.startswith("host/") or source.path == "host/base/prefetch.h":
        return
    for number, line in enumerate(source.lines, 1):
        if "__builtin_prefetch" in line:
            yield f"{source.path}:{number}: __builtin_prefetch may be left out with its caller; base::prefetchLine is not"


def firstLine(source):
    mark = COMMENTED[source.ending]
    lines = [line for line in source.lines[:2] if not line.startswith("#!")]
    line = lines[0] if lines else ""
    sentence = line[len(mark):].strip()
    if not line.startswith(mark + " ") or len(sentence.split()) < 2 or sentence[-1] not in ".:;,`)\"'…":
        wrapped = line.startswith(mark + " ") and len(line) > 70  # goes on in the next line
        if not wrapped:
            yield f"{source.path}:1: the first line is a comment, one sentence that says what the file is"


def labels(source):
    """Classes that hold state or can be overridden say whose thread they are and how they fail."""
    for index, line in enumerate(source.lines):
        match = CLASS.match(line)
        if not match or not opens(source.lines, index):
            continue
        body = bodyOf(source.lines, index)
        if not any(VIRTUAL.search(one) or MEMBER.search(one) for one in body):
            continue
        comment = commentAbove(source.lines, index) + outerComments(source.lines, index)
        for label in ("Thread:", "Errors:"):
            if label not in comment:
                yield f'{source.path}:{index + 1}: class {match.group(2)}: its comment says nothing under "{label}"'


def outerComments(lines, index):
    """The comments of the classes around a nested one: what they say holds for it too."""
    found, inner = "", len(CLASS.match(lines[index]).group(1))
    for above in range(index - 1, -1, -1):
        match = CLASS.match(lines[above])
        if match and len(match.group(1)) < inner and opens(lines, above):
            found, inner = found + commentAbove(lines, above), len(match.group(1))
    return found


def opens(lines, index):
    """Whether a class is defined here rather than only named."""
    for line in lines[index:index + 4]:
        if "{" in line:
            return True
        if ";" in line:
            return False
    return False


def bodyOf(lines, index):
    """A class's own lines: without nested classes and function bodies, by counting braces."""
    depth, body = 0, []
    for line in lines[index:]:
        code = line.split("//", 1)[0]
        if depth == 1:
            nested = CLASS.match(code) is not None
            if not nested:
                body.append(code)
        depth += code.count("{") - code.count("}")
        if depth <= 0 and "}" in code:
            break
    return body


def commentAbove(lines, index):
    index -= 1
    while index >= 0 and lines[index].strip().startswith("template"):
        index -= 1
    found = []
    while index >= 0 and lines[index].strip().startswith("//"):
        found.append(lines[index])
        index -= 1
    return "\n".join(found)


def machineWords(source):
    for number, line in enumerate(source.lines, 1):
        if source.path.startswith("tests/house/"):
            return
        path = MACHINE_PATH.search(line)
        if path:
            yield f"{source.path}:{number}: a path of one machine ({path.group(0)}…); start from the tree's root"
        host = REGISTRY.search(line)
        if host:
            yield f"{source.path}:{number}: a registry's host ({host.group(0)}); leave it to the client's defaults"
