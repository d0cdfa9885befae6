// A group that sleeps: silence, what keeps it awake, what wakes it.
#include <doctest/doctest.h>

#include "host/group/group.h"
#include "tests/group/trio.h"

namespace flotilla::test {
namespace {

group::GroupOptions sleepy() {
  group::GroupOptions options;
  options.core.sleepTicks = 5;
  return options;
}

bool allIdle(Trio& trio) {
  for (auto& seat : trio.seats) {
    if (!seat->group->idle()) return false;
  }
  return true;
}

// Ticks until all sleep.
raft::ReplicaId lull(Trio& trio) {
  raft::ReplicaId leader = trio.elect();
  for (int i = 0; i < 30 && !allIdle(trio); ++i) trio.tickAll(1);
  REQUIRE(allIdle(trio));
  return leader;
}

size_t heardIn(Trio& trio, size_t ticks) {
  size_t heard = 0;
  trio.spoil = [&](group::PeerMessage&) { ++heard; };
  trio.tickAll(ticks);
  trio.spoil = nullptr;
  return heard;
}

}  // namespace

TEST_CASE("group/group: a quiet group falls asleep, and then nothing is sent") {
  Trio trio(3, sleepy());
  raft::ReplicaId leader = lull(trio);
  CHECK(trio.groupAt(leader).status().asleep);
  CHECK(heardIn(trio, 200) == 0);
  CHECK(trio.leaderNow() == leader);
}

TEST_CASE("group/group: a command wakes it, and a query, wherever it comes") {
  Trio trio(3, sleepy());
  raft::ReplicaId leader = lull(trio);
  CHECK(trio.run(leader, mapCall(0, "a=1")).ok());
  CHECK(!trio.groupAt(leader).idle());
  for (raft::ReplicaId id = 1; id <= 3; ++id) {
    lull(trio);
    CHECK(textOf(trio.ask(id, mapCall(1, "a"))) == "1");
  }
}

// Found by flotilla-sim, seed 7106967: a log that had come to its bound meanwhile refused whatever
// could have woken the group.
TEST_CASE("group/group: nobody sleeps who has a snapshot to save and found no room for it") {
  group::GroupOptions options = sleepy();
  options.snapshotEveryEntries = 10;
  options.keepEntries = 0;
  Trio trio(3, options);
  for (auto& seat : trio.seats) seat->saves = false;
  raft::ReplicaId leader = trio.elect();
  for (int i = 0; i < 12; ++i) CHECK(trio.run(leader, mapCall(0, "a=1")).ok());
  trio.tickAll(50);
  CHECK(trio.groupAt(leader).status().snapshotIndex == 0);
  for (auto& seat : trio.seats) CHECK_FALSE(seat->group->idle());
  for (auto& seat : trio.seats) seat->saves = true;
  for (int i = 0; i < 300 && !allIdle(trio); ++i) trio.tickAll(1);
  CHECK(allIdle(trio));
  CHECK(trio.groupAt(leader).status().snapshotIndex > 10);
}

TEST_CASE("group/group: a query that may be a little old asks when the group sleeps") {
  Trio trio(3, sleepy());
  raft::ReplicaId leader = lull(trio);
  REQUIRE(trio.run(leader, mapCall(0, "a=1")).ok());
  lull(trio);
  heardIn(trio, 50);
  group::Freshness aMoment{.kind = group::Freshness::Kind::stale, .maxAgeUs = 500'000};
  raft::ReplicaId other = leader % 3 + 1;
  CHECK(textOf(trio.ask(other, mapCall(1, "a"), aMoment)) == "1");
  CHECK(!trio.groupAt(leader).idle());
  // Any age: answered from where it stands, in its sleep.
  lull(trio);
  group::Freshness anyAge{.kind = group::Freshness::Kind::stale};
  CHECK(textOf(trio.ask(other, mapCall(1, "a"), anyAge)) == "1");
  CHECK(allIdle(trio));
}

TEST_CASE("group/group: it does not fall asleep over a machine that has not applied all") {
  Trio trio(3, sleepy());
  raft::ReplicaId leader = lull(trio);
  raft::ReplicaId slow = leader % 3 + 1;
  trio.at(slow).works = false;
  REQUIRE(trio.run(leader, mapCall(0, "a=1")).ok());
  trio.tickAll(50);
  CHECK(!trio.groupAt(leader).status().asleep);
  trio.at(slow).works = true;
  lull(trio);
  CHECK(trio.machineAt(slow).values["a"] == "1");
}

TEST_CASE("group/group: a sleeping group whose leader's host is gone elects once it is woken") {
  Trio trio(3, sleepy());
  raft::ReplicaId old = lull(trio);
  REQUIRE(trio.run(old, mapCall(0, "a=1")).ok());
  lull(trio);
  trio.cut(old);
  CHECK(heardIn(trio, 100) == 0);  // the group itself cannot notice
  for (raft::ReplicaId id = 1; id <= 3; ++id) {
    if (id != old) trio.groupAt(id).wake();
  }
  raft::ReplicaId leader = trio.elect();
  REQUIRE(leader != old);
  CHECK(trio.run(leader, mapCall(0, "a=2")).ok());
  // The old one still sleeps, and believes that it leads.
  trio.mend(old);
  CHECK(textOf(trio.ask(old, mapCall(1, "a"))) != "1");
  trio.tickAll(10);
  CHECK(trio.machineAt(old).values["a"] == "2");
}

TEST_CASE("group/group: a replica that was started anew is heard by its sleeping group") {
  Trio trio(3, sleepy());
  raft::ReplicaId leader = lull(trio);
  raft::ReplicaId other = leader % 3 + 1;
  trio.crash(other);
  trio.start(other);
  for (int i = 0; i < 60 && !trio.groupAt(other).idle(); ++i) trio.tickAll(1);
  CHECK(trio.groupAt(other).idle());
  CHECK(trio.groupAt(other).leader() == leader);
}

}  // namespace flotilla::test
