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
  std::function<bool()> straysNow;
  bool onDisk = false;  // it keeps its state in a store
};

// The shipped plugin over the C boundary, with shipped Tables, snapshots and digests.
// `sha256` names a version of it: all do the same, and their digests tell which is at work; one
// that begins with kUnwilling loads no state. Empty: the first.
inline constexpr char kUnwilling = 'f';
Result<std::unique_ptr<group::Machine>> makeSimMachine(MachinePlace place,
                                                       const std::string& sha256);

// What is planted to be found by digests alone: a machine that has gone astray carries a number
// that no answer shows, but its digest and its snapshots do. 0: it has not.
uint64_t driftOf(const group::Machine& machine);
// Its digest as if it had none.
std::optional<uint64_t> soundDigestOf(group::Machine& machine);

}  // namespace flotilla::sim
