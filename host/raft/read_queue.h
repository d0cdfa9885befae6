// Linearizable reads on their way: those a leader confirms, and those sent to a leader.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "host/raft/types.h"

namespace flotilla::raft {

constexpr size_t kReadsMax = 65536;  // waiting at one core, of either kind

// One read that waits. On a leader `asker` is who wants to know and `context` their name for it (a
// ReadId where that is ourselves); elsewhere `context` is our name for it on the wire.
struct WaitingRead {
  ReplicaId asker = 0;
  uint64_t context = 0;
  ReadId read = 0;
  Index index = 0;     // leader: what the read must see; 0: before a commit of the own term
  uint64_t round = 0;  // leader: the heartbeat round that confirms it; 0: not sent yet
  uint64_t until = 0;  // tick at which it is given up
};

// Owner:  Core.
// Thread: its owner's.
// Errors: none; a full queue refuses.
// Time:   in ticks.
class ReadQueue {
public:
  bool empty() const { return reads_.empty(); }
  bool full() const { return reads_.size() >= kReadsMax; }
  void add(WaitingRead read) { reads_.push_back(read); }

  // Some have an index but no round yet: they want a heartbeat round begun.
  bool wantsRound() const;
  // Some wait for a round that is under way.
  bool inRound() const;
  // Those that waited for the own term's first commit now know their index.
  void giveIndex(Index commit);
  // Those that waited for a round are confirmed by this one.
  void giveRound(uint64_t round);

  // Takes out those that a quorum's answers to `round` confirm, those that have waited too long, or
  // all; in order of arrival.
  std::vector<WaitingRead> takeConfirmed(uint64_t round);
  std::vector<WaitingRead> takeExpired(uint64_t now);
  std::vector<WaitingRead> takeAll();
  std::optional<WaitingRead> takeContext(uint64_t context);

private:
  template <typename Predicate>
  std::vector<WaitingRead> take(Predicate predicate);

  std::vector<WaitingRead> reads_;
};

}  // namespace flotilla::raft
