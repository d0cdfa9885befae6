// Machines that are built anew of another replica's snapshot.
#include <doctest/doctest.h>

#include "host/group/group.h"
#include "tests/group/compared_trio.h"

namespace flotilla::test {
namespace {

using group::Soundness;

bool answersQueries(Trio& trio, raft::ReplicaId id) {
  return trio.ask(id, mapCall(1, "k0"), {group::Freshness::Kind::stale, 0}).ok();
}

}  // namespace

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

TEST_CASE(
    "group/soundness: the former snapshots stay until a log that follows the new one is safe") {
  group::GroupOptions options = checksEvery(0);
  options.snapshotEveryEntries = 20;
  options.keepEntries = 0;
  Trio trio(3, options);
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId one = otherThan(leader);
  putMany(trio, leader, 3);
  trio.groupAt(one).requestSnapshot(trio.call());
  trio.settle();
  REQUIRE(trio.at(one).files.size() == 1);
  raft::Index former = trio.at(one).files.begin()->first;
  trio.crash(one);
  putMany(trio, leader, 70, "l");
  trio.at(one).soundness = Soundness::rebuilding;
  trio.start(one);
  trio.at(one).syncs = false;
  trio.tickAll(60);
  REQUIRE(trio.groupAt(one).core().shape().base().index >
          former);  // loaded, and not yet on the disk
  CHECK(!trio.groupAt(one).status().installing);
  CHECK(trio.groupAt(one).soundness() == Soundness::rebuilding);
  CHECK(trio.at(one).files.contains(former));

  // The log that a crash brings back ends before the new snapshot.
  SUBCASE("a crash before") {
    trio.crash(one);
    trio.at(one).syncs = true;
    trio.start(one);
    trio.tickAll(100);
  }
  SUBCASE("none") {
    trio.at(one).syncs = true;
    trio.tickAll(5);
  }
  CHECK(trio.groupAt(one).soundness() == Soundness::sound);
  CHECK(!trio.at(one).files.contains(former));
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
