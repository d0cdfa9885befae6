// How far a leader believes one replica to be.
#pragma once

#include <cstdint>

#include "host/raft/types.h"

namespace flotilla::raft {

enum class ProgressState : uint8_t {
  probe,      // where the logs agree is not known: one append at a time
  replicate,  // appends follow one another without waiting
  snapshot,   // its entries are compacted: nothing until the snapshot was sent
};

// A leader's view of one replica, itself included (then only `match` counts: what is safe on its
// own disk).
struct Progress {
  ReplicaId replica = 0;
  Index match = 0;  // its log is known to equal ours up to here, on its disk; never decreases
  Index next = 1;   // the first entry not yet sent; match < next
  ProgressState state = ProgressState::probe;
  bool paused = false;          // probe: one append is on its way
  bool active = false;          // heard of since the last quorum check
  bool listens = false;         // somebody there waits for commits, said its last appendReply
  uint64_t confirmedRound = 0;  // the newest heartbeat round it answered
  Index commitSent = 0;         // the highest commit index it was told
  bool rests = false;           // its answer to confirmedRound: nothing keeps it from sleeping
  uint64_t sentAt = 0;          // the tick in which it was last sent entries
  uint64_t movedAt = 0;         // and in which it was last heard to have taken some
};

// What a leader tells its group of one peer.
struct PeerProgress {
  ReplicaId replica = 0;
  Index match = 0;
  Index next = 0;
  ProgressState state = ProgressState::probe;
  bool active = false;
  bool rests = false;  // while asleep: it has agreed to that
};

}  // namespace flotilla::raft
