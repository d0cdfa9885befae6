// One replica's part in one Raft group.
#pragma once

#include <cstdint>

#include "host/raft/effects.h"
#include "host/raft/input.h"
#include "host/raft/log_shape.h"
#include "host/raft/types.h"

// Declared in full by this folder's owner; what others rely on:
//
//   struct CoreConfig { ReplicaId self; uint64_t seed; uint32_t electionTicks = 10;
//                       uint32_t heartbeatTicks = 1; uint32_t appendEntriesMax; uint64_t
//                       appendBytesMax; uint32_t inflightMax; uint64_t uncommittedBytesMax;
//                       bool preVote = true; bool checkQuorum = true; bool leaseReads = false;
//                       uint32_t priority; };
//   class Core {
//     Core(CoreConfig, HardState, LogShape);
//     void step(const Input&, Effects&);
//     Role role(); Term term(); ReplicaId leader(); Index commit(); const LogShape& shape();
//     const HardState& hard(); const Configuration& configuration();
//     bool leads(Term) ;                       // still leader of that term
//     std::vector<PeerProgress> progress();    // leader's view: {replica, match, next, state}
//   };
