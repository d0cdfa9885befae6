// Whose turn it is to make room in a crowded log.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <set>
#include <span>
#include <vector>

#include "host/group/ports.h"

namespace flotilla::runtime {

// Has replicas make room a few at a time, in the order in which they were named. Were all asked at
// once, a thousand snapshots would wait for the one thread that saves: each of a state that is
// seconds old by then, that was copied to be kept as it was, and that lets little of the log go.
//
// Owner:  ReplicaSet.
// Thread: the loop's.
// Errors: none.
class RoomMaker {
public:
  static constexpr size_t kAtATime = 16;  // so that the thread seldom waits for one

  // Who waits already keeps its place, and who is at it is not asked again.
  void name(std::span<const group::ReplicaKey> replicas) {
    for (group::ReplicaKey key : replicas) {
      if (!isMaking(key) && waiting_.insert(key).second) queue_.push_back(key);
    }
  }

  // `isMaking(key)`: whether that one is still at it, and will come to an end; `begin(key)`:
  // begins.
  template <typename IsMaking, typename Begin>
  void goOn(IsMaking isMaking, Begin begin) {
    std::erase_if(making_, [&](group::ReplicaKey key) { return !isMaking(key); });
    while (making_.size() < kAtATime && !queue_.empty()) {
      group::ReplicaKey key = queue_.front();
      queue_.pop_front();
      waiting_.erase(key);
      begin(key);
      if (isMaking(key)) making_.push_back(key);
    }
  }

  bool isMaking(group::ReplicaKey key) const {
    return std::find(making_.begin(), making_.end(), key) != making_.end();
  }

private:
  std::deque<group::ReplicaKey> queue_;
  std::set<group::ReplicaKey> waiting_;  // in the queue
  std::vector<group::ReplicaKey> making_;
};

}  // namespace flotilla::runtime
