// Tables, names, exit codes, and the files and programs of a playground.
#include <csignal>
#include <fstream>
#include <iterator>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "admin/command.h"
#include "admin/playground_files.h"
#include "admin/program.h"
#include "admin/table.h"
#include "tests/admin/command_line.h"

using namespace flotilla::admin;  // NOLINT(google-build-using-namespace)
using flotilla::ErrorCode;
using flotilla::test::scratch;

TEST_CASE("admin/table: columns are as wide as what is in them, in characters") {
  Table table({"NAME", "ID"});
  table.add({"grün", "1"});
  table.add({"b", ""});
  CHECK(table.text() == "NAME  ID\ngrün  1\nb\n");
  CHECK(bytesText(1023) == "1023 B");
  CHECK(bytesText(1536) == "1.5 KiB");
  CHECK(bytesText(48ULL << 30) == "48 GiB");
  CHECK(durationText(119'999) == "119 s");
  CHECK(durationText(7'199'000) == "119 min");
  CHECK(durationText(86'400'000) == "24 h");
  CHECK(orDash(uint64_t{0}) == "-");
}

TEST_CASE("admin/command: exit codes say what a script must do next") {
  CHECK(exitFor({ErrorCode::unavailable, "", ""}, false) == Exit::nowhere);
  CHECK(exitFor({ErrorCode::unavailable, "", ""}, true) == Exit::refused);
  CHECK(exitFor({ErrorCode::denied, "", ""}, false) == Exit::refused);
  CHECK(exitFor({ErrorCode::timeout, "", ""}, true) == Exit::unknown);
  CHECK(exitFor({ErrorCode::unknown, "", ""}, true) == Exit::unknown);
  CHECK(exitFor({ErrorCode::faulted, "", ""}, true) == Exit::unknown);
  CHECK(exitFor({ErrorCode::app, "", ""}, true) == Exit::refused);
}

TEST_CASE("admin/command: group names are what DESIGN says") {
  CHECK(checkGroupName("101", false).ok());
  CHECK(checkGroupName("a.b_c-d", false).ok());
  CHECK(checkGroupName(std::string(63, 'a'), false).ok());
  CHECK(!checkGroupName(std::string(64, 'a'), false).ok());
  CHECK(checkGroupName("id:7", true).ok());
  for (const char* bad : {"", "-a", ".a", "A", "a b", "ä", "id:7", "a/b"}) {
    CHECK(!checkGroupName(bad, false).ok());
  }
  CHECK(!checkGroupName("id:", true).ok());
  CHECK(!checkGroupName("id:-1", true).ok());
}

TEST_CASE("admin/playground_files: a playground is made once, with secrets of its own") {
  PlaygroundPlace place = placeOf(scratch() + "/made", 2, 8100);
  REQUIRE(makePlayground(place).ok());
  struct stat found {};
  REQUIRE(stat(place.operatorToken().c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0600);
  auto token = readFile(place.operatorToken(), 4'096);
  auto peer = readFile(place.peerToken(), 4'096);
  REQUIRE(token.ok());
  REQUIRE(peer.ok());
  CHECK(token->size() == 65);
  CHECK(*token != *peer);
  CHECK(*readFile(place.configFile(2), 65'536) ==
        "# A host of a playground: made by flotilla playground start.\n"
        "[host]\n"
        "id = 2\n"
        "listen = \"127.0.0.1:8101\"\n"
        "http = \"127.0.0.1:8201\"\n"
        "data_dir = \"data\"\n"
        "\n"
        "[cluster]\n"
        "name = \"playground\"\n"
        "founders = { 1 = \"127.0.0.1:8100\", 2 = \"127.0.0.1:8101\" }\n"
        "peer_token = \"../peer.token\"\n"
        "operator_token = \"../operator.token\"\n"
        "client_token = \"../client.token\"\n"
        "\n"
        "[plugins]\n"
        "trusted = \"operators\"\n");
  CHECK(!hasBegun(place, 1));
  auto again = makePlayground(place);
  REQUIRE(!again.ok());
  CHECK(again.fault().text ==
        "playground " + place.dir + ": holds other files; name an empty or a new folder");
  auto read = readPlayground(place.dir);
  REQUIRE(read.ok());
  CHECK(read->hosts == 2);
  CHECK(read->addresses[1] == "127.0.0.1:8101");
  auto none = readPlayground(scratch() + "/none");
  REQUIRE(!none.ok());
  CHECK(none.fault().text.find("none here") != std::string::npos);
}

TEST_CASE("admin/program: a pid is believed only where it runs what it should") {
  std::string log = scratch() + "/sleep.log";
  auto pid = startDetached({"/bin/sleep", "1000"}, log);
  REQUIRE(pid.ok());
  // Until exec has happened the child still has our own words.
  for (int i = 0; i < 10'000 && !runs(*pid, "sleep", "1000"); ++i) usleep(1'000);
  CHECK(runs(*pid, "/anywhere/sleep", "1000"));
  CHECK(!runs(*pid, "flotilla-host", "1000"));
  CHECK(!runs(*pid, "sleep", "100"));
  kill(*pid, SIGKILL);
  for (int i = 0; i < 10'000 && runs(*pid, "sleep", "1000"); ++i) usleep(1'000);
  CHECK(!runs(*pid, "sleep", "1000"));
  CHECK(!runs(0, "sleep", "1000"));
}

TEST_CASE("admin/program: a program's exit and words come back") {
  std::string output;
  auto code = runQuietly({"/bin/sh", "-c", "echo out; echo err >&2; exit 3"}, output);
  REQUIRE(code.ok());
  CHECK(*code == 3);
  CHECK(output == "out\nerr\n");
  CHECK(*runQuietly({"/nowhere/at/all"}, output) == 127);
}
