// Rounds of digests: majorities, minorities, and what is kept of them.
#include "host/group/digests.h"

#include <doctest/doctest.h>

namespace flotilla::test {
namespace {

using group::Digests;
using Untold = std::vector<std::pair<raft::ReplicaId, bool>>;

const std::vector<raft::ReplicaId> kThree = {1, 2, 3};

}  // namespace

TEST_CASE("group/digests: a strict majority of the voters decides, and nothing less") {
  Digests digests;
  digests.add(1, {10, 7});
  CHECK(!digests.judge(10, kThree).digest);
  CHECK(!digests.judge(10, kThree).split);
  digests.add(3, {10, 8});
  CHECK(!digests.judge(10, kThree).digest);
  digests.add(2, {10, 8});
  CHECK(digests.judge(10, kThree).digest == 8);
  // Two of four is none.
  digests.add(4, {10, 7});
  CHECK(!digests.judge(10, {1, 2, 3, 4}).digest);
  CHECK(digests.judge(10, {1, 2, 3, 4}).split);
  CHECK(!digests.judge(11, kThree).split);
}

TEST_CASE("group/digests: who has no vote is counted by nobody, and judged all the same") {
  Digests digests;
  for (raft::ReplicaId learner : {7, 8, 9}) digests.add(learner, {10, 5});
  digests.add(1, {10, 6});
  CHECK(!digests.judge(10, kThree).digest);
  digests.add(2, {10, 6});
  REQUIRE(digests.judge(10, kThree).digest == 6);
  CHECK(digests.takeUntold(10, 6) ==
        Untold{{1, true}, {2, true}, {7, false}, {8, false}, {9, false}});
  CHECK(digests.takeUntold(10, 6).empty());
  digests.add(7, {10, 5});  // it says so again, for the answer was lost
  CHECK(digests.takeUntold(10, 6) == Untold{{7, false}});
}

TEST_CASE("group/digests: all have spoken and there is no majority: split") {
  Digests digests;
  for (raft::ReplicaId voter : kThree) digests.add(voter, {10, voter});
  CHECK(digests.judge(10, kThree).split);
  digests.add(3, {10, 2});  // one that was restored meanwhile
  CHECK(digests.judge(10, kThree).digest == 2);
}

TEST_CASE("group/digests: the newest rounds are kept, and none without bound") {
  Digests digests;
  for (raft::Index index = 1; index <= 20; ++index) digests.add(1, {index, index});
  CHECK(!digests.of(1, 12));
  CHECK(digests.of(1, 13) == 13);
  CHECK(digests.of(1, 20) == 20);
  digests.add(1, {5, 5});  // too old by now
  CHECK(!digests.of(1, 5));
  CHECK(digests.of(1, 13) == 13);
  for (raft::ReplicaId replica = 2; replica < 1000; ++replica) digests.add(replica, {20, 1});
  CHECK(digests.takeUntold(20, 1).size() == Digests::kReportsMax);
  digests.add(1, {20, 1});  // who was heard is heard again
  CHECK(digests.of(1, 20) == 1);
}

}  // namespace flotilla::test
