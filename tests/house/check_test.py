# Plants violations in a small tree and sees each one found, and a clean tree pass.
import os
import tempfile
import unittest

import includes
import rooms
import words
from tree import Tree

CLEAN = {
    "CMakeLists.txt": "", "README.md": "# Flotilla\n", "ARCHITECTURE.md": "# How\n", "LICENSE": "Apache\n",
    "schemas/types.capnp": "# Words that every other schema uses.\n@0xdd74bcb75f436929;\n",
    "host/base/assert.h": "// What must never be false.\n#pragma once\n#include <string>\n",
    "host/raft/core.h": "// One replica's part in one group.\n#pragma once\n"
                        '#include "host/base/assert.h"\n',
    "host/group/ports.h": "// The ports.\n#pragma once\n"
                          '#include "host/raft/core.h"\n#include "schemas/types.capnp.h"\n',
    "host/store/volume.h": "// One volume.\n#pragma once\n#include <leveldb/db.h>\n"
                           '#include "host/group/ports.h"\n',
    "sdk/flotilla/bytes.h": "// Bytes of any kind.\n#pragma once\n",
    "plugins/kv/kv.capnp": "# A store of keys.\n@0xdd74bcb75f436928;\n",
    "plugins/kv/kv.cc": "// A store of keys.\n#include <flotilla/bytes.h>\n"
                        '#include "kv.capnp.h"\n',
}


class House(unittest.TestCase):
    def look(self, changes, rule):
        """What a rule says of the clean tree with these files added or replaced."""
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**CLEAN, **changes}.items():
                if text is None:
                    continue
                place = os.path.join(root, path)
                os.makedirs(os.path.dirname(place), exist_ok=True)
                with open(place, "w", encoding="utf-8") as file:
                    file.write(text)
            return list(rule(Tree(root)))

    def found(self, expected, changes, rule=includes.check):
        lines = self.look(changes, rule)
        self.assertTrue(any(expected in line for line in lines), f"{expected!r} not in {lines}")

    def test_a_clean_tree_passes(self):
        self.assertEqual([], self.look({}, includes.check))
        self.assertEqual([], self.look({}, words.check))
        self.assertEqual([], self.look({}, rooms.listing))

    def test_an_arrow_that_is_not_drawn_is_found(self):
        self.found("host/raft includes schemas/types.capnp",
                   {"host/raft/a.h": '// An a.\n#include "schemas/types.capnp.h"\n'})
        self.found("host/store includes host/net/peer.h",
                   {"host/net/peer.h": "// A peer.\n",
                    "host/store/a.cc": '// An a.\n#include "host/net/peer.h"\n'})
        self.found("host/api includes host/store/volume.h",
                   {"host/api/a.cc": '// An a.\n#include "host/store/volume.h"\n'})
        self.found("plugins includes host/base/assert.h",
                   {"plugins/kv/a.cc": '// An a.\n#include "host/base/assert.h"\n'})
        self.found("sdk/flotilla includes host/base/assert.h",
                   {"sdk/flotilla/a.h": '// An a.\n#include <host/base/assert.h>\n'})
        self.found("admin includes host/base/assert.h",
                   {"admin/main.cc": '// The command.\n#include "host/base/assert.h"\n'})
        self.found("schemas includes plugins/kv/kv.capnp",
                   {"schemas/a.capnp": '# An a.\nusing K = import "../plugins/kv/kv.capnp";\n'})

    def test_a_library_out_of_place_is_found(self):
        for name in ("kj/async.h", "capnp/message.h", "leveldb/db.h", "chrono", "thread", "mutex",
                     "fstream", "iostream", "random", "unordered_map", "unordered_set"):
            self.found(f"host/raft never includes <{name}>",
                       {"host/raft/a.cc": f"// An a.\n#include <{name}>\n"})
        for name in ("kj/async-io.h", "leveldb/db.h", "thread", "chrono", "condition_variable"):
            self.found(f"host/group never includes <{name}>",
                       {"host/group/a.cc": f"// An a.\n#include <{name}>\n"})
        self.found("<spdlog/spdlog.h> belongs to host/base/log.cc alone",
                   {"host/net/a.cc": "// An a.\n#include <spdlog/spdlog.h>\n"})
        self.found("<boost/dll.hpp> belongs to host/plugin/ alone",
                   {"host/runtime/a.cc": "// An a.\n#include <boost/dll.hpp>\n"})
        self.found('"nowhere.h" is no file of this tree',
                   {"host/raft/a.cc": '// An a.\n#include "nowhere.h"\n'})

    def test_generated_code_is_known_by_its_schema(self):
        self.assertEqual([], self.look({"tests/kv/a.cc": '// An a.\n#include "kv.capnp.h"\n'}, includes.check))
        self.found("host/raft includes plugins/kv/kv.capnp",
                   {"host/raft/a.cc": '// An a.\n#include "kv.capnp.h"\n'})

    def test_an_include_in_a_comment_is_none(self):
        self.assertEqual([], self.look(
            {"host/raft/a.cc": "// An a.\n//   #include <chrono>\n/* #include <thread>\n#include <mutex>\n*/\n"},
            includes.check))

    def test_circles_of_files_and_of_folders_are_found(self):
        self.found("circle of files: host/raft/a.h -> host/raft/b.h -> host/raft/a.h",
                   {"host/raft/a.h": '// An a.\n#include "host/raft/b.h"\n',
                    "host/raft/b.h": '// A b.\n#include "a.h"\n'})
        self.found("circle of folders: host/base -> host/raft -> host/base",
                   {"host/base/a.h": '// An a.\n#include "host/raft/core.h"\n'})

    def test_a_missing_first_sentence_is_found(self):
        for text in ("#pragma once\n", "", "// core.h\n#pragma once\n", "//\n// An a.\n"):
            self.found("host/raft/a.h:1: the first line", {"host/raft/a.h": text}, words.check)
        self.found("tests/run.sh:1: the first line", {"tests/run.sh": "#!/bin/sh\nls\n"}, words.check)

    def test_a_test_that_is_not_built_is_found(self):
        test = {"tests/raft/a_test.cc": "// An a.\n"}
        self.found("tests/raft/a_test.cc: its folder's", test, words.check)
        self.found("tests/raft/a_test.cc: its folder's",
                   {**test, "tests/raft/CMakeLists.txt": "# Tests.\nflotilla_test(t SOURCES an_a_test.cc)\n"}, words.check)
        self.assertEqual([], self.look(
            {**test, "tests/raft/CMakeLists.txt": "# Tests.\nflotilla_test(t SOURCES\n  a_test.cc b.cc)\n"}, words.check))

    def test_a_prefetch_that_may_be_left_out_is_found(self):
        self.found("host/raft/a.h:2: __builtin_prefetch",
                   {"host/raft/a.h": "// An a.\nvoid a(int* b) { __builtin_prefetch(b); }\n"}, words.check)

    def test_banned_names_are_found(self):
        self.found('host/base/string_util.h: "util"',
                   {"host/base/string_util.h": "// Words cut.\n"}, words.check)
        self.found('host/common: "common"', {"host/common/a.h": "// An a.\n"}, words.check)
        self.found('GroupManager: "manager"',
                   {"host/raft/a.h": "// An a.\nclass GroupManager;\nclass GroupManager {\n};\n"}, words.check)
        self.found('HostInfo: "info"', {"host/raft/a.cc": "// An a.\nstruct HostInfo {\n};\n"}, words.check)
        self.found('HostData: "data"', {"host/raft/a.cc": "// An a.\nstruct HostData {\n};\n"}, words.check)
        self.assertEqual([], self.look({"tests/process/a.py": "# An a thing.\n"}, words.check))

    def test_a_class_without_its_labels_is_found(self):
        virtual = "class A {\npublic:\n  virtual ~A() = default;\n};\n"
        member = "class A {\nprivate:\n  int count_ = 0;\n};\n"
        for body in (virtual, member, "template <typename T>\n" + member):
            self.found('class A: its comment says nothing under "Thread:"',
                       {"host/raft/a.h": "// An a.\n#pragma once\n\n// Errors: none.\n" + body}, words.check)
            self.found('class A: its comment says nothing under "Errors:"',
                       {"host/raft/a.h": "// An a.\n#pragma once\n\n// Thread: any.\n" + body}, words.check)
            self.assertEqual([], self.look(
                {"host/raft/a.h": "// An a.\n#pragma once\n\n// Thread: any.\n// Errors: none.\n" + body},
                words.check))
        plain = "// An a.\n#pragma once\n\nstruct A {\n  int count = 0;\n};\n\nclass B;\n"
        self.assertEqual([], self.look({"host/raft/a.h": plain}, words.check))

    def test_a_nested_class_is_covered_by_the_labels_around_it(self):
        nested = "class A {\n  class B {\n    int b_ = 0;\n  };\n  int a = 0;\n};\n"
        self.found("class B: its comment", {"host/raft/a.h": "// An a.\n#pragma once\n\n" + nested}, words.check)
        self.assertEqual([], self.look(
            {"host/raft/a.h": "// An a.\n#pragma once\n\n// Thread: any.\n// Errors: none.\n" + nested},
            words.check))

    def test_paths_of_one_machine_and_registry_hosts_are_found(self):
        self.found("a path of one machine",
                   {"host/base/a.cc": "// An a.\nconst char* kAt = \"/" + "home/someone/x\";\n"}, words.check)
        self.found("a registry's host", {"examples/a.sh": "# An a script.\nget https://" + "registry.npmjs.org/x\n"},
                   words.check)

    def test_strangers_at_the_top_level_are_found(self):
        self.found("notes.md: no entry of the top level", {"notes.md": "x\n"}, words.check)
        self.found("README.md: missing", {"README.md": None}, words.check)

    def test_rooms_past_their_size_are_listed(self):
        big = "// An a.\n" + "\n" * 460
        self.found("host/raft/a.cc: 461 lines, past 450", {"host/raft/a.cc": big}, rooms.listing)
        self.found("a room of", {"host/raft/a.cc": big, "host/raft/a.h": "// An a.\n" + "\n" * 150}, rooms.listing)
        self.found("columns, past 100", {"host/raft/a.h": "// An a.\n" + "x" * 101 + "\n"}, rooms.listing)


if __name__ == "__main__":
    unittest.main()
