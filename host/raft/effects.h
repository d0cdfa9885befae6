// What one step wants done.
#pragma once

#include <optional>
#include <vector>

#include "host/raft/log_shape.h"
#include "host/raft/message.h"
#include "host/raft/types.h"

namespace flotilla::raft {

// One change of what lies on disk. Writes of one core are carried out in order; each one's end is a
// Persisted. Group adds the entries' bytes and Core::shape() as of this step.
struct Write {
  WriteId id = 0;
  HardState hard;
  Index first = 0;     // entries [first, last] are new, and replace whatever stood from `first` on
  Index last = 0;      // first - 1 = last: no entries (first is then lastIndex + 1)
  bool reset = false;  // a snapshot replaced the log: entries written before are dead

  bool operator==(const Write&) const = default;
};

// The entry for this proposal, if it is ever committed.
struct Accepted {
  ProposalId proposal = 0;
  LogPoint point;
};

enum class RefusedWhy : uint8_t {
  notLeader,  // leader names the one to ask, 0 where none is known
  transferring,
  full,         // the cap on uncommitted bytes; try later
  changing,     // another membership change is under way, or this term has committed nothing yet
  notCaughtUp,  // a learner to be promoted is too far behind
  noChange,     // the configuration is that already
  notMember,    // empty or senseless configuration, or a transfer to a stranger
};

struct Refused {
  ProposalId proposal = 0;
  RefusedWhy why = RefusedWhy::notLeader;
  ReplicaId leader = 0;
};

// A read may be answered once the machine has applied `index`; ok=false: ask again, or elsewhere.
struct ReadReady {
  ReadId read = 0;
  Index index = 0;
  bool ok = false;
};

// An append that the core wants sent: Group fills in the bytes of the entries its runs name, from
// memory or the disk. Ranges and term are repeated here, so that a late fetch can be judged.
// (It is a Message of kind append in `sends`; this comment stands here for its contract.)
//
// A configuration entry that the core itself makes (from ProposeConfiguration, or to leave a joint
// one): Group encodes it as the entry at `index`.
struct MadeEntry {
  enum class Kind : uint8_t { noOp, configuration };
  Kind kind = Kind::noOp;
  Index index = 0;
  Term term = 0;
  Configuration configuration;  // with Kind::configuration
};

// The peer is behind our first index: send it a snapshot. Answered with SnapshotSent.
struct SnapshotWanted {
  ReplicaId to = 0;
};

// Load this snapshot into a fresh machine. Answered with Installed.
struct Install {
  LogPoint point;
  Configuration configuration;
  ReplicaId from = 0;
};

// Nothing here waits for anything else here: a message that must not leave before a write is safe
// is kept inside the core until Persisted.
struct Effects {
  std::optional<Write> write;
  std::vector<MadeEntry> made;  // entries of this step's write that no proposal brought
  std::vector<Message> sends;   // never to ourselves
  std::vector<Accepted> accepted;
  std::vector<Refused> refused;
  std::vector<ReadReady> reads;
  std::vector<SnapshotWanted> snapshots;
  std::optional<Install> install;
  Index apply = 0;  // entries up to here are committed and safe on this disk

  // Keeps the room of its lists for the next step.
  void clear() {
    write.reset();
    made.clear();
    sends.clear();
    accepted.clear();
    refused.clear();
    reads.clear();
    snapshots.clear();
    install.reset();
    apply = 0;
  }
};

}  // namespace flotilla::raft
