// Bad days: what goes wrong in a simulated world, and when.
#pragma once

#include <cstdint>
#include <functional>

#include "tests/sim/world.h"

namespace flotilla::sim {

// Crashes, cuts, pauses, stalls, failing and full disks, clocks that jump, machines that break.
//
// Owner:  a run of one seed; outlived by the World.
// Thread: one.
// Errors: none.
class Nemesis {
public:
  explicit Nemesis(World& world) : world_(world) {}
  void begin();

private:
  void again(int64_t everyUs, std::function<void()> fault);
  int64_t upTo(int64_t us) {
    return static_cast<int64_t>(world_.dice.below(static_cast<uint64_t>(us)));
  }
  void note(const char* what, uint64_t host, Count count);

  void crash();
  void cut();
  void cutBothWays(uint64_t one, uint64_t two);
  void mendLater(int64_t us);
  void pause();
  void stall();
  void syncError();
  void full();
  void setWall();
  void breakMachine();
  void loseDisk();

  World& world_;
};

}  // namespace flotilla::sim
