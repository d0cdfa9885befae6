// Timers from the command that sets them to the entry that fires them, on one applier and on three.
#include <doctest/doctest.h>

#include "host/group/applier.h"
#include "tests/group/trio.h"

namespace flotilla::test {
namespace {

using group::Applied;
using group::Applier;
using group::encodeCommands;
using group::encodeTimers;
using group::LogEntry;
using group::Position;

group::Call wakeCall(int64_t timeUs, uint64_t token, bool fails = false) {
  return mapCall(fails ? 6 : 5, std::to_string(timeUs) + " " + std::to_string(token));
}

// One applier and its log.
struct Bench {
  Bench()
      : applier({7, 1}, [](const std::string&) -> Result<std::unique_ptr<group::Machine>> {
          return std::unique_ptr<group::Machine>(std::make_unique<MapMachine>());
        }) {
    REQUIRE(applier.begin().ok());
  }
  LogEntry add(Bytes payload) { return {++last, 1, std::move(payload)}; }
  LogEntry commands(std::vector<group::Call> calls, int64_t timeUs) {
    return add(encodeCommands(timeUs, calls));
  }
  Applied apply(std::vector<LogEntry> entries, bool wanted = true) {
    return applier.apply({3, std::move(entries), wanted});
  }
  std::string woken() { return static_cast<MapMachine&>(*applier.machine()).values["woken"]; }
  std::string saved() {
    raft::LogShape shape({}, {{1, 2, 3}, {}, {}, {}, false});
    shape.append(last, 1);
    auto capture = applier.capture(shape, true);
    REQUIRE(capture.ok());
    MemoryFile file;
    REQUIRE((*capture)->save(file).ok());
    return file.bytes;
  }

  Applier applier;
  raft::Index last = 0;
};

}  // namespace

TEST_CASE("group/applier: a timer fires at a timer entry of its time, once, as a command") {
  Bench bench;
  Applied set = bench.apply({bench.commands({wakeCall(2000, 1), wakeCall(1500, 2)}, 1000)});
  CHECK(set.answers.size() == 2);
  CHECK(textOf(set.answers[0].outcome) == "set");
  CHECK(set.nextTimerUs == 1500);
  // Neither a command of that time nor a timer entry before it fires anything.
  Applied early =
      bench.apply({bench.add(encodeTimers(1499)), bench.commands({mapCall(0, "a=1")}, 1600)});
  CHECK(bench.woken() == "");
  CHECK(early.nextTimerUs == 1500);
  Applied one = bench.apply({bench.add(encodeTimers(1600))});
  CHECK(bench.woken() == "2@1600 ");
  CHECK(one.nextTimerUs == 2000);
  CHECK(one.answers.empty());
  Applied two = bench.apply({bench.add(encodeTimers(1700)), bench.add(encodeTimers(2500)),
                             bench.add(encodeTimers(2600))});
  CHECK(bench.woken() == "2@1600 1@2500 ");
  CHECK(two.nextTimerUs == group::kNoTimer);
}

TEST_CASE("group/applier: a command that ends with an error leaves no timer, nor does a timer's") {
  Bench bench;
  bench.apply({bench.commands({wakeCall(1, 5, true), wakeCall(1, 777), wakeCall(1, 6)}, 1000)});
  Applied applied = bench.apply({bench.add(encodeTimers(1000)), bench.add(encodeTimers(2000))});
  CHECK(bench.woken() == "6@1000 ");
  CHECK(!applied.fault);
  CHECK(applied.nextTimerUs == group::kNoTimer);
}

TEST_CASE("group/applier: what a command of the same request sets may be due in it already") {
  Bench bench;
  bench.apply({bench.commands({wakeCall(900, 3), mapCall(0, "a=1")}, 1000),
               bench.add(encodeTimers(1000)), bench.commands({wakeCall(1000, 4)}, 1000)},
              false);
  CHECK(bench.woken() == "3@1000 ");
  CHECK(bench.applier.state().timers.size() == 1);
}

TEST_CASE("group/applier: a timer that sets another fires it with a later entry") {
  Bench bench;
  bench.apply({bench.commands({wakeCall(1000, 2007)}, 1000), bench.add(encodeTimers(1000))});
  CHECK(bench.woken() == "2007@1000 ");
  bench.apply({bench.add(encodeTimers(2500)), bench.add(encodeTimers(2600)),
               bench.add(encodeTimers(3500))});
  CHECK(bench.woken() == "2007@1000 1007@2500 7@3500 ");
}

TEST_CASE("group/applier: more than one entry fires are left to the next") {
  Bench bench;
  std::vector<group::Call> calls;
  for (uint64_t i = 0; i <= group::kTimersAtOnceMax; ++i) calls.push_back(wakeCall(5, i % 600));
  Applied first = bench.apply({bench.commands(calls, 10), bench.add(encodeTimers(10))});
  CHECK(first.nextTimerUs == 5);
  CHECK(bench.applier.state().timers.size() == 1);
  Applied rest = bench.apply({bench.add(encodeTimers(10))});
  CHECK(rest.nextTimerUs == group::kNoTimer);
}

TEST_CASE("group/applier: past the bound a timer is refused, and one that fired makes room") {
  Bench bench;
  std::vector<group::Call> calls(1024, wakeCall(50, 1));
  for (size_t i = 0; i < group::kTimersMax / 1024; ++i) {
    Applied all = bench.apply({bench.commands(calls, 10)});
    for (const auto& answer : all.answers) REQUIRE(answer.outcome.ok());
  }
  Applied over = bench.apply({bench.commands({wakeCall(50, 1)}, 10)});
  CHECK(over.answers[0].outcome.appCode == "full");
  CHECK(bench.saved().size() > group::kTimersMax / 2);
  Applied room = bench.apply({bench.add(encodeTimers(50)), bench.commands({wakeCall(60, 1)}, 50)});
  CHECK(room.answers[0].outcome.ok());
}

TEST_CASE("group/applier: a timer that breaks its machine stops it at the timer's position") {
  Bench bench;
  Applied applied =
      bench.apply({bench.commands({wakeCall(1, 1), wakeCall(2, 666), wakeCall(3, 2)}, 10),
                   bench.add(encodeTimers(10)), bench.commands({mapCall(0, "a=1")}, 10)});
  REQUIRE(applied.fault.has_value());
  CHECK(applied.fault->text == "broke when it was woken");
  CHECK(applied.faultAt == Position{2, 1});
  CHECK(applied.index == 1);
  CHECK(bench.woken() == "1@10 ");
}

TEST_CASE("group/applier: timers are in snapshots, and requests change nothing") {
  Bench one;
  std::vector<LogEntry> entries;
  for (uint64_t i = 1; i < 60; ++i) {
    auto timeUs = static_cast<int64_t>(i * 100);
    entries.push_back(one.commands({wakeCall(timeUs + static_cast<int64_t>(i * 37 % 900), i),
                                    wakeCall(timeUs + 150, 1000 + i), wakeCall(timeUs, 9, i % 3)},
                                   timeUs));
    if (i % 4 == 0) entries.push_back(one.add(encodeTimers(timeUs + 50)));
  }
  one.apply(entries);
  auto other = std::make_unique<Bench>();
  for (const LogEntry& entry : entries) {
    other->apply({entry}, entry.index % 2 == 0);
    other->last = entry.index;
    if (entry.index % 11 != 0) continue;
    std::string file = other->saved();
    auto next = std::make_unique<Bench>();
    MemorySource source(file);
    REQUIRE(next->applier.install(source, {}).ok());
    next->last = other->last;
    other = std::move(next);
  }
  CHECK(one.applier.state().timers.size() > 10);
  CHECK(one.woken() == other->woken());
  CHECK(one.saved() == other->saved());
}

// ---- three replicas ----------------------------------------------------------------------------

namespace {

// What each replica's timers did; they must agree.
std::string wokenOf(Trio& trio) {
  std::string woken = trio.machineAt(1).values["woken"];
  for (raft::ReplicaId id = 2; id <= trio.seats.size(); ++id) {
    CHECK(trio.machineAt(id).values["woken"] == woken);
  }
  return woken;
}

size_t timesOf(const std::string& woken, uint64_t token) {
  size_t times = 0;
  std::string part = std::to_string(token) + "@";
  for (size_t at = woken.find(part); at != std::string::npos; at = woken.find(part, at + 1)) {
    if (at == 0 || woken[at - 1] == ' ') ++times;
  }
  return times;
}

int64_t whenOf(const std::string& woken, uint64_t token) {
  return std::stoll(woken.substr(woken.find(std::to_string(token) + "@") + 2));
}

}  // namespace

TEST_CASE("group/group: a timer fires on every replica once log time has come to it") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  int64_t dueUs = trio.timeUs + 1'000'000;
  REQUIRE(trio.run(leader, wakeCall(dueUs, 5)).ok());
  REQUIRE(trio.run(leader, wakeCall(trio.timeUs - 50, 6)).ok());  // due at once
  trio.tickAll(1);
  CHECK(timesOf(wokenOf(trio), 6) == 1);
  raft::Index before = trio.groupAt(leader).status().lastIndex;
  trio.tickAll(7);
  CHECK(trio.groupAt(leader).status().lastIndex == before);  // nothing is proposed meanwhile
  CHECK(timesOf(wokenOf(trio), 5) == 0);
  trio.tickAll(4);
  REQUIRE(timesOf(wokenOf(trio), 5) == 1);
  CHECK(whenOf(wokenOf(trio), 5) >= dueUs);
  CHECK(trio.groupAt(leader).status().lastIndex == before + 1);
  trio.tickAll(50);
  CHECK(timesOf(wokenOf(trio), 5) == 1);
  CHECK(trio.groupAt(leader).status().lastIndex == before + 1);
}

TEST_CASE("group/group: a clock that is set to an hour on fires nothing early") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  int64_t beganUs = trio.timeUs;
  REQUIRE(trio.run(leader, wakeCall(beganUs + 10'000'000, 5)).ok());
  trio.wallAheadUs = 3'600'000'000;
  trio.tickAll(85);  // 8.5 s, and a tenth more at most
  CHECK(timesOf(wokenOf(trio), 5) == 0);
  trio.crash(leader);
  trio.cut(leader);
  trio.elect();
  CHECK(trio.timeUs > beganUs + 9'000'000);
  trio.start(leader);
  trio.mend(leader);
  trio.tickAll(40);
  CHECK(timesOf(wokenOf(trio), 5) == 1);
}

TEST_CASE("group/group: timers outlive leaders, snapshots and a restart of all") {
  group::GroupOptions options;
  options.snapshotEveryEntries = 10;
  options.keepEntries = 2;
  Trio trio(3, options);
  raft::ReplicaId leader = trio.elect();
  int64_t dueUs = trio.timeUs + 20'000'000;
  for (uint64_t token = 100; token < 130; ++token) {
    REQUIRE(trio.run(leader, wakeCall(dueUs + static_cast<int64_t>(token), token)).ok());
  }
  trio.tickAll(3);
  CHECK(trio.groupAt(leader).status().snapshotIndex > 10);
  for (raft::ReplicaId id = 1; id <= 3; ++id) trio.crash(id);
  for (raft::ReplicaId id = 1; id <= 3; ++id) trio.start(id);
  leader = trio.elect();
  trio.groupAt(leader).transfer(0);
  trio.tickAll(2);
  raft::ReplicaId second = trio.elect();
  trio.crash(second);
  trio.cut(second);
  trio.elect();
  trio.tickAll(230);
  trio.start(second);
  trio.mend(second);
  trio.tickAll(20);
  std::string woken = wokenOf(trio);
  for (uint64_t token = 100; token < 130; ++token) CHECK(timesOf(woken, token) == 1);
}

// What a deposed leader proposed last may have a higher index than its log has later.
TEST_CASE("group/group: a timer entry that was cut off does not hold up the next") {
  Trio trio(3);
  raft::ReplicaId first = trio.elect();
  REQUIRE(trio.run(first, wakeCall(trio.timeUs + 150'000, 5)).ok());
  trio.cut(first);
  for (int i = 0; i < 30; ++i) {
    trio.groupAt(first).propose(trio.call(), mapCall(0, "lost=1"));
    trio.settle();
  }
  trio.tickAll(4);
  raft::ReplicaId second = trio.elect();
  REQUIRE(second != first);
  trio.tickAll(2);
  trio.mend(first);
  trio.tickAll(10);
  CHECK(timesOf(wokenOf(trio), 5) == 1);
  trio.groupAt(second).transfer(first);
  trio.tickAll(5);
  REQUIRE(trio.elect() == first);
  REQUIRE(trio.run(first, wakeCall(trio.timeUs + 50'000, 6)).ok());
  trio.tickAll(5);
  CHECK(timesOf(wokenOf(trio), 6) == 1);
  CHECK(timesOf(wokenOf(trio), 5) == 1);
}

TEST_CASE("group/group: it does not fall asleep over a timer, and does once that has fired") {
  group::GroupOptions options;
  options.core.sleepTicks = 5;
  Trio trio(3, options);
  raft::ReplicaId leader = trio.elect();
  REQUIRE(trio.run(leader, wakeCall(trio.timeUs + 6'000'000, 5)).ok());
  trio.tickAll(50);
  for (raft::ReplicaId id = 1; id <= 3; ++id) CHECK(!trio.groupAt(id).idle());
  trio.tickAll(40);
  CHECK(timesOf(wokenOf(trio), 5) == 1);
  for (raft::ReplicaId id = 1; id <= 3; ++id) CHECK(trio.groupAt(id).idle());
}

}  // namespace flotilla::test
