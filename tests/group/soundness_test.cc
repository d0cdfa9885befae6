// Machines that cannot be believed: found by digests, quarantined, built anew.
#include <doctest/doctest.h>

#include "host/group/entry.h"
#include "host/group/group.h"
#include "tests/group/trio.h"

namespace flotilla::test {
namespace {

using group::Soundness;

group::GroupOptions checksEvery(uint64_t entries) {
  group::GroupOptions options;
  options.digestEveryEntries = entries;
  options.digestEveryUs = 0;
  options.snapshotEveryEntries = 0;
  return options;
}

void putMany(Trio& trio, raft::ReplicaId leader, int count, const std::string& prefix = "k") {
  for (int i = 0; i < count; ++i) {
    REQUIRE(
        trio.run(leader, mapCall(0, prefix + std::to_string(i) + "=" + std::to_string(i))).ok());
  }
}

raft::ReplicaId otherThan(raft::ReplicaId one) {
  return one == 1 ? 2 : 1;
}

size_t quarantined(Trio& trio) {
  size_t count = 0;
  for (auto& seat : trio.seats) {
    if (seat->group && seat->group->soundness() == Soundness::quarantined) ++count;
  }
  return count;
}

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

bool answersQueries(Trio& trio, raft::ReplicaId id) {
  return trio.ask(id, mapCall(1, "k0"), {group::Freshness::Kind::stale, 0}).ok();
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
  REQUIRE(read.decode(state.encode()).ok());
  CHECK(!read.counted);
  CHECK(read.answers == 17);
  CHECK(group::GroupState().counted);
}

TEST_CASE("group/soundness: a rebuilt replica is what the others are, also after a restart") {
  Trio trio(3, checksEvery(10));
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId astray = otherThan(leader);
  trio.machineAt(astray).values["wrong"] = "yes";
  putMany(trio, leader, 9);
  // Its own snapshot holds what is wrong.
  trio.groupAt(astray).requestSnapshot(trio.call());
  trio.settle();
  REQUIRE(trio.at(astray).files.size() == 1);
  putMany(trio, leader, 1, "l");
  trio.tickAll(3);
  REQUIRE(trio.groupAt(astray).soundness() == Soundness::quarantined);

  SUBCASE("a restart leaves it quarantined, and trying again does not help") {
    trio.crash(astray);
    trio.start(astray);
    CHECK(trio.groupAt(astray).soundness() == Soundness::quarantined);
    trio.groupAt(astray).retry();
    trio.tickAll(10);
    CHECK(trio.groupAt(astray).soundness() == Soundness::quarantined);
    CHECK(!answersQueries(trio, astray));
  }
  SUBCASE("at once") {}
  raft::Index votedIn = trio.groupAt(astray).core().term();
  raft::Index last = trio.groupAt(astray).core().shape().lastIndex();
  trio.groupAt(astray).rebuild();
  CHECK(!answersQueries(trio, astray));
  trio.groupAt(astray).rebuild();
  trio.tickAll(60);
  CHECK(trio.groupAt(astray).soundness() == Soundness::sound);
  CHECK(trio.groupAt(astray).status().ready);
  CHECK(trio.groupAt(astray).core().term() >= votedIn);
  CHECK(trio.groupAt(astray).core().shape().lastIndex() >= last);
  CHECK(trio.machineAt(astray).values == trio.machineAt(leader).values);
  CHECK(trio.at(astray).files.size() == 1);
  CHECK(answersQueries(trio, astray));
  putMany(trio, leader, 20, "m");
  trio.tickAll(3);
  CHECK(quarantined(trio) == 0);
  trio.crash(astray);
  trio.start(astray);
  trio.tickAll(30);
  CHECK(trio.groupAt(astray).soundness() == Soundness::sound);
  CHECK(trio.machineAt(astray).values == trio.machineAt(leader).values);
}

TEST_CASE("group/soundness: the last member goes back to what it has, for nobody is left to ask") {
  group::GroupOptions options = checksEvery(0);
  options.keepEntries = 5;
  Trio trio(2, options);
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId stays = leader == 1 ? 2 : 1;
  putMany(trio, leader, 40);
  trio.at(leader).saves = false;  // it will have none to give
  trio.groupAt(stays).requestSnapshot(trio.call());
  trio.settle();
  putMany(trio, leader, 3, "m");
  trio.tickAll(3);
  REQUIRE(trio.groupAt(stays).core().shape().base().index > 0);
  auto values = trio.machineAt(leader).values;

  trio.groupAt(leader).changeMembership({stays}, {}, trio.call());
  trio.groupAt(stays).rebuild();
  trio.tickAll(60);
  CHECK(trio.groupAt(stays).soundness() == Soundness::sound);
  CHECK(trio.machineAt(stays).values == values);
  CHECK(trio.run(stays, mapCall(0, "n=1")).ok());
}

TEST_CASE("group/soundness: a crash while it is rebuilt does not bring back what was wrong") {
  Trio trio(3, checksEvery(0));
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId astray = otherThan(leader);
  putMany(trio, leader, 5);
  trio.machineAt(astray).values["wrong"] = "yes";
  trio.groupAt(astray).requestSnapshot(trio.call());
  trio.settle();
  bool arrives = false;
  SUBCASE("before the snapshot has come") {
    trio.cut(astray);
  }
  SUBCASE("after it has come and before it is loaded") {
    trio.at(astray).works = false;
    arrives = true;
  }
  trio.groupAt(astray).rebuild();
  trio.tickAll(5);
  CHECK(trio.streamCount == (arrives ? 1 : 0));
  CHECK(trio.groupAt(astray).soundness() == Soundness::rebuilding);
  trio.crash(astray);
  trio.at(astray).works = true;
  trio.mend(astray);
  trio.start(astray);
  CHECK(trio.at(astray).applier->machine() == nullptr);
  CHECK(trio.ask(astray, mapCall(1, "k0"), {group::Freshness::Kind::stale, 0}).code ==
        ErrorCode::unavailable);
  trio.tickAll(100);
  CHECK(trio.groupAt(astray).soundness() == Soundness::sound);
  CHECK(!trio.machineAt(astray).values.contains("wrong"));
  CHECK(trio.machineAt(astray).values.size() == 5);
}

TEST_CASE("group/soundness: a leader that is rebuilt hands over first") {
  Trio trio(3, checksEvery(0));
  raft::ReplicaId leader = trio.elect();
  putMany(trio, leader, 5);
  trio.machineAt(leader).values["wrong"] = "yes";
  trio.groupAt(leader).rebuild();
  trio.tickAll(100);
  CHECK(trio.groupAt(leader).soundness() == Soundness::sound);
  CHECK(!trio.machineAt(leader).values.contains("wrong"));
  raft::ReplicaId next = trio.elect();
  CHECK(trio.run(next, mapCall(0, "x=1")).ok());
}

TEST_CASE("group/soundness: a sleeping replica is rebuilt, and its log may be far behind") {
  group::GroupOptions options = checksEvery(0);
  options.core.sleepTicks = 5;
  options.snapshotEveryEntries = 20;
  options.keepEntries = 0;
  Trio trio(3, options);
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId one = otherThan(leader);
  putMany(trio, leader, 3);
  SUBCASE("asleep") {
    trio.tickAll(60);
    REQUIRE(trio.groupAt(one).idle());
    trio.machineAt(one).values["wrong"] = "yes";
    trio.groupAt(one).rebuild();
  }
  SUBCASE("behind what the others keep of the log") {
    trio.crash(one);
    putMany(trio, leader, 70, "l");
    trio.at(one).soundness = Soundness::rebuilding;
    trio.start(one);
  }
  trio.tickAll(100);
  CHECK(trio.groupAt(one).soundness() == Soundness::sound);
  CHECK(trio.machineAt(one).values == trio.machineAt(leader).values);
}

TEST_CASE("group/soundness: a snapshot beyond this log is kept until the log is there") {
  Trio trio(3, checksEvery(0));
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId one = otherThan(leader);
  putMany(trio, leader, 5);
  trio.at(one).syncs = false;
  putMany(trio, leader, 5, "l");
  trio.groupAt(one).rebuild();
  trio.tickAll(3);
  CHECK(trio.streamCount == 1);
  CHECK(trio.groupAt(one).soundness() == Soundness::rebuilding);
  CHECK(!trio.groupAt(one).status().installing);
  trio.at(one).syncs = true;
  trio.tickAll(5);
  CHECK(trio.groupAt(one).soundness() == Soundness::sound);
  CHECK(trio.machineAt(one).values.size() == 10);
}

TEST_CASE("group/soundness: what comes while the former machine's files go does not go with them") {
  group::GroupOptions options = checksEvery(0);
  options.snapshotEveryEntries = 20;
  options.keepEntries = 0;
  Trio trio(3, options);
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId one = otherThan(leader);
  putMany(trio, leader, 25);
  trio.at(one).records = false;
  trio.groupAt(one).rebuild();
  trio.tickAll(5);
  REQUIRE(trio.at(one).kept.has_value());
  trio.cut(one);
  putMany(trio, leader, 70, "l");
  trio.mend(one);
  trio.tickAll(20);  // the leader has no entries for it any more
  trio.at(one).records = true;
  trio.tickAll(60);
  CHECK(trio.groupAt(one).soundness() == Soundness::sound);
  CHECK(trio.machineAt(one).values == trio.machineAt(leader).values);
  CHECK(trio.at(one).files.contains(trio.groupAt(one).core().shape().base().index));
  trio.crash(one);
  trio.start(one);
  trio.tickAll(30);
  CHECK(trio.machineAt(one).values == trio.machineAt(leader).values);
}

TEST_CASE("group/soundness: a replica that is not believed gives its snapshot to nobody") {
  group::GroupOptions options = checksEvery(10);
  Trio trio(3, options);
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId astray = otherThan(leader);
  raft::ReplicaId third = 6 - leader - astray;
  trio.machineAt(astray).values["wrong"] = "yes";
  putMany(trio, leader, 5);
  trio.groupAt(astray).requestSnapshot(trio.call());  // before anybody knows: it has one to give
  putMany(trio, leader, 5, "l");
  trio.tickAll(3);
  REQUIRE(trio.groupAt(astray).soundness() == Soundness::quarantined);
  REQUIRE(trio.groupAt(astray).status().snapshotIndex != 0);
  REQUIRE(trio.groupAt(third).status().snapshotIndex == 0);
  trio.cut(leader);
  trio.groupAt(third).rebuild();
  trio.tickAll(300);
  CHECK(trio.streamCount == 0);
  CHECK(trio.groupAt(third).soundness() == Soundness::rebuilding);
  trio.mend(leader);
  trio.tickAll(200);
  CHECK(trio.groupAt(third).soundness() == Soundness::sound);
  CHECK(!trio.machineAt(third).values.contains("wrong"));
}

TEST_CASE(
    "group/soundness: a quarantined replica is built from a state that a majority agreed on") {
  Trio trio(3, checksEvery(10));
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId sound = otherThan(leader);
  putMany(trio, leader, 3);
  for (auto& seat : trio.seats) seat->group->requestSnapshot(trio.call());
  trio.settle();
  // The majority has gone astray together, which neither its snapshots nor its log would show.
  for (raft::ReplicaId id = 1; id <= 3; ++id) {
    if (id != sound) trio.machineAt(id).values["both"] = "astray";
  }
  putMany(trio, leader, 7, "l");
  trio.tickAll(3);
  REQUIRE(trio.groupAt(sound).soundness() == Soundness::quarantined);
  trio.crash(sound);
  trio.start(sound);
  trio.groupAt(sound).rebuild();
  trio.crash(sound);
  trio.start(sound);
  trio.groupAt(sound).rebuild();
  trio.tickAll(100);
  CHECK(trio.groupAt(sound).soundness() == Soundness::sound);
  CHECK(trio.machineAt(sound).values["both"] == "astray");
  putMany(trio, leader, 20, "m");
  trio.tickAll(3);
  CHECK(quarantined(trio) == 0);
}

TEST_CASE("group/soundness: where all have stopped a saved snapshot will do, or the log") {
  Trio trio(3, checksEvery(0));
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId one = otherThan(leader);
  putMany(trio, leader, 3);
  bool saved = false;
  SUBCASE("nothing is saved") {}
  SUBCASE("all have saved one") {
    for (auto& seat : trio.seats) seat->group->requestSnapshot(trio.call());
    trio.settle();
    saved = true;
  }
  CHECK(trio.run(leader, mapCall(3, "poison")).code == ErrorCode::faulted);
  trio.tickAll(10);
  trio.groupAt(one).rebuild();
  trio.tickAll(1400);
  CHECK((trio.streamCount > 0) == saved);
  CHECK(trio.groupAt(one).soundness() == Soundness::sound);
  REQUIRE(trio.groupAt(one).status().fault);
  CHECK(trio.groupAt(one).status().fault->text == "broke on poison");
  CHECK(trio.machineAt(one).values.size() == 3);
}

}  // namespace flotilla::test
