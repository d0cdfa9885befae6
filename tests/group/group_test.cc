// Three replicas: they elect, replicate, answer, and keep what they acknowledged.
#include "host/group/group.h"

#include <doctest/doctest.h>

#include "tests/group/trio.h"

namespace flotilla::test {

using group::Freshness;
using group::Outcome;

TEST_CASE("group/group: three replicas elect, replicate and answer") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  Outcome put = trio.run(leader, mapCall(0, "a=1"));
  CHECK(put.ok());
  CHECK(textOf(put) == "0");
  CHECK(put.position.index > 0);
  trio.tickAll(2);
  for (raft::ReplicaId id = 1; id <= 3; ++id) CHECK(trio.machineAt(id).values["a"] == "1");
  CHECK(trio.run(leader, mapCall(2, "x")).appCode == "refused");
}

TEST_CASE("group/group: one replica alone is a group too") {
  Trio trio(1);
  CHECK(trio.elect() == 1);
  CHECK(trio.run(1, mapCall(0, "a=1")).ok());
  trio.crash(1);
  trio.start(1);
  trio.elect();
  CHECK(textOf(trio.ask(1, mapCall(1, "a"))) == "1");
}

TEST_CASE("group/group: the commands of one turn are one entry") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  raft::Index before = trio.groupAt(leader).core().shape().lastIndex();
  std::vector<group::CallId> calls;
  for (int i = 0; i < 100; ++i) {
    calls.push_back(trio.call());
    trio.groupAt(leader).propose(calls.back(), mapCall(0, "k=" + std::to_string(i)));
  }
  trio.settle();
  CHECK(trio.groupAt(leader).core().shape().lastIndex() == before + 1);
  for (uint32_t i = 0; i < 100; ++i) {
    const Outcome& outcome = trio.at(leader).answers[calls[i]];
    CHECK(outcome.position == group::Position{before + 1, i});
    CHECK(textOf(outcome) == std::to_string(i));
  }
  CHECK(trio.groupAt(leader).status().waitingCalls == 0);
}

TEST_CASE("group/group: an entry ends at its bounds, and too large a command is refused") {
  group::GroupOptions options;
  options.limits.entryCommandsMax = 3;
  options.limits.commandBytesMax = 64;
  Trio trio(3, options);
  raft::ReplicaId leader = trio.elect();
  raft::Index before = trio.groupAt(leader).core().shape().lastIndex();
  for (int i = 0; i < 7; ++i) trio.groupAt(leader).propose(trio.call(), mapCall(0, "k=1"));
  trio.settle();
  CHECK(trio.groupAt(leader).core().shape().lastIndex() == before + 3);
  Outcome large = trio.run(leader, mapCall(0, std::string(65, 'x')));
  CHECK(large.code == ErrorCode::tooLarge);
  CHECK(textOf(large) == "params of 65 bytes; at most 64");
}

TEST_CASE("group/group: who does not lead says who does") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId other = leader % 3 + 1;
  Outcome outcome = trio.run(other, mapCall(0, "a=1"));
  CHECK(outcome.code == ErrorCode::notLeader);
  CHECK(outcome.leaderHint == leader);
  CHECK(textOf(outcome) == "replica " + std::to_string(leader) + " leads");
}

TEST_CASE("group/group: queries are linearizable at the leader and at followers") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  for (int i = 0; i < 5; ++i) {
    REQUIRE(trio.run(leader, mapCall(0, "a=" + std::to_string(i))).ok());
    for (raft::ReplicaId id = 1; id <= 3; ++id) {
      Outcome seen = trio.ask(id, mapCall(1, "a"));
      CHECK(textOf(seen) == std::to_string(i));
    }
  }
}

TEST_CASE("group/group: a leader that is cut off answers no query and acknowledges nothing") {
  Trio trio(3);
  raft::ReplicaId old = trio.elect();
  REQUIRE(trio.run(old, mapCall(0, "a=1")).ok());
  trio.cut(old);
  group::CallId query = trio.call();
  group::CallId put = trio.call();
  trio.groupAt(old).query(query, mapCall(1, "a"), {});
  trio.groupAt(old).propose(put, mapCall(0, "a=old"));
  trio.settle();
  CHECK(!trio.at(old).answers.contains(query));
  CHECK(!trio.at(old).answers.contains(put));
  raft::ReplicaId leader = trio.elect();
  REQUIRE(leader != old);
  REQUIRE(trio.run(leader, mapCall(0, "a=2")).ok());
  trio.tickAll(30);
  REQUIRE(trio.at(old).answers.contains(query));
  CHECK(!trio.at(old).answers[query].ok());
  CHECK(!trio.at(old).answers.contains(put));
  // Back again, it learns that another entry took the place of its own.
  trio.mend(old);
  trio.tickAll(30);
  REQUIRE(trio.at(old).answers.contains(put));
  CHECK(trio.at(old).answers[put].code == ErrorCode::notLeader);
  CHECK(trio.machineAt(old).values["a"] == "2");
}

TEST_CASE("group/group: stale queries are answered within their age") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  REQUIRE(trio.run(leader, mapCall(0, "a=1")).ok());
  trio.tickAll(3);
  raft::ReplicaId other = leader % 3 + 1;
  Freshness second{Freshness::Kind::stale, 1'000'000};
  CHECK(textOf(trio.ask(other, mapCall(1, "a"), second)) == "1");
  trio.cut(other);
  trio.timeUs += 2'000'000;
  CHECK(trio.ask(other, mapCall(1, "a"), second).code == ErrorCode::notLeader);
  CHECK(textOf(trio.ask(other, mapCall(1, "a"), {Freshness::Kind::stale, 0})) == "1");
}

TEST_CASE("group/group: nothing is acknowledged before a quorum's disks hold it") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  trio.tickAll(3);
  for (raft::ReplicaId id = 1; id <= 3; ++id) trio.at(id).syncs = id == leader;
  group::CallId put = trio.call();
  trio.groupAt(leader).propose(put, mapCall(0, "a=1"));
  trio.settle();
  CHECK(!trio.at(leader).answers.contains(put));
  trio.at(leader % 3 + 1).syncs = true;
  trio.settle();
  CHECK(trio.at(leader).answers.contains(put));
}

TEST_CASE("group/group: what was acknowledged survives a crash of all that loses unsynced writes") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  for (int i = 0; i < 20; ++i) {
    REQUIRE(trio.run(leader, mapCall(0, "k" + std::to_string(i) + "=1")).ok());
  }
  for (raft::ReplicaId id = 1; id <= 3; ++id) trio.at(id).syncs = false;
  trio.groupAt(leader).propose(trio.call(), mapCall(0, "lost=1"));
  trio.settle();
  for (raft::ReplicaId id = 1; id <= 3; ++id) trio.crash(id);
  trio.wire.clear();
  for (raft::ReplicaId id = 1; id <= 3; ++id) {
    trio.at(id).syncs = true;
    trio.start(id);
  }
  leader = trio.elect();
  for (int i = 0; i < 20; ++i) {
    CHECK(textOf(trio.ask(leader, mapCall(1, "k" + std::to_string(i)))) == "1");
  }
  CHECK(trio.ask(leader, mapCall(1, "lost")).appCode == "notFound");
}

TEST_CASE("group/group: a stamped command runs once through leader change, snapshot and restart") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  group::CallId open = trio.call();
  trio.groupAt(leader).openSession(open);
  trio.settle();
  REQUIRE(trio.at(leader).answers[open].ok());
  uint64_t session = trio.at(leader).answers[open].position.index;
  group::Call stamped = mapCall(0, "a=1", {session, 1, 1});
  Outcome first = trio.run(leader, stamped);
  REQUIRE(first.ok());
  for (raft::ReplicaId id = 1; id <= 3; ++id) {
    trio.tickAll(2);
    group::CallId saved = trio.call();
    trio.groupAt(id).requestSnapshot(saved);
    trio.settle();
    REQUIRE(trio.at(id).answers[saved].ok());
  }
  trio.crash(leader);
  trio.start(leader);
  leader = trio.elect();
  Outcome again = trio.run(leader, stamped);
  CHECK(again.position == first.position);
  CHECK(textOf(again) == textOf(first));
  CHECK(trio.machineAt(leader).commands == 1);
  CHECK(trio.run(leader, mapCall(0, "a=1", {session + 100, 1, 1})).code ==
        ErrorCode::sessionExpired);
}

TEST_CASE("group/group: answers are saved as runs once every host knows them") {
  group::GroupOptions options;
  options.entriesVersion = group::kEntriesVersion - 1;
  Trio trio(3, options);
  raft::ReplicaId leader = trio.elect();
  group::CallId open = trio.call();
  trio.groupAt(leader).openSession(open);
  trio.settle();
  uint64_t session = trio.at(leader).answers[open].position.index;
  // Commands that are all answered alike: there is no such method.
  auto askAndSave = [&](uint64_t first) {
    for (uint64_t sequence = first; sequence < first + 10; ++sequence) {
      trio.groupAt(leader).propose(trio.call(), mapCall(99, "", {session, sequence, 1}));
    }
    trio.settle();
    trio.groupAt(leader).requestSnapshot(trio.call());
    trio.settle();
    test::MemorySource source(trio.at(leader).files.rbegin()->second);
    group::SnapshotReader reader(source);
    REQUIRE(reader.head().ok());
    auto section = reader.groupSection();
    REQUIRE(section.ok());
    group::GroupState state;
    REQUIRE(state.decode(*section).ok());
    CHECK(state.sessions.answerCount() == first + 9);
    return section->size();
  };
  size_t each = askAndSave(1);
  size_t more = askAndSave(11);
  CHECK(more > each + 10 * sizeof(uint64_t));
  trio.groupAt(leader).entriesKnown(group::kEntriesVersion);
  CHECK(askAndSave(21) < each);
}

// Found by flotilla-sim, seed 9: the first stamp after a restart was plain wall time.
TEST_CASE("group/group: hosts that restart with a wall clock days ahead expire no session") {
  for (bool snapshots : {false, true}) {
    Trio trio(3);
    raft::ReplicaId leader = trio.elect();
    group::CallId open = trio.call();
    trio.groupAt(leader).openSession(open);
    trio.settle();
    REQUIRE(trio.at(leader).answers[open].ok());
    uint64_t session = trio.at(leader).answers[open].position.index;
    trio.tickAll(2);
    for (raft::ReplicaId id = 1; snapshots && id <= 3; ++id) {
      trio.groupAt(id).requestSnapshot(trio.call());
      trio.settle();
    }
    for (raft::ReplicaId id = 1; id <= 3; ++id) trio.crash(id);
    trio.wire.clear();
    trio.wallAheadUs += 2 * 86'400'000'000;
    for (raft::ReplicaId id = 1; id <= 3; ++id) trio.start(id);
    leader = trio.elect();
    CHECK(trio.run(leader, mapCall(0, "a=1", {session, 1, 1})).ok());
  }
}

TEST_CASE("group/group: leadership is handed over on request") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId heir = leader % 3 + 1;
  trio.groupAt(leader).transfer(heir);
  trio.settle();
  trio.tickAll(1);
  CHECK(trio.leaderNow() == heir);
}

TEST_CASE("group/group: a replica joins as a learner and becomes a voter") {
  Trio trio(3, {}, 1);
  raft::ReplicaId leader = trio.elect();
  REQUIRE(trio.run(leader, mapCall(0, "a=1")).ok());
  auto change = [&](std::vector<raft::ReplicaId> voters, std::vector<raft::ReplicaId> learners) {
    group::CallId call = trio.call();
    trio.groupAt(leader).changeMembership(std::move(voters), std::move(learners), call);
    trio.settle();
    trio.tickAll(3);
    return trio.at(leader).answers[call];
  };
  CHECK(change({1, 2, 3}, {4}).ok());
  CHECK(trio.machineAt(4).values["a"] == "1");
  CHECK(change({1, 2, 3, 4}, {}).ok());
  CHECK(trio.groupAt(4).status().configuration.voters.size() == 4);
  CHECK(change({1, 2, 3, 4}, {}).code == ErrorCode::alreadyExists);
  CHECK(change({}, {}).code == ErrorCode::badRequest);
}

}  // namespace flotilla::test
