// A core whose owner leaves out the Ticks that it can spare.
#pragma once

#include <cstdint>
#include <utility>
#include <variant>

#include "host/raft/core.h"
#include "host/raft/effects.h"
#include "host/raft/input.h"

namespace flotilla::test {

// Is given what another core of the same beginning is given, every Tick included, and is to want
// the same each time.
//
// Owner:  a test.
// Thread: one.
// Errors: none.
class SparingCore {
public:
  SparingCore(const raft::CoreConfig& config, raft::HardState hard, raft::LogShape shape)
      : core_(config, hard, std::move(shape)) {}

  // What it wants then; of a Tick that it is spared: nothing.
  raft::Effects step(const raft::Input& input) {
    raft::Effects effects;
    const auto* tick = std::get_if<raft::Tick>(&input);
    if (tick == nullptr) {
      core_.pass(std::exchange(spared_, 0));
      core_.step(input, effects);
    } else if (canSpare(*tick)) {
      ++spared_;
    } else {
      busy_ = tick->busy;
      core_.step(raft::Tick{busy_, std::exchange(spared_, 0) + 1}, effects);
    }
    return effects;
  }
  bool isAs(const raft::Core& other) const {
    return core_.role() == other.role() && core_.hard() == other.hard() &&
           core_.leader() == other.leader() && core_.applicable() == other.applicable() &&
           core_.asleep() == other.asleep() && core_.callsLeader() == other.callsLeader();
  }
  void doubtLease() { core_.doubtLease(); }

private:
  // One that says something is no spare one, and one asleep may have to be woken by it.
  bool canSpare(const raft::Tick& tick) const {
    bool says = tick.busy != busy_ || (tick.busy && core_.asleep());
    return !says && spared_ < core_.spareTicks();
  }

  raft::Core core_;
  uint64_t spared_ = 0;  // since it was last given something
  bool busy_ = false;    // by its last Tick
};

}  // namespace flotilla::test
