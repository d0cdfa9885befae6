// The simulated machine, watched, and broken on demand.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "host/group/ports.h"
#include "tests/sim/judge.h"

namespace flotilla::sim {

// A put of this key stops the machine on every replica.
inline constexpr const char* kPoisonKey = "poison";

// What surrounds a machine: who watches, and whether it is to break at its next command.
struct MachinePlace {
  group::ReplicaKey replica;
  Judge* judge = nullptr;
  std::function<bool()> breaksNow;
};

// The shipped plugin over the C boundary, with shipped Tables, snapshots and digests.
Result<std::unique_ptr<group::Machine>> makeSimMachine(MachinePlace place);

}  // namespace flotilla::sim
