// The command line: its helps are golden files, its errors one line and an exit code.
#include "tests/admin/command_line.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

#include <doctest/doctest.h>

using flotilla::test::Ran;
using flotilla::test::runFlotilla;
using flotilla::test::scratch;

namespace {

std::string contentOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::string> split(const std::string& words) {
  std::istringstream in(words);
  return {std::istream_iterator<std::string>(in), std::istream_iterator<std::string>()};
}

// The help of a command against tests/admin/golden/<words>.txt; REWRITE=1 writes it.
void checkHelp(const std::string& command) {
  std::vector<std::string> words = split(command);
  std::string file = "tests/admin/golden/flotilla";
  for (const std::string& word : words) file += "_" + word;
  file += ".txt";
  words.emplace_back("--help");
  Ran ran = runFlotilla(words);
  CHECK(ran.exit == 0);
  CHECK(ran.err == "");
  if (std::getenv("REWRITE") != nullptr) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << ran.out;
  }
  CHECK_MESSAGE(ran.out == contentOf(file), file);
}

struct Bad {
  const char* words;
  const char* error;
};

}  // namespace

TEST_CASE("admin/main: each command explains itself in the golden words") {
  for (const char* command : {"",
                              "playground",
                              "playground start",
                              "playground stop",
                              "playground status",
                              "playground kill",
                              "playground restart",
                              "host",
                              "host list",
                              "host show",
                              "plugin",
                              "plugin push",
                              "plugin list",
                              "plugin show",
                              "plugin schema",
                              "plugin check",
                              "plugin new",
                              "group",
                              "group create",
                              "group list",
                              "group show",
                              "group remove",
                              "group transfer",
                              "group snapshot",
                              "group retry",
                              "group set",
                              "group rebuild",
                              "group upgrade",
                              "call",
                              "status",
                              "events"}) {
    checkHelp(command);
  }
}

TEST_CASE("admin/main: a wrong command line is one line on stderr and exit 2") {
  for (Bad bad : std::initializer_list<Bad>{
           {"", "flotilla: no command given; see flotilla --help\n"},
           {"group", "flotilla group: no command given; see flotilla group --help\n"},
           {"group show",
            "flotilla group show: NAME is required; see flotilla group show --help\n"},
           {"group create g",
            "flotilla group create: --plugin is required; see flotilla group create --help\n"},
           {"group show UPPER",
            "flotilla group show: group \"UPPER\": not a group's name; write 1 to 63 of a-z, 0-9, "
            "'.', '_', '-', the first a letter or digit\n"},
           {"group show id:x",
            "flotilla group show: group \"id:x\": no number; write it as id:7\n"},
           {"group create id:7 --plugin kv",
            "flotilla group create: group \"id:7\": not a group's name; write 1 to 63 of a-z, 0-9, "
            "'.', '_', '-', the first a letter or digit\n"},
           {"group create g --plugin kv --on 1,x",
            "flotilla group create: --on \"1,x\": not host ids; write them as 1,2,3\n"},
           {"group create g --plugin kv --set electionTimeoutMs",
            "flotilla group create: --set \"electionTimeoutMs\": write it as name=value\n"},
           {"group create g --plugin kv --set a=1 --set a=2",
            "flotilla group create: --set a: given twice\n"},
           {"plugin new Tally",
            "flotilla plugin new: plugin name \"Tally\": needs [a-z][a-z0-9_-]{0,62}, as in "
            "red-apples\n"},
           {"plugin new test",
            "flotilla plugin new: plugin name \"test\": CMake has a target of that name; take "
            "another\n"},
           {"plugin new any-pointer",
            "flotilla plugin new: plugin name \"any-pointer\": its interface would be called "
            "AnyPointer, as a type of every schema is; take another\n"},
           {"call g --lines", "flotilla call: --lines: name the method that each line calls\n"},
           {"call g put --lines key=a",
            "flotilla call: --lines: takes parameters from standard input alone; leave out "
            "\"key=a\"\n"},
           {"events g --after 5/",
            "flotilla events: --after \"5/\": no position; write it as INDEX or INDEX/ORDINAL\n"},
           {"status",
            "flotilla status: no token; name its file with --token or FLOTILLA_TOKEN, or start a "
            "playground\n"},
           {"status --token nowhere",
            "flotilla status: token nowhere: No such file or directory\n"},
           {"status --token /dev/null",
            "flotilla status: token /dev/null: empty; it holds one line\n"},
           {"status --token /etc/hostname --connect localhost",
            "flotilla status: --connect \"localhost\": no port; write it as host:port\n"},
           {"plugin push nowhere.so --token /dev/null",
            "flotilla plugin push: nowhere.so: No such file or directory\n"}}) {
    Ran ran = runFlotilla(split(bad.words));
    CHECK(ran.exit == 2);
    CHECK(ran.out == "");
    CHECK(ran.err == bad.error);
  }
  CHECK(runFlotilla({"group", "list", "--bogus"}).exit == 2);
  CHECK(runFlotilla({"nothing"}).exit == 2);
  CHECK(runFlotilla({"status", "--timeout-ms", "0"}).exit == 2);
}

TEST_CASE(
    "admin/main: where nobody listens the exit is 3, and with --json the error is an object") {
  std::ofstream(scratch() + "/token") << "secret\n";
  std::vector<std::string> words = {"host", "list", "--connect", "127.0.0.1:1", "--token", "token"};
  Ran ran = runFlotilla(words);
  CHECK(ran.exit == 3);
  CHECK(ran.out == "");
  CHECK(ran.err ==
        "flotilla host list: unavailable: host 127.0.0.1:1: connect(): Connection refused\n");
  words.emplace_back("--json");
  ran = runFlotilla(words);
  CHECK(ran.exit == 3);
  CHECK(ran.err ==
        "{\"error\":{\"code\":\"unavailable\",\"text\":\"host 127.0.0.1:1: connect(): Connection "
        "refused\",\"maybeDone\":false}}\n");
}

TEST_CASE("admin/main: a group may bear the name of a command") {
  std::ofstream(scratch() + "/token") << "secret\n";
  for (const char* name : {"list", "status", "call", "group"}) {
    CHECK(
        runFlotilla({"group", "show", name, "--connect", "127.0.0.1:1", "--token", "token"}).exit ==
        3);
    CHECK(runFlotilla({"call", name, "status", "--connect", "127.0.0.1:1", "--token", "token"})
              .exit == 3);
  }
}
