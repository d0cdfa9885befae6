// Who hears of commits, and when, where a group's leader tells of them lazily.
#include <doctest/doctest.h>

#include "host/group/group.h"
#include "tests/group/trio.h"

namespace flotilla::test {
namespace {

// Heartbeats are so rare that none tells of anything meanwhile.
group::GroupOptions lazy() {
  group::GroupOptions options;
  options.core.electionTicks = 100;
  options.core.heartbeatTicks = 50;
  options.core.lazyCommit = true;
  return options;
}

// Ticks until what was proposed last is applied at every replica.
size_t ticksUntilApplied(Trio& trio, raft::ReplicaId leader) {
  raft::Index last = trio.groupAt(leader).core().shape().lastIndex();
  for (size_t ticks = 0; ticks < 30; ++ticks) {
    bool all = true;
    for (auto& seat : trio.seats) all = all && seat->group->appliedIndex() == last;
    if (all) return ticks;
    trio.tickAll(1);
  }
  return 30;
}

}  // namespace

TEST_CASE("group/group: followers hear of a commit ten ticks later, at once where one listens") {
  Trio trio(3, lazy());
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId follower = leader % 3 + 1;
  ticksUntilApplied(trio, leader);
  CHECK(trio.run(leader, mapCall(0, "a=1")).ok());
  CHECK(ticksUntilApplied(trio, leader) == 10);
  for (int i = 0; i < 3; ++i) {
    trio.groupAt(follower).listens(true);
    CHECK(trio.run(leader, mapCall(0, "a=2")).ok());
    CHECK(ticksUntilApplied(trio, leader) == 1);
  }
  trio.groupAt(follower).listens(false);
  CHECK(trio.run(leader, mapCall(0, "a=3")).ok());
  CHECK(ticksUntilApplied(trio, leader) == 10);
}

}  // namespace flotilla::test
