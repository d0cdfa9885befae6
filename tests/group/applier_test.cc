// The applier: runs, sessions, faults at their positions, snapshots.
#include "host/group/applier.h"

#include <doctest/doctest.h>

#include "tests/group/map_machine.h"

namespace flotilla::group {
namespace {

using test::mapCall;
using test::MapMachine;
using test::MemoryFile;
using test::MemorySource;
using test::textOf;

Result<std::unique_ptr<Machine>> makeMap(const std::string& sha256) {
  return std::unique_ptr<Machine>(std::make_unique<MapMachine>(sha256));
}

// One applier and its log.
struct Bench {
  Bench() : applier({7, 1}, makeMap) { REQUIRE(applier.begin().ok()); }

  LogEntry add(Bytes payload) { return {++last, 1, std::move(payload)}; }
  LogEntry commands(std::vector<Call> calls, int64_t timeUs = 1000) {
    return add(encodeCommands(timeUs, calls));
  }
  Applied apply(std::vector<LogEntry> entries, bool wanted = true) {
    return applier.apply({3, std::move(entries), wanted});
  }
  MapMachine& machine() { return static_cast<MapMachine&>(*applier.machine()); }
  raft::LogShape shape() const {
    raft::LogShape shape({}, {{1, 2, 3}, {}, {}, {}, false});
    shape.append(last, 1);
    return shape;
  }

  Applier applier;
  raft::Index last = 0;
};

}  // namespace

TEST_CASE("group/applier: many entries' commands are one run, answered in order") {
  Bench bench;
  std::vector<LogEntry> entries = {bench.add(encodeNoOp(900)),
                                   bench.commands({mapCall(0, "a=1"), mapCall(2, "b")}),
                                   bench.commands({mapCall(0, "c=3")})};
  Applied applied = bench.apply(entries);
  CHECK(applied.generation == 3);
  CHECK(applied.index == 3);
  CHECK(!applied.fault);
  CHECK(bench.machine().runs == 1);
  REQUIRE(applied.answers.size() == 3);
  CHECK(applied.answers[0].position == Position{2, 0});
  CHECK(textOf(applied.answers[0].outcome) == "0");
  CHECK(applied.answers[1].outcome.code == ErrorCode::app);
  CHECK(applied.answers[1].outcome.appCode == "refused");
  CHECK(applied.answers[2].position == Position{3, 0});
  CHECK(textOf(applied.answers[2].outcome) == "2");
}

TEST_CASE("group/applier: answers nobody waits for are not gathered") {
  Bench bench;
  Applied applied = bench.apply({bench.commands({mapCall(0, "a=1")})}, false);
  CHECK(applied.index == 1);
  CHECK(applied.answers.empty());
  CHECK(bench.machine().values["a"] == "1");
}

TEST_CASE("group/applier: a long run is handed over in bounded pieces") {
  Bench bench;
  std::vector<Call> calls(kRunCommandsMax + 1, mapCall(0, "a=1"));
  Applied applied = bench.apply({bench.commands(calls)});
  CHECK(applied.answers.size() == calls.size());
  CHECK(bench.machine().runs == 2);
  CHECK(textOf(applied.answers.back().outcome) == std::to_string(kRunCommandsMax));
}

TEST_CASE("group/applier: a stamp is applied once, within a run, later, and after a snapshot") {
  Bench bench;
  Applied opened = bench.apply({bench.add(encodeOpenSession(1000, 1))});
  REQUIRE(opened.answers.size() == 1);
  uint64_t session = opened.answers[0].outcome.position.index;
  CHECK(session == 1);
  Stamp stamp{session, 1, 1};
  Applied twice =
      bench.apply({bench.commands({mapCall(0, "a=1", stamp), mapCall(0, "a=1", stamp)})});
  REQUIRE(twice.answers.size() == 2);
  CHECK(textOf(twice.answers[0].outcome) == "0");
  CHECK(textOf(twice.answers[1].outcome) == "0");
  CHECK(twice.answers[1].position == Position{2, 1});
  CHECK(twice.answers[1].outcome.position == Position{2, 0});
  CHECK(bench.machine().commands == 1);

  auto capture = bench.applier.capture(bench.shape(), true);
  REQUIRE(capture.ok());
  MemoryFile file;
  REQUIRE((*capture)->save(file).ok());
  Bench other;
  MemorySource source(file.bytes);
  auto installed = other.applier.install(source, raft::LogPoint{2, 1});
  REQUIRE(installed.ok());
  other.last = 2;
  CHECK(other.machine().values["a"] == "1");
  Applied again = other.apply({other.commands({mapCall(0, "a=1", stamp)})});
  REQUIRE(again.answers.size() == 1);
  CHECK(textOf(again.answers[0].outcome) == "0");
  CHECK(other.machine().commands == 1);
  CHECK(other.applier.state().configuration.configuration.voters.size() == 3);
}

TEST_CASE("group/applier: what has no room on its way is kept all the same, and equal everywhere") {
  Bench bench;
  Bench other;
  for (Bench* it : {&bench, &other}) it->apply({it->add(encodeOpenSession(1000, 1))});
  std::vector<Call> calls = {mapCall(0, "a=1", {1, 1, 1}), mapCall(0, "b=2", {1, 2, 1}),
                             mapCall(0, "c=3")};
  size_t bytes = other.apply({other.commands(calls)}).answers[0].outcome.body.size();
  Applied applied = bench.applier.apply({3, {bench.commands(calls)}, true}, bytes);
  CHECK(bench.applier.answersBytes() == bytes);
  REQUIRE(applied.answers.size() == 3);
  CHECK(textOf(applied.answers[0].outcome) == "0");
  for (size_t i = 1; i < 3; ++i) {
    CHECK(applied.answers[i].outcome.code == ErrorCode::unknown);
    CHECK(applied.answers[i].outcome.position == Position{2, static_cast<uint32_t>(i)});
    CHECK(textOf(applied.answers[i].outcome).starts_with("applied, but its answer of "));
  }
  CHECK(bench.machine().values == other.machine().values);
  CHECK(bench.applier.state().digest() == other.applier.state().digest());
  CHECK(bench.applier.state().encode(Sessions::Form::runs).view() ==
        other.applier.state().encode(Sessions::Form::runs).view());

  Applied again = bench.apply({bench.commands({calls[1]})});
  CHECK(textOf(again.answers[0].outcome) == "1");
  Applied repeats = bench.applier.apply({3, {bench.commands({calls[1], calls[1]})}, true}, bytes);
  CHECK(repeats.answers[0].outcome.ok());
  CHECK(repeats.answers[1].outcome.code == ErrorCode::unknown);
  CHECK(bench.machine().commands == 3);
}

// Found by flotilla-sim, seed 2: a log that begins with a snapshot knows its configuration by the
// snapshot's index, and wrote that into the next one.
TEST_CASE("group/applier: a replica that began with a snapshot saves what the others save") {
  Bench one;
  one.apply({one.commands({mapCall(0, "a=1")})});
  auto capture = one.applier.capture(one.shape(), true);
  REQUIRE(capture.ok());
  MemoryFile file;
  REQUIRE((*capture)->save(file).ok());
  Bench other;
  MemorySource source(file.bytes);
  REQUIRE(other.applier.install(source, {}).ok());
  other.last = one.last;
  LogEntry next = one.commands({mapCall(0, "b=2")});
  one.apply({next});
  other.apply({next});
  raft::LogShape ofOther({1, 1}, one.shape().configurations().front().configuration);
  ofOther.append(next.index, 1);
  auto its = one.applier.capture(one.shape(), true);
  auto others = other.applier.capture(ofOther, true);
  REQUIRE(its.ok());
  REQUIRE(others.ok());
  MemoryFile itsFile;
  MemoryFile othersFile;
  REQUIRE((*its)->save(itsFile).ok());
  REQUIRE((*others)->save(othersFile).ok());
  CHECK(itsFile.bytes == othersFile.bytes);
}

// Found by flotilla-sim, seed 1304.
TEST_CASE("group/applier: nothing is saved before the members are known") {
  Bench bench;
  bench.apply({bench.commands({mapCall(0, "a=1")})});
  raft::LogShape joined;
  joined.append(bench.last, 1);
  auto early = bench.applier.capture(joined, true);
  REQUIRE(!early.ok());
  CHECK(early.fault().code == ErrorCode::unavailable);
  CHECK(!bench.applier.fault());
  raft::Configuration members{{1, 2, 3, 4}, {}, {}, {}, false};
  bench.apply({bench.add(encodeConfiguration(1000, members))});
  joined.append(bench.last, 1);
  joined.addConfiguration({bench.last, members});
  CHECK(bench.applier.capture(joined, true).ok());
}

TEST_CASE("group/applier: how commands fall into requests changes nothing") {
  Bench one;
  Bench other;
  std::vector<LogEntry> entries = {one.add(encodeOpenSession(1000, 1))};
  for (uint64_t i = 1; i < 40; ++i) {
    Stamp stamp{1, 1 + i * 7 % 13, i / 5};
    entries.push_back(one.commands(
        {mapCall(0, "k=" + std::to_string(i), stamp), mapCall(i % 3 == 0 ? 2 : 0, "u=1")}));
  }
  Applied whole = one.apply(entries);
  std::vector<Applied::Answer> single;
  for (const LogEntry& entry : entries) {
    Applied applied = other.apply({entry});
    for (auto& answer : applied.answers) single.push_back(std::move(answer));
  }
  other.last = one.last;
  REQUIRE(whole.answers.size() == single.size());
  size_t refused = 0;
  for (size_t i = 0; i < single.size(); ++i) {
    CHECK(whole.answers[i].position == single[i].position);
    CHECK(whole.answers[i].outcome.code == single[i].outcome.code);
    CHECK(whole.answers[i].outcome.body.view() == single[i].outcome.body.view());
    if (single[i].outcome.code == ErrorCode::badRequest) ++refused;
  }
  CHECK(refused > 0);
  CHECK(one.applier.state().encode(Sessions::Form::runs).view() ==
        other.applier.state().encode(Sessions::Form::runs).view());
  CHECK(one.machine().values == other.machine().values);
}

TEST_CASE("group/applier: log time never goes back, and seeds differ and repeat") {
  Bench bench;
  auto texts = [](const Applied& applied) {
    std::vector<std::string> all;
    for (const auto& answer : applied.answers) all.push_back(textOf(answer.outcome));
    return all;
  };
  std::vector<LogEntry> entries = {bench.commands({mapCall(4, "x"), mapCall(4, "x")}, 5000),
                                   bench.commands({mapCall(4, "x")}, 4000)};
  auto first = texts(bench.apply(entries));
  REQUIRE(first.size() == 3);
  for (const std::string& text : first) CHECK(text.substr(0, 5) == "5000 ");
  CHECK(first[0] != first[1]);
  CHECK(first[1] != first[2]);
  Bench again;
  CHECK(texts(again.apply(entries)) == first);
}

TEST_CASE("group/applier: a machine's fault stops it at the command's position") {
  Bench bench;
  std::vector<LogEntry> entries = {
      bench.commands({mapCall(0, "a=1")}),
      bench.commands({mapCall(0, "b=2"), mapCall(3, "bad"), mapCall(0, "c=3")}),
      bench.commands({mapCall(0, "d=4")})};
  Applied applied = bench.apply(entries);
  CHECK(applied.index == 1);
  REQUIRE(applied.fault.has_value());
  CHECK(applied.fault->text == "broke on bad");
  CHECK(applied.faultAt == Position{2, 1});
  CHECK(applied.answers.size() == 2);  // a and b were applied
  CHECK(!bench.machine().values.contains("c"));

  Applied later = bench.apply({bench.commands({mapCall(0, "e=5")})});
  CHECK(later.index == 1);
  CHECK(later.faultAt == Position{2, 1});
  CHECK(later.answers.empty());
  CHECK(!bench.machine().values.contains("e"));
  Queried queried = bench.applier.query({3, 11, mapCall(1, "a")});
  CHECK(queried.call == 11);
  CHECK(queried.outcome.code == ErrorCode::faulted);
  CHECK(textOf(queried.outcome) == "group 7: stopped at 2.1: broke on bad");
  CHECK(!bench.applier.capture(bench.shape(), true).ok());
}

TEST_CASE("group/applier: an entry that cannot be read stops it there, and what is before counts") {
  Bench bench;
  std::vector<LogEntry> entries = {bench.commands({mapCall(0, "a=1")}),
                                   bench.add(Bytes::copyOf("garbage!garbage!")),
                                   bench.commands({mapCall(0, "b=1")})};
  Applied applied = bench.apply(entries);
  CHECK(applied.index == 1);
  CHECK(applied.faultAt == Position{2, 0});
  CHECK(applied.answers.size() == 1);
  CHECK(bench.machine().values.size() == 1);
}

TEST_CASE("group/applier: a query answers, errs, or stops the replica") {
  Bench bench;
  bench.apply({bench.commands({mapCall(0, "a=1")})});
  Queried found = bench.applier.query({3, 1, mapCall(1, "a")});
  CHECK(textOf(found.outcome) == "1");
  CHECK(found.outcome.position == Position{1, 0});
  CHECK(bench.applier.query({3, 2, mapCall(1, "z")}).outcome.appCode == "notFound");
  CHECK(bench.applier.query({3, 3, mapCall(7, "z")}).outcome.code == ErrorCode::faulted);
  CHECK(bench.applier.fault().has_value());
}

TEST_CASE("group/applier: a damaged snapshot leaves what was there") {
  Bench bench;
  bench.apply({bench.commands({mapCall(0, "a=1"), mapCall(0, "b=2")})});
  auto capture = bench.applier.capture(bench.shape(), true);
  REQUIRE(capture.ok());
  // Held still: what is applied after it is not in it.
  bench.apply({bench.commands({mapCall(0, "c=3")})});
  MemoryFile file;
  REQUIRE((*capture)->save(file).ok());
  Bench other;
  other.apply({other.commands({mapCall(0, "mine=1")})});
  for (size_t at = 0; at < file.bytes.size(); ++at) {
    std::string damaged = file.bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    MemorySource source(damaged);
    CHECK(!other.applier.install(source, {}).ok());
    CHECK(other.machine().values.contains("mine"));
  }
  MemorySource elsewhere(file.bytes);
  CHECK(!other.applier.install(elsewhere, raft::LogPoint{9, 9}).ok());
  MemorySource source(file.bytes);
  REQUIRE(other.applier.install(source, {}).ok());
  CHECK(other.machine().values == std::map<std::string, std::string>{{"a", "1"}, {"b", "2"}});
  CHECK(other.applier.at() == raft::LogPoint{1, 1});
}

}  // namespace flotilla::group
