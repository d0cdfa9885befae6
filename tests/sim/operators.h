// What operators do to groups meanwhile: members come and go, leaders hand over, snapshots are
// made.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "tests/sim/world.h"

namespace flotilla::sim {

// Owner:  a run of one seed; outlived by the World.
// Thread: one.
// Errors: none: what a group refuses is tried again some other time.
class Operators {
public:
  explicit Operators(World& world) : world_(world) {}
  void begin();

private:
  void again(int64_t everyUs, std::function<void(uint64_t group)> act);
  void change(uint64_t group);
  void resize(uint64_t group);
  void transfer(uint64_t group);
  // Takes replicas of lost disks out of their groups and gets new ones in, in the calm too.
  void repairLater();
  bool repair(LostReplica& lost);
  void snapshot(uint64_t group);
  void rebuild(uint64_t group);
  void upgrade(uint64_t group);
  // Has replicas rebuilt that were quarantined, in the calm too.
  void rebuildLater();
  // Removes what has left a group, once no log that may still count names it.
  void sweep(uint64_t group);
  bool isNamed(group::ReplicaKey replica);

  World& world_;
};

}  // namespace flotilla::sim
