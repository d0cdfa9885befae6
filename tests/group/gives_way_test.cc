// Machines that nobody waits for, and who hurries them.
#include <doctest/doctest.h>

#include "tests/group/trio.h"

namespace flotilla::test {
namespace {

raft::ReplicaId otherThan(raft::ReplicaId leader) {
  return leader % 3 + 1;
}

}  // namespace

TEST_CASE("group/group: a machine gives way where nobody waits for it and it is not far behind") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId follower = otherThan(leader);
  REQUIRE(trio.run(leader, mapCall(0, "a=1")).ok());
  CHECK_FALSE(trio.at(leader).lastApply.givesWay);
  CHECK_FALSE(trio.at(follower).lastApply.answersWanted);
  CHECK(trio.at(follower).lastApply.givesWay);

  trio.at(follower).works = false;
  int hurries = trio.at(follower).hurries;
  REQUIRE(trio.run(leader, mapCall(0, "b=1")).ok());
  trio.tickAll(1);
  CHECK(trio.at(follower).lastApply.givesWay);
  CHECK(trio.at(follower).hurries == hurries);
  trio.tickAll(2);  // of a tenth of a second each
  CHECK(trio.at(follower).hurries == hurries + 1);
  REQUIRE(trio.run(leader, mapCall(0, "c=1")).ok());
  trio.tickAll(1);
  CHECK_FALSE(trio.at(follower).lastApply.givesWay);

  trio.at(follower).works = true;
  trio.settle();
  REQUIRE(trio.run(leader, mapCall(0, "d=1")).ok());
  trio.tickAll(1);
  CHECK(trio.at(follower).lastApply.givesWay);
}

TEST_CASE("group/group: a machine does not give way where a query waits for it") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId follower = otherThan(leader);
  REQUIRE(trio.run(leader, mapCall(0, "a=1")).ok());
  trio.tickAll(1);
  trio.at(follower).works = false;
  REQUIRE(trio.run(leader, mapCall(0, "b=1")).ok());
  trio.tickAll(1);
  CHECK(trio.at(follower).lastApply.givesWay);
  int hurries = trio.at(follower).hurries;
  group::CallId caller = trio.call();
  trio.groupAt(follower).query(caller, mapCall(1, "b"), {});
  CHECK(trio.at(follower).hurries == hurries + 1);
  trio.groupAt(follower).flush();
  REQUIRE(trio.run(leader, mapCall(0, "c=1")).ok());
  trio.tickAll(1);
  CHECK_FALSE(trio.at(follower).lastApply.givesWay);
  trio.at(follower).works = true;
  trio.settle();
  CHECK(trio.at(follower).answers.contains(caller));
}

}  // namespace flotilla::test
