// Another plugin's machine takes over at one entry of the log.
#include <doctest/doctest.h>

#include "host/group/entry.h"
#include "host/group/group.h"
#include "tests/group/trio.h"

namespace flotilla::test {
namespace {

const std::string kNext(64, 'a');
const std::string kNew(64, kNewcomer);
const std::string kRefuses(64, kUnwilling);

group::GroupOptions plain() {
  group::GroupOptions options;
  options.digestEveryEntries = 0;
  options.digestEveryUs = 0;
  options.snapshotEveryEntries = 0;
  return options;
}

void putMany(Trio& trio, raft::ReplicaId leader, int count, const std::string& prefix) {
  for (int i = 0; i < count; ++i) {
    REQUIRE(
        trio.run(leader, mapCall(0, prefix + std::to_string(i) + "=" + std::to_string(i))).ok());
  }
}

group::Outcome switchTo(Trio& trio, raft::ReplicaId leader, const std::string& sha256) {
  group::CallId caller = trio.call();
  trio.groupAt(leader).switchPlugin(sha256, caller);
  trio.settle();
  REQUIRE(trio.at(leader).answers.contains(caller));
  return trio.at(leader).answers[caller];
}

// All run that version and hold the same.
void expectAll(Trio& trio, const std::string& version, size_t values) {
  for (raft::ReplicaId id = 1; id <= 3; ++id) {
    CAPTURE(id);
    CHECK(trio.machineAt(id).version == version);
    CHECK(trio.machineAt(id).values.size() == values);
    CHECK(trio.machineAt(id).values == trio.machineAt(1).values);
    CHECK(!trio.groupAt(id).fault());
  }
}

raft::ReplicaId otherThan(raft::ReplicaId one) {
  return one == 1 ? 2 : 1;
}

}  // namespace

TEST_CASE("group/switch: all move at one entry, and a replay does what was done") {
  Trio trio(3, plain());
  raft::ReplicaId leader = trio.elect();
  putMany(trio, leader, 5, "before");
  group::Outcome switched = switchTo(trio, leader, kNext);
  REQUIRE(switched.ok());
  CHECK(switched.position.index == trio.groupAt(leader).appliedIndex());
  putMany(trio, leader, 5, "after");
  trio.tickAll(2);
  expectAll(trio, kNext, 10);
  CHECK(trio.at(leader).applier->state().switchedAt == switched.position.index);
  // The same once more changes nothing.
  REQUIRE(switchTo(trio, leader, kNext).ok());
  CHECK(trio.at(leader).applier->state().switchedAt == switched.position.index);
  for (raft::ReplicaId id = 1; id <= 3; ++id) {
    trio.crash(id);
    trio.start(id);
    CHECK(trio.machineAt(id).version.empty());  // its log begins with the first
  }
  trio.elect();
  trio.tickAll(5);
  expectAll(trio, kNext, 10);
}

TEST_CASE("group/switch: what was told before it is still told after it") {
  Trio trio(3, plain());
  raft::ReplicaId leader = trio.elect();
  REQUIRE(trio.run(leader, mapCall(9, "t before")).ok());
  REQUIRE(switchTo(trio, leader, kNext).ok());
  REQUIRE(trio.run(leader, mapCall(9, "t after")).ok());
  auto expectTold = [&]() {
    for (raft::ReplicaId id = 1; id <= 3; ++id) {
      CAPTURE(id);
      auto told = trio.at(id).applier->state().events.read({}, "t", 1 << 20).events;
      REQUIRE(told.size() == 4);
      CHECK(told[0].message.view() == "before");
      CHECK(told[2].message.view() == "after");
      CHECK(told[0].position < told[2].position);
    }
  };
  trio.tickAll(2);
  expectTold();
  for (raft::ReplicaId id = 1; id <= 3; ++id) {
    trio.crash(id);
    trio.start(id);
  }
  trio.elect();
  trio.tickAll(5);
  expectTold();
}

TEST_CASE("group/switch: a snapshot is loaded by what has written it") {
  Trio trio(3, plain());
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId away = otherThan(leader);
  putMany(trio, leader, 5, "before");
  trio.crash(away);
  REQUIRE(switchTo(trio, leader, kNext).ok());
  putMany(trio, leader, 5, "after");
  trio.groupAt(leader).requestSnapshot(trio.call());
  trio.settle();
  trio.crash(leader);
  trio.start(leader);
  CHECK(trio.machineAt(leader).version == kNext);
  SUBCASE("here") {
    trio.start(away);
  }
  SUBCASE("as another's") {
    trio.at(away).soundness = group::Soundness::rebuilding;
    trio.start(away);
  }
  trio.elect();
  trio.tickAll(100);
  expectAll(trio, kNext, 10);
}

TEST_CASE("group/switch: what a version refuses leaves the one before at work everywhere") {
  Trio trio(3, plain());
  raft::ReplicaId leader = trio.elect();
  putMany(trio, leader, 5, "before");
  group::Outcome refused = switchTo(trio, leader, kRefuses);
  CHECK(refused.code == ErrorCode::badRequest);
  CHECK(textOf(refused) == "the plugin before goes on: this version loads nothing");
  putMany(trio, leader, 5, "after");
  trio.tickAll(5);
  expectAll(trio, "", 10);
}

TEST_CASE("group/switch: a replica whose host lacks the file stops there, and goes on with it") {
  Trio trio(3, plain());
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId poor = otherThan(leader);
  putMany(trio, leader, 5, "before");
  trio.at(poor).lacks = kNext;
  group::Outcome switched = switchTo(trio, leader, kNext);
  REQUIRE(switched.ok());
  putMany(trio, leader, 5, "after");
  trio.tickAll(2);
  group::Status status = trio.groupAt(poor).status();
  REQUIRE(status.fault);
  CHECK(status.fault->code == ErrorCode::unavailable);
  CHECK(status.faultAt == group::Position{switched.position.index, 0});
  CHECK(trio.machineAt(poor).values.size() == 5);
  trio.at(poor).lacks.clear();
  trio.groupAt(poor).retry();
  trio.tickAll(5);
  expectAll(trio, kNext, 10);
}

TEST_CASE("group/switch: a method that is gone again stops nobody") {
  Trio trio(3, plain());
  raft::ReplicaId leader = trio.elect();
  REQUIRE(switchTo(trio, leader, kNew).ok());
  group::CallId opens = trio.call();
  trio.groupAt(leader).openSession(opens);
  trio.settle();
  uint64_t session = trio.at(leader).answers[opens].position.index;
  CHECK(trio.run(leader, mapCall(8, "a=1")).ok());
  REQUIRE(switchTo(trio, leader, kNext).ok());
  CHECK(trio.run(leader, mapCall(8, "b=1")).code == ErrorCode::noSuchMethod);
  group::Stamp stamp{session, 1, 0};
  CHECK(trio.run(leader, mapCall(8, "c=1", stamp)).code == ErrorCode::noSuchMethod);
  CHECK(trio.run(leader, mapCall(0, "c=1", stamp)).code == ErrorCode::noSuchMethod);
  CHECK(trio.run(leader, mapCall(0, "d=1", {session, 2, 0})).ok());
  trio.tickAll(5);
  expectAll(trio, kNext, 2);
  group::Outcome asked = trio.ask(leader, mapCall(99, "a"));
  CHECK(asked.code == ErrorCode::noSuchMethod);
  CHECK(trio.ask(leader, mapCall(1, "a")).ok());
}

TEST_CASE("group/switch: a version without wake is refused while timers are pending") {
  Trio trio(3, plain());
  raft::ReplicaId leader = trio.elect();
  const std::string sleepless(64, kSleepless);
  REQUIRE(switchTo(trio, leader, sleepless).ok());
  REQUIRE(switchTo(trio, leader, kNext).ok());
  REQUIRE(trio.run(leader, mapCall(5, "9000000000000000000 7")).ok());
  group::Outcome refused = switchTo(trio, leader, sleepless);
  CHECK(refused.code == ErrorCode::badRequest);
  CHECK(textOf(refused) == "the plugin before goes on: " + std::string(group::kTimersPending));
  REQUIRE(switchTo(trio, leader, kNew).ok());  // it has wake
  trio.tickAll(5);
  expectAll(trio, kNew, 0);
}

TEST_CASE("group/switch: refused until every host knows its entry") {
  group::GroupOptions options = plain();
  options.entriesVersion = 1;
  Trio trio(3, options);
  raft::ReplicaId leader = trio.elect();
  CHECK(switchTo(trio, leader, kNext).code == ErrorCode::unavailable);
  trio.groupAt(leader).entriesKnown(group::kEntriesVersion);
  CHECK(switchTo(trio, leader, kNext).ok());
}

TEST_CASE("group/switch: digests are compared right after it") {
  Trio trio(3, plain());
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId other = otherThan(leader);
  putMany(trio, leader, 2, "before");
  REQUIRE(switchTo(trio, leader, kNext).ok());
  trio.machineAt(other).values["lost on the way"] = "";
  trio.tickAll(3);
  CHECK(trio.groupAt(other).soundness() == group::Soundness::quarantined);
  CHECK(trio.groupAt(leader).soundness() == group::Soundness::sound);
}

TEST_CASE("group/switch: only a leader switches, and an entry names a whole hash") {
  Trio trio(3, plain());
  raft::ReplicaId leader = trio.elect();
  CHECK(switchTo(trio, otherThan(leader), kNext).code == ErrorCode::notLeader);
  group::DecodedEntry decoded;
  Bytes whole = group::encodeSwitchPlugin(5, kNext);
  REQUIRE(group::decodeEntry(whole.view(), decoded).ok());
  CHECK(decoded.kind == group::EntryKind::switchPlugin);
  CHECK(decoded.sha256 == kNext);
  CHECK(decoded.timeUs == 5);
  std::string cut(whole.view());
  for (size_t at = 0; at + 8 <= cut.size(); at += 8) {
    std::string spoilt = cut;
    spoilt[at + 4] ^= 0x28;  // sizes and offsets among them
    if (auto read = group::decodeEntry(spoilt, decoded); read) {
      CHECK((decoded.kind != group::EntryKind::switchPlugin || decoded.sha256.size() == 64));
    }
  }
}

}  // namespace flotilla::test
