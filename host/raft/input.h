// What a core is told.
#pragma once

#include <cstdint>
#include <variant>

#include "host/raft/message.h"
#include "host/raft/types.h"

namespace flotilla::raft {

// Units of time have passed. All but the last may be left out where Core::spareTicks allowed that.
// A sleeping replica may be left without: its time stands still.
struct Tick {
  bool busy = false;    // something is pending here that sleep would hold up: a timer, a caller
  uint64_t passed = 1;  // since the last Tick or Core::pass; 0: the core knows that they have
};

// A message from a peer. For an append, Group keeps the entries' bytes beside it during the step.
// A `snapshot` is received only once its file is whole, checked and synced on this host.
struct Receive {
  Message message;
  uint64_t bytes = 0;  // an append's: of its entries together
};

// One entry of `bytes` bytes to be appended, if we lead.
struct Propose {
  ProposalId proposal = 0;  // the caller's name for it, given back in Effects
  uint64_t bytes = 0;       // counts against the cap on uncommitted bytes
};

// Change the voters and learners to these. The core makes it joint where one step is not safe, and
// leaves the joint configuration itself. Refused while another change is under way or before the
// first entry of our own term has committed (RELIABILITY 1).
struct ProposeConfiguration {
  ProposalId proposal = 0;
  std::vector<ReplicaId> voters;
  std::vector<ReplicaId> learners;
};

// This write, and every earlier one of this core, would survive a power cut.
struct Persisted {
  WriteId write = 0;
};

// A linearizable read asks for the index it must see (ReadIndex, dissertation 6.4). On a follower
// or learner it is forwarded to the leader.
struct Read {
  ReadId read = 0;
};

// Hand leadership to `to`; 0: to whichever voter is furthest.
struct Transfer {
  ReplicaId to = 0;
};

// The machine's state up to `point` is saved and synced; the log up to `keepAfter` (at most
// point.index) is not needed here any more.
struct Compact {
  LogPoint point;
  Index keepAfter = 0;
};

// The end of Effects::install: the machine holds the snapshot, or could not load it (ok=false:
// the replica goes on with what it had).
struct Installed {
  LogPoint point;
  bool ok = false;
};

// The end of Effects::snapshots: the peer has the whole file, or the stream broke.
struct SnapshotSent {
  ReplicaId to = 0;
  LogPoint point;
  bool ok = false;
};

// The connection to this peer is gone; pipelined appends to it are lost.
struct Unreachable {
  ReplicaId peer = 0;
};

// The host has reason to doubt that this group's sleep is undisturbed: its leader's host is gone,
// was started anew, or names other sleeping groups than we do. May be given again and again.
struct Wake {
  bool leaderGone = false;  // the leader's host cannot be reached, or its process is another now
  bool first = false;       // with that: of those who may stand for election, we are to be first
};

// Stand for election now (scripts, the simulator, a founding group's first replica).
struct Campaign {};

using Input = std::variant<Tick, Receive, Propose, ProposeConfiguration, Persisted, Read, Transfer,
                           Compact, Installed, SnapshotSent, Unreachable, Wake, Campaign>;

}  // namespace flotilla::raft
