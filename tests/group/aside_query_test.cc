// Queries beside later applies see what they would have seen between them, and hold up nobody.
#include "host/group/aside_query.h"

#include <doctest/doctest.h>

#include "tests/group/trio.h"

namespace flotilla::test {

namespace {

constexpr uint16_t kPut = 0;
constexpr uint16_t kGetBeside = 11;
constexpr uint16_t kBreakBeside = 12;

}  // namespace

TEST_CASE("group/aside_query: it answers by the state at its place, while commands go on") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  Seat& seat = trio.at(leader);
  CHECK(trio.run(leader, mapCall(kPut, "a=1")).ok());
  seat.asidesMove = false;
  group::CallId asked = trio.call();
  trio.groupAt(leader).query(asked, mapCall(kGetBeside, "a"), {});
  trio.settle();
  CHECK(trio.run(leader, mapCall(kPut, "a=2")).ok());  // is not held up
  CHECK(seat.answers.count(asked) == 0);
  seat.asidesMove = true;
  trio.settle();
  CHECK(textOf(seat.answers[asked]) == "1");
  CHECK(textOf(trio.ask(leader, mapCall(kGetBeside, "a"))) == "2");
  CHECK(trio.ask(leader, mapCall(kGetBeside, "b")).appCode == "notFound");
}

TEST_CASE("group/aside_query: those of one state share what is held still") {
  Trio trio(1);
  REQUIRE(trio.elect() == 1);
  CHECK(trio.run(1, mapCall(kPut, "a=1")).ok());
  size_t before = trio.machineAt(1).freezes;
  for (int i = 0; i < 10; ++i) {
    trio.groupAt(1).query(trio.call(), mapCall(kGetBeside, "a"), {});
  }
  trio.settle();
  CHECK(trio.machineAt(1).freezes == before + 1);
  CHECK(trio.run(1, mapCall(kPut, "a=2")).ok());
  CHECK(textOf(trio.ask(1, mapCall(kGetBeside, "a"))) == "2");
  CHECK(trio.machineAt(1).freezes == before + 2);
}

TEST_CASE("group/aside_query: a follower's is as linearizable as its leader's") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId follower = leader % 3 + 1;
  CHECK(trio.run(leader, mapCall(kPut, "a=1")).ok());
  CHECK(textOf(trio.ask(follower, mapCall(kGetBeside, "a"))) == "1");
}

TEST_CASE("group/aside_query: a fault in it stops the replica, as a fault between commands does") {
  Trio trio(1);
  REQUIRE(trio.elect() == 1);
  CHECK(trio.run(1, mapCall(kPut, "a=1")).ok());
  group::Outcome broke = trio.ask(1, mapCall(kBreakBeside, "a"));
  CHECK(broke.code == ErrorCode::faulted);
  CHECK(textOf(broke).find("broke on a query") != std::string::npos);
  CHECK(trio.run(1, mapCall(kPut, "a=2")).code == ErrorCode::faulted);
  CHECK(trio.groupAt(1).fault().has_value());
}

TEST_CASE("group/aside_query: a fault of a former machine does not stop the one after it") {
  Trio trio(1);
  REQUIRE(trio.elect() == 1);
  CHECK(trio.run(1, mapCall(kPut, "a=1")).ok());
  trio.at(1).asidesMove = false;
  trio.groupAt(1).query(trio.call(), mapCall(kBreakBeside, "a"), {});
  trio.settle();
  REQUIRE(trio.at(1).asides.size() == 1);
  group::AsideQuery::End end = trio.at(1).asides.front().run();
  REQUIRE(end.fault);
  group::Applier& applier = *trio.at(1).applier;
  REQUIRE(end.machine == applier.machineNumber());
  REQUIRE(applier.begin().ok());  // another takes over
  CHECK_FALSE(applier.stop(*end.fault, end.faultAt, end.machine));
  CHECK_FALSE(applier.fault());
  CHECK(applier.stop(*end.fault, end.faultAt, applier.machineNumber()));
}

TEST_CASE("group/aside_query: it outlives the machine that it was made of") {
  Trio trio(1);
  REQUIRE(trio.elect() == 1);
  CHECK(trio.run(1, mapCall(kPut, "a=1")).ok());
  trio.at(1).asidesMove = false;
  group::CallId asked = trio.call();
  trio.groupAt(1).query(asked, mapCall(kGetBeside, "a"), {});
  trio.settle();
  REQUIRE(trio.at(1).asides.size() == 1);
  group::AsideQuery query = std::move(trio.at(1).asides.front());
  trio.crash(1);
  CHECK(textOf(query.run().queried.outcome) == "1");
}

}  // namespace flotilla::test
