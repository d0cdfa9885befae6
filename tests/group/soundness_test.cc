// Machines that cannot be believed: found by digests, quarantined.
#include <doctest/doctest.h>

#include "host/group/entry.h"
#include "host/group/group.h"
#include "tests/group/compared_trio.h"

namespace flotilla::test {
namespace {

using group::Soundness;

// Indices of digest checks in the log of one that has all of it.
std::vector<raft::Index> checksIn(Trio& trio, raft::ReplicaId id) {
  std::vector<raft::Index> checks;
  for (const auto& [index, entry] : trio.at(id).written.entries) {
    group::DecodedEntry decoded;
    REQUIRE(group::decodeEntry(entry.payload.view(), decoded).ok());
    if (decoded.kind == group::EntryKind::digestCheck) checks.push_back(index);
  }
  return checks;
}

}  // namespace

TEST_CASE("group/soundness: equal replicas are compared every so many entries, and nothing else") {
  Trio trio(3, checksEvery(10));
  raft::ReplicaId leader = trio.elect();
  putMany(trio, leader, 9);
  trio.tickAll(5);
  CHECK(checksIn(trio, leader).empty());
  putMany(trio, leader, 1, "l");
  trio.tickAll(5);
  CHECK(checksIn(trio, leader).size() == 1);
  putMany(trio, leader, 10, "m");
  trio.tickAll(30);
  CHECK(checksIn(trio, leader).size() == 2);
  CHECK(quarantined(trio) == 0);
  CHECK(trio.groupAt(leader).status().splitAt == 0);
}

TEST_CASE("group/soundness: time alone is no reason for a check, new entries and time are") {
  group::GroupOptions options = checksEvery(0);
  options.digestEveryUs = 5'000'000;
  options.core.sleepTicks = 20;
  Trio trio(3, options);
  raft::ReplicaId leader = trio.elect();
  trio.tickAll(300);
  CHECK(checksIn(trio, leader).empty());
  CHECK(trio.groupAt(leader).idle());
  putMany(trio, leader, 1);
  trio.tickAll(1);  // five seconds have long gone by
  CHECK(checksIn(trio, leader).size() == 1);
  putMany(trio, leader, 1, "l");
  trio.tickAll(300);
  // It fell asleep before its time had come, and a check wakes nobody.
  CHECK(checksIn(trio, leader).size() == 1);
  CHECK(trio.groupAt(leader).idle());
}

TEST_CASE("group/soundness: no check is proposed before every host knows its entry") {
  group::GroupOptions options = checksEvery(10);
  options.entriesVersion = 1;
  Trio trio(3, options);
  raft::ReplicaId leader = trio.elect();
  putMany(trio, leader, 20);
  trio.tickAll(5);
  CHECK(checksIn(trio, leader).empty());
  trio.groupAt(leader).entriesKnown(group::kEntriesVersion);
  trio.tickAll(5);
  CHECK(checksIn(trio, leader).size() == 1);
}

TEST_CASE("group/soundness: a follower that differs is found, and the others go on") {
  Trio trio(3, checksEvery(10));
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId astray = otherThan(leader);
  putMany(trio, leader, 5);
  trio.machineAt(astray).values["k0"] = "other";
  putMany(trio, leader, 5, "l");
  trio.tickAll(3);
  REQUIRE(checksIn(trio, leader).size() == 1);
  raft::Index at = checksIn(trio, leader).front();
  group::Status status = trio.groupAt(astray).status();
  CHECK(status.soundness == Soundness::quarantined);
  CHECK(status.quarantinedAt == at);
  CHECK(!status.ready);
  REQUIRE(status.fault);
  CHECK(status.fault->text.find("its digest at " + std::to_string(at) + " is ") !=
        std::string::npos);
  CHECK(quarantined(trio) == 1);
  CHECK(trio.ask(astray, mapCall(1, "k0")).code == ErrorCode::faulted);
  CHECK(trio.ask(astray, mapCall(1, "k0"), {group::Freshness::Kind::stale, 0}).code ==
        ErrorCode::faulted);
  putMany(trio, leader, 30, "m");
  // It still counts for commits: the third may go.
  trio.crash(6 - leader - astray);
  CHECK(trio.run(leader, mapCall(0, "x=1")).ok());
}

TEST_CASE("group/soundness: a leader that differs hands over and answers nobody") {
  Trio trio(3, checksEvery(10));
  raft::ReplicaId leader = trio.elect();
  putMany(trio, leader, 9);
  trio.machineAt(leader).values["k0"] = "other";
  putMany(trio, leader, 1, "l");
  trio.tickAll(10);
  CHECK(trio.groupAt(leader).soundness() == Soundness::quarantined);
  raft::ReplicaId next = trio.elect();
  CHECK(next != leader);
  CHECK(trio.run(next, mapCall(0, "x=1")).ok());
  CHECK(textOf(trio.ask(next, mapCall(1, "k0"))) == "0");
  CHECK(trio.ask(leader, mapCall(1, "k0")).code == ErrorCode::faulted);
  // Chosen again, it hands over again, however often.
  for (int i = 0; i < 6; ++i) {
    trio.groupAt(leader).campaign();
    trio.tickAll(60);
    CHECK(trio.elect() != leader);
  }
}

TEST_CASE("group/soundness: answers that differ are found where states are equal") {
  Trio trio(3, checksEvery(10));
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId astray = otherThan(leader);
  trio.machineAt(astray).accent = "!";
  putMany(trio, leader, 1);
  trio.machineAt(astray).accent = "";
  putMany(trio, leader, 9, "l");
  trio.tickAll(3);
  CHECK(trio.groupAt(astray).soundness() == Soundness::quarantined);
  CHECK(quarantined(trio) == 1);
}

TEST_CASE("group/soundness: words that are lost are said again") {
  Trio trio(3, checksEvery(10));
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId astray = otherThan(leader);
  trio.machineAt(astray).values["k0"] = "other";
  int lost = 0;
  trio.lose = [&](const group::PeerMessage& message) {
    using Kind = raft::MessageKind;
    Kind kind = message.message.kind;
    return (kind == Kind::digest || kind == Kind::digestVerdict) && ++lost <= 7;
  };
  putMany(trio, leader, 10, "l");
  trio.tickAll(3);
  CHECK(quarantined(trio) == 0);
  trio.tickAll(300);
  CHECK(lost > 7);
  CHECK(trio.groupAt(astray).soundness() == Soundness::quarantined);
  CHECK(quarantined(trio) == 1);
}

TEST_CASE("group/soundness: a leader that comes after the check hears of it") {
  Trio trio(3, checksEvery(10));
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId astray = otherThan(leader);
  trio.machineAt(astray).values["k0"] = "other";
  trio.lose = [&](const group::PeerMessage& message) {
    return message.message.kind == raft::MessageKind::digest;
  };
  putMany(trio, leader, 10, "l");
  trio.tickAll(3);
  trio.lose = nullptr;
  raft::ReplicaId next = 6 - leader - astray;
  trio.groupAt(leader).transfer(next);
  trio.tickAll(60);
  REQUIRE(trio.elect() == next);
  CHECK(trio.groupAt(astray).soundness() == Soundness::quarantined);
  CHECK(quarantined(trio) == 1);
}

TEST_CASE("group/soundness: without a majority there is an alarm, and nobody stops") {
  Trio trio(2, checksEvery(10));
  raft::ReplicaId leader = trio.elect();
  trio.machineAt(1).values["only"] = "here";
  putMany(trio, leader, 10);
  trio.tickAll(3);
  CHECK(quarantined(trio) == 0);
  CHECK(trio.groupAt(leader).status().splitAt == checksIn(trio, leader).front());
  CHECK(trio.run(leader, mapCall(0, "x=1")).ok());
  trio.machineAt(1).values.erase("only");
  putMany(trio, leader, 10, "l");
  trio.tickAll(3);
  CHECK(checksIn(trio, leader).size() == 2);
  CHECK(trio.groupAt(leader).status().splitAt == 0);

  Trio alone(1, checksEvery(1));
  REQUIRE(alone.elect() == 1);
  putMany(alone, 1, 10);
  alone.tickAll(10);
  CHECK(checksIn(alone, 1).empty());
}

TEST_CASE("group/soundness: what a former version saved is compared from the next check on") {
  group::GroupState state;
  state.counted = false;
  state.answers = 17;
  group::GroupState read;
  REQUIRE(read.decode(state.encode(group::Sessions::Form::runs)).ok());
  CHECK(!read.counted);
  CHECK(read.answers == 17);
  CHECK(group::GroupState().counted);
}

}  // namespace flotilla::test
