// What callers learn when things go wrong: faults, hostile peers, full disks, stops, time-outs.
#include <algorithm>

#include <doctest/doctest.h>

#include "host/group/entry.h"
#include "tests/group/trio.h"

namespace flotilla::test {

using group::Outcome;

TEST_CASE("group/group: a caller not answered in time learns that it may still happen") {
  group::GroupOptions options;
  options.callTimeoutTicks = 5;
  options.core.checkQuorum = false;
  Trio trio(3, options);
  raft::ReplicaId leader = trio.elect();
  trio.cut(leader);
  group::CallId put = trio.call();
  trio.groupAt(leader).propose(put, mapCall(0, "a=1"));
  trio.settle();
  trio.tickAll(4);
  CHECK(!trio.at(leader).answers.contains(put));
  trio.tickAll(2);
  REQUIRE(trio.at(leader).answers.contains(put));
  CHECK(trio.at(leader).answers[put].code == ErrorCode::timeout);
  CHECK(trio.groupAt(leader).status().waitingCalls == 0);
}

TEST_CASE("group/group: a stopping replica refuses new calls, and waiting ones are unknown") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  trio.cut(leader);
  group::CallId put = trio.call();
  trio.groupAt(leader).propose(put, mapCall(0, "a=1"));
  trio.settle();
  group::CallId gathered = trio.call();
  trio.groupAt(leader).propose(gathered, mapCall(0, "b=1"));
  trio.groupAt(leader).stop();
  CHECK(trio.at(leader).answers[put].code == ErrorCode::unknown);
  CHECK(trio.at(leader).answers[gathered].code == ErrorCode::groupStopping);
  CHECK(trio.run(leader, mapCall(0, "c=1")).code == ErrorCode::groupStopping);
}

TEST_CASE("group/group: too many waiting calls are refused at once") {
  group::GroupOptions options;
  options.limits.waitingCallsMax = 10;
  Trio trio(3, options);
  raft::ReplicaId leader = trio.elect();
  std::vector<group::CallId> calls;
  for (int i = 0; i < 11; ++i) {
    calls.push_back(trio.call());
    trio.groupAt(leader).propose(calls.back(), mapCall(0, "a=1"));
  }
  CHECK(trio.at(leader).answers[calls.back()].code == ErrorCode::overloaded);
  trio.settle();
  CHECK(trio.at(leader).answers[calls.front()].ok());
  CHECK(trio.run(leader, mapCall(0, "a=1")).ok());
}

TEST_CASE("group/group: a full disk refuses commands, answers queries, and comes back") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  REQUIRE(trio.run(leader, mapCall(0, "a=1")).ok());
  for (raft::ReplicaId replica : {3, 2, 1}) trio.groupAt(replica).volumeFull(true);
  CHECK(trio.run(leader, mapCall(0, "a=2")).code == ErrorCode::diskFull);
  CHECK(textOf(trio.ask(leader, mapCall(1, "a"))) == "1");
  for (raft::ReplicaId replica : {1, 2, 3}) trio.groupAt(replica).volumeFull(false);
  CHECK(trio.run(leader, mapCall(0, "a=3")).ok());
}

TEST_CASE("group/group: a leader whose disk is full hands over to one that has room") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  REQUIRE(trio.run(leader, mapCall(0, "a=1")).ok());
  trio.tickAll(3);
  trio.groupAt(leader).volumeFull(true);
  trio.tickAll(20);
  CHECK(!trio.groupAt(leader).leads());
  raft::ReplicaId next = trio.leaderNow();
  REQUIRE(next != 0);
  CHECK(next != leader);
  CHECK(trio.run(next, mapCall(0, "a=2")).ok());
}

TEST_CASE("group/group: a leader whose disk is full stays where nobody has room, and tries again") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  REQUIRE(trio.run(leader, mapCall(0, "a=1")).ok());
  trio.tickAll(3);
  for (raft::ReplicaId replica : {1, 2, 3}) {
    if (replica != leader) trio.groupAt(replica).volumeFull(true);
  }
  trio.groupAt(leader).volumeFull(true);
  trio.tickAll(100);
  CHECK(trio.groupAt(leader).leads());
  CHECK(textOf(trio.ask(leader, mapCall(1, "a"))) == "1");
  for (raft::ReplicaId replica : {1, 2, 3}) {
    if (replica != leader) trio.groupAt(replica).volumeFull(false);
  }
  CHECK(trio.run(leader, mapCall(0, "a=2")).code == ErrorCode::diskFull);
  trio.tickAll(100);
  CHECK(!trio.groupAt(leader).leads());
}

TEST_CASE("group/group: a follower whose disk is full takes no entries until there is room") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId full = leader % 3 + 1;
  REQUIRE(trio.run(leader, mapCall(0, "a=1")).ok());
  trio.tickAll(3);
  raft::Index last = trio.groupAt(full).status().lastIndex;
  trio.groupAt(full).volumeFull(true);
  CHECK(trio.run(leader, mapCall(0, "a=2")).ok());
  trio.tickAll(3);
  CHECK(trio.groupAt(full).status().lastIndex == last);
  trio.groupAt(full).volumeFull(false);
  trio.tickAll(5);
  CHECK(trio.groupAt(full).status().lastIndex == trio.groupAt(leader).status().lastIndex);
  CHECK(trio.machineAt(full).values.at("a") == "2");
}

TEST_CASE(
    "group/group: a log that no snapshot cuts grows to its bound, on a leader or a follower") {
  group::GroupOptions options;
  options.snapshotEveryEntries = 10;
  options.keepEntries = 0;
  options.logBytesMax = 4'000;
  Trio trio(3, options);
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId stuck = 0;
  SUBCASE("a follower") {
    stuck = leader % 3 + 1;
  }
  SUBCASE("the leader") {
    stuck = leader;
  }
  trio.at(stuck).works = false;
  std::vector<group::CallId> calls;
  for (int i = 0; i < 100; ++i) {
    calls.push_back(trio.call());
    trio.groupAt(leader).propose(calls.back(),
                                 mapCall(0, "k" + std::to_string(i) + "=" + std::string(100, 'v')));
    trio.settle();
  }
  CHECK(trio.groupAt(stuck).status().logBytes < 4'300);
  trio.at(stuck).works = true;
  trio.tickAll(30);
  size_t overloaded = 0;
  for (group::CallId call : calls) {
    const group::Outcome& outcome = trio.at(leader).answers[call];
    overloaded += outcome.code == ErrorCode::overloaded ? 1 : 0;
    CHECK((outcome.ok() || outcome.code == ErrorCode::overloaded));
  }
  CHECK((overloaded > 0) == (stuck == leader));
  CHECK(trio.run(leader, mapCall(0, "last=1")).ok());
  trio.tickAll(30);
  for (raft::ReplicaId replica : {1, 2, 3}) {
    CHECK(trio.machineAt(replica).values.at("last") == "1");
    CHECK(trio.machineAt(replica).values.size() == 101 - overloaded);
    CHECK(trio.groupAt(replica).status().logBytes < 4'000);
  }
}

TEST_CASE("group/group: a method that the plugin has not, or that asks, stops nobody") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  REQUIRE(trio.run(leader, mapCall(0, "a=1")).ok());
  group::Outcome none = trio.run(leader, mapCall(99, "a=2"));
  CHECK(none.code == ErrorCode::noSuchMethod);
  CHECK(textOf(none) == "the group's plugin has no such command");
  CHECK(trio.run(leader, mapCall(1, "a")).code == ErrorCode::noSuchMethod);
  group::Call foreign = mapCall(0, "a=2");
  foreign.interfaceId += 1;
  CHECK(trio.run(leader, foreign).code == ErrorCode::noSuchMethod);
  CHECK(trio.run(leader, mapCall(0, "b=1")).ok());
  trio.tickAll(5);
  for (raft::ReplicaId replica : {1, 2, 3}) {
    CHECK(!trio.groupAt(replica).status().fault);
    CHECK(trio.machineAt(replica).values.at("a") == "1");
    CHECK(trio.machineAt(replica).values.at("b") == "1");
  }
}

TEST_CASE("group/group: what an earlier machine says of itself stops no later one") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  REQUIRE(trio.run(leader, mapCall(0, "a=1")).ok());
  group::Status status = trio.groupAt(leader).status();
  group::Applied late;
  late.generation = status.generation + 1;  // any but the present one's
  late.index = status.applied;
  late.fault = Fault{ErrorCode::faulted, "of another life", {}};
  late.faultAt = {status.applied + 1, 0};
  trio.groupAt(leader).applied(late);
  CHECK(!trio.groupAt(leader).status().fault);
  CHECK(trio.run(leader, mapCall(0, "a=2")).ok());
}

TEST_CASE("group/group: a fault costs the replica its machine, and says where") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  REQUIRE(trio.run(leader, mapCall(0, "a=1")).ok());
  Outcome broken = trio.run(leader, mapCall(3, "poison"));
  CHECK(broken.code == ErrorCode::faulted);
  group::Status status = trio.groupAt(leader).status();
  REQUIRE(status.fault.has_value());
  CHECK(status.fault->text == "broke on poison");
  CHECK(status.faultAt == group::Position{status.applied + 1, 0});
  CHECK(!status.ready);
  CHECK(trio.run(leader, mapCall(0, "b=1")).code == ErrorCode::faulted);
  CHECK(trio.ask(leader, mapCall(1, "a")).code == ErrorCode::faulted);
  // Raft goes on, and another's try ends at the same place.
  trio.tickAll(20);
  CHECK(trio.leaderNow() != 0);
  trio.groupAt(leader).retry();
  trio.settle();
  status = trio.groupAt(leader).status();
  CHECK(status.fault.has_value());
  CHECK(status.generation == 1);
  CHECK(trio.machineAt(leader).values["a"] == "1");
}

TEST_CASE("group/group: a faulted leader hands over to one that is well") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  REQUIRE(trio.run(leader, mapCall(0, "a=1")).ok());
  trio.at(leader).applier->stop({ErrorCode::faulted, "a crash mark", {}}, {99, 0});
  CHECK(trio.run(leader, mapCall(0, "b=1")).code == ErrorCode::faulted);
  trio.tickAll(5);
  raft::ReplicaId next = trio.leaderNow();
  REQUIRE(next != 0);
  CHECK(next != leader);
  CHECK(textOf(trio.ask(next, mapCall(1, "b"))) == "1");
  // Tried again, the machine is built anew from the log. A query that was still with the old one
  // says once more that that has stopped.
  group::Applied stopped;
  stopped.generation = trio.groupAt(leader).status().generation;
  stopped.index = trio.groupAt(leader).status().applied;
  stopped.fault = Fault{ErrorCode::faulted, "a crash mark", {}};
  stopped.faultAt = {99, 0};
  trio.groupAt(leader).retry();
  trio.groupAt(leader).applied(stopped);
  CHECK(!trio.groupAt(leader).status().fault);
  trio.tickAll(3);
  CHECK(!trio.groupAt(leader).status().fault);
  CHECK(trio.machineAt(leader).values["b"] == "1");
}

TEST_CASE("group/group: a log that cannot be read silences its replica") {
  group::GroupOptions options;
  options.limits.tailBytesMax = 1;
  Trio trio(3, options);
  raft::ReplicaId leader = trio.elect();
  REQUIRE(trio.run(leader, mapCall(0, "a=1")).ok());
  trio.tickAll(2);
  trio.crash(leader);
  trio.at(leader).fetchFault = Fault{ErrorCode::corrupt, "entry 2 fails its checksum", {}};
  trio.start(leader);
  trio.settle();
  group::Status status = trio.groupAt(leader).status();
  REQUIRE(status.fault.has_value());
  CHECK(status.fault->text == "entry 2 fails its checksum");
  trio.wire.clear();
  raft::Message vote;
  vote.kind = raft::MessageKind::vote;
  vote.from = leader % 3 + 1;
  vote.to = leader;
  vote.term = 99;
  vote.last = {1000, 98};
  trio.groupAt(leader).receive({7, 1, vote, {}});
  ++trio.ticks;
  trio.groupAt(leader).tick();
  trio.groupAt(leader).flush();
  CHECK(trio.wire.empty());
  raft::ReplicaId next = trio.elect();
  CHECK(next != leader);
  CHECK(textOf(trio.ask(next, mapCall(1, "a"))) == "1");
}

TEST_CASE("group/group: appends whose bytes do not fit their shape are dropped") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId victim = leader % 3 + 1;
  trio.tickAll(2);
  raft::Configuration usurped{{victim}, {}, {}, {}, false};
  int kind = 0;
  size_t spoiled = 0;
  trio.spoil = [&](group::PeerMessage& it) {
    if (it.message.to != victim || it.entries.empty()) return;
    ++spoiled;
    switch (kind) {
      case 0:
        it.entries.pop_back();
        break;
      case 1:
        it.entries.push_back(it.entries.back());
        break;
      case 2:
        it.entries.front().term += 1;
        break;
      case 3:
        it.entries.front().index += 1;
        break;
      case 4:
        it.entries.front().payload = Bytes::copyOf("garbage!");
        break;
      case 5:
        it.entries.front().payload = group::encodeConfiguration(1, usurped);
        break;
      case 6:
        it.message.configurations.push_back({it.entries.front().index, usurped});
        break;
      case 7:
        it.message.runs.front().last = UINT64_MAX;
        break;
      case 8:
        it.incarnation += 1;
        break;
      default:
        it.group += 1;
        break;
    }
  };
  raft::Index before = trio.groupAt(victim).status().lastIndex;
  for (; kind < 10; ++kind) {
    size_t times = spoiled;
    CHECK(trio.run(leader, mapCall(0, "k" + std::to_string(kind) + "=1")).ok());
    CHECK(spoiled > times);
    CHECK(trio.groupAt(victim).status().lastIndex == before);
    CHECK(trio.groupAt(victim).status().configuration.voters.size() == 3);
  }
  trio.spoil = {};
  trio.tickAll(10);
  CHECK(trio.machineAt(victim).values.size() == 10);
}

TEST_CASE("group/group: a kind of entry that is not known faults where it stands") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  trio.spoil = [&](group::PeerMessage& it) {
    for (group::LogEntry& entry : it.entries) {
      std::string bytes(entry.payload.view());
      bytes[16] = 77;  // the union's tag, past the root pointer and the time
      entry.payload = Bytes::copyOf(bytes);
    }
  };
  CHECK(trio.run(leader, mapCall(0, "a=1")).ok());
  trio.tickAll(2);
  group::Status status = trio.groupAt(leader % 3 + 1).status();
  REQUIRE(status.fault.has_value());
  CHECK(status.faultAt == group::Position{status.applied + 1, 0});
  CHECK(status.lastIndex > status.applied);
}

TEST_CASE("group/group: lost and repeated messages change no outcome") {
  Trio trio(3);
  uint64_t number = 0;
  trio.lose = [&](const group::PeerMessage& it) {
    ++number;
    if (number % 11 == 0) trio.wire.push_back(it);
    return number % 7 == 0;
  };
  raft::ReplicaId leader = trio.elect();
  group::CallId open = trio.call();
  trio.groupAt(leader).openSession(open);
  trio.tickAll(30);
  REQUIRE(trio.at(leader).answers.contains(open));
  uint64_t session = trio.at(leader).answers[open].position.index;
  for (uint64_t i = 1; i <= 50; ++i) {
    for (int tries = 0;; ++tries) {
      REQUIRE(tries < 20);
      leader = trio.elect();
      group::CallId put = trio.call();
      trio.groupAt(leader).propose(put, mapCall(0, "n=" + std::to_string(i), {session, i, i}));
      for (int t = 0; t < 150 && !trio.at(leader).answers.contains(put); ++t) trio.tickAll(1);
      REQUIRE(trio.at(leader).answers.contains(put));
      if (trio.at(leader).answers[put].ok()) break;
    }
  }
  trio.lose = {};
  trio.tickAll(20);
  for (raft::ReplicaId id = 1; id <= 3; ++id) {
    CHECK(trio.machineAt(id).commands == 50);
    CHECK(trio.machineAt(id).values["n"] == "50");
  }
}

}  // namespace flotilla::test
