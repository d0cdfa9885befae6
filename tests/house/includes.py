# Which folder may include which: the table of the design, and no circle.
import os
import re

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
IMPORT = re.compile(r'\bimport\s+"([^"]+)"')

GROUND = ["sdk/flotilla", "schemas"]
BELOW = ["host/base", "host/raft", "host/group"] + GROUND
BESIDE = ["host/store", "host/net", "host/plugin"]

# folder: what it may include of ours beside itself. A path that ends in .h is that file alone.
ALLOWED = {
    "schemas": [],
    "sdk/flotilla": ["schemas"],
    "sdk/client": ["sdk/flotilla", "schemas"],
    "sdk/testing": ["sdk/client"] + GROUND,
    "host/base": [],
    "host/raft": ["host/base"],
    "host/group": ["host/raft", "host/base"] + GROUND,
    "host/store": BELOW,
    "host/net": BELOW + ["sdk/client/connection.h", "sdk/client/gathering_stream.h", "sdk/client/message_pipe.h"],
    "host/plugin": BELOW,
    "host/catalog": GROUND + ["host/base"],
    "host/runtime": BELOW + BESIDE + ["host/catalog"],
    "host/api": ["host/runtime", "host/catalog", "host/base"] + GROUND,
    "host/testing": ["host/api", "host/runtime", "host/base", "sdk/testing"] + GROUND,
    "host": BELOW + BESIDE + ["host/catalog", "host/runtime", "host/api"],
    "plugins": ["sdk/flotilla"],
    "examples": ["sdk/flotilla", "sdk/client", "sdk/testing", "plugins"],
    "admin": ["sdk/client"] + GROUND,
}

BELOW_WATER = r"leveldb/|boost/|spdlog/|kj/async|kj/timer|capnp/(rpc|ez-rpc|capability)|grp\.h|sys/|unistd"
CLOCKS = r"chrono$|thread$|mutex$|shared_mutex$|condition_variable$|future$|fstream$|iostream$"

# folder: libraries it never includes.
NEVER = {
    "sdk/flotilla": r"boost/|spdlog/|leveldb/|kj/async|capnp/(rpc|ez-rpc)",
    "host/raft": r"kj/|capnp/|random$|unordered_|" + BELOW_WATER + "|" + CLOCKS,
    "host/group": r"random$|" + BELOW_WATER + "|" + CLOCKS,
    "plugins": r"boost/|spdlog/|leveldb/|kj/async|capnp/(rpc|ez-rpc)",
}

# library: the only places that name it.
ONLY = [
    (r"spdlog/|fmt/", ["host/base/log.cc", "host/base/log.h"]),
    (r"boost/", ["host/plugin/"]),
    (r"leveldb/", ["host/store/"]),
]


def home(path):
    """The folder of the table that a file belongs to; None for tests, which may include all."""
    parts = path.split("/")
    for length in (2, 1):
        name = "/".join(parts[:length])
        if name in ALLOWED and len(parts) > length:
            return name
    return None


def resolve(tree, source, name):
    """The file of ours that an include names, or None for a library's."""
    generated = name[: -len(".h")] if name.endswith(".capnp.h") else name
    for base in ("", "sdk", source.folder):
        path = os.path.normpath(os.path.join(base, generated))
        if path in tree.known:
            return path
    if generated != name:  # a plugin's schema, of whichever folder
        return next((path for path in tree.paths if path.endswith("/" + generated)), None)
    return None


def uncommented(lines):
    """Line number and text, without comments, so that a snippet in a comment is no include."""
    inside = False
    for number, line in enumerate(lines, 1):
        if inside:
            if "*/" not in line:
                continue
            line = line.split("*/", 1)[1]
            inside = False
        line = re.sub(r"/\*.*?\*/", "", line)
        if "/*" in line:
            line, inside = line.split("/*", 1)[0], True
        yield number, line.split("//", 1)[0] if line.lstrip().startswith("//") else line


def allowed(origin, target):
    """Whether the table has this arrow, from a folder to a file."""
    return any(
        target == one or (not one.endswith(".h") and home(target) == one)
        for one in ALLOWED[origin]
    )


def arrows(tree):
    """Every include between files of ours: (source, line number, path)."""
    found = []
    for source in tree.sources((".h", ".cc", ".c", ".capnp")):
        if source.ending == ".capnp":
            for number, line in enumerate(source.lines, 1):
                for name in IMPORT.findall(line.split("#", 1)[0]):
                    target = os.path.normpath(os.path.join(source.folder, name))
                    if not name.startswith("/") and target in tree.known:
                        found.append((source, number, target))
            continue
        for number, line in uncommented(source.lines):
            match = INCLUDE.match(line)
            target = match and resolve(tree, source, match.group(2))
            if target:
                found.append((source, number, target))
    return found


def libraries(tree):
    """Every include that is no file of ours: (source, line number, quote, name)."""
    for source in tree.sources((".h", ".cc", ".c")):
        for number, line in uncommented(source.lines):
            match = INCLUDE.match(line)
            if match and not resolve(tree, source, match.group(2)):
                yield source, number, match.group(1), match.group(2)


def check(tree):
    """Yields one line for each include that the design does not draw."""
    edges = arrows(tree)
    for source, number, target in edges:
        origin = home(source.path)
        if origin and home(target) != origin and not allowed(origin, target):
            where = home(target) or target
            yield f"{source.path}:{number}: {origin} includes {target}; {where} is not among what it may include"
    for source, number, quote, name in libraries(tree):
        place = f"{source.path}:{number}"
        if quote == '"':
            yield f'{place}: "{name}" is no file of this tree; a library stands in <>'
        origin = home(source.path)
        if origin in NEVER and re.match(NEVER[origin], name):
            yield f"{place}: {origin} never includes <{name}>"
        for pattern, places in ONLY:
            if origin and re.match(pattern, name) and not source.path.startswith(tuple(places)):
                yield f"{place}: <{name}> belongs to {places[0]} alone"
    yield from circles(edges)


def circles(edges):
    """Yields one line for each circle, of files and of folders."""
    files, folders = {}, {}
    for source, _, target in edges:
        files.setdefault(source.path, set()).add(target)
        one, other = home(source.path), home(target)
        if one and other and one != other:
            folders.setdefault(one, set()).add(other)
    for what, graph in (("files", files), ("folders", folders)):
        circle = findCircle(graph)
        if circle:
            yield f"circle of {what}: " + " -> ".join(circle)


def findCircle(graph):
    """One circle of a graph, as a path that ends where it began; None where there is none."""
    done = set()
    for start in sorted(graph):
        path, stack = [], [(start, iter(sorted(graph.get(start, ()))))]
        if start in done:
            continue
        path.append(start)
        while stack:
            node, rest = stack[-1]
            follower = next(rest, None)
            if follower is None:
                done.add(node)
                stack.pop()
                path.pop()
            elif follower in path:
                return path[path.index(follower):] + [follower]
            elif follower not in done:
                path.append(follower)
                stack.append((follower, iter(sorted(graph.get(follower, ())))))
    return None
