// Messages on their way to one host.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "host/group/ports.h"

namespace flotilla::net {

// First in, first out, and bounded: a sixteenth before the bound a new append is dropped (the
// leader sends it again), and past it the oldest heartbeats make way for anything else (newer ones
// say the same).
//
// Owner:  PeerLink.
// Thread: its loop's.
// Errors: none; what is dropped is counted.
class PeerQueue {
public:
  explicit PeerQueue(uint64_t bytesMax) : bytesMax_(bytesMax) {}

  void add(group::PeerMessage&& message);
  // The oldest messages, in order, up to the one that reaches `bytes`; at least one.
  std::vector<group::PeerMessage> take(uint64_t bytes, size_t countMax);
  void clear();  // counts what it drops

  bool empty() const { return heartbeats_.empty() && others_.empty(); }
  uint64_t bytes() const { return bytes_; }
  uint64_t dropped() const { return dropped_; }

private:
  struct Waiting {
    uint64_t place = 0;  // among all that were added
    uint64_t bytes = 0;
    group::PeerMessage message;
  };

  uint64_t bytesMax_;
  uint64_t bytes_ = 0;
  uint64_t dropped_ = 0;
  uint64_t nextPlace_ = 0;
  std::deque<Waiting> heartbeats_;  // and their replies
  std::deque<Waiting> others_;
};

}  // namespace flotilla::net
