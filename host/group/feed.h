// How far committed entries have gone to the machine, and come back applied.
#pragma once

#include <cstdint>

#include "host/base/fifo.h"
#include "host/raft/types.h"

namespace flotilla::group {

// A machine that nobody waits for gives way to others for so long.
inline constexpr int64_t kGiveWayUs = 100'000;

// Owner:  Group.
// Thread: its owner's.
// Errors: none.
// Time:   microseconds of the monotonic clock.
class Feed {
public:
  explicit Feed(raft::Index applied) : fed_(applied), applied_(applied) {}

  raft::Index fed() const { return fed_; }
  raft::Index applied() const { return applied_; }
  size_t requests() const { return requests_.size(); }  // not yet answered
  uint64_t bytesSinceSnapshot() const { return bytesSinceSnapshot_; }

  void sent(raft::Index last, uint64_t bytes, int64_t nowUs) {
    fed_ = last;
    bytesSinceSnapshot_ += bytes;
    requests_.push_back({last, nowUs});
  }
  void applied(raft::Index index) {
    if (index > applied_) applied_ = index;
    while (!requests_.empty() && requests_.front().last <= applied_) requests_.pop_front();
  }
  // A fresh machine stands at `index`.
  void restart(raft::Index index) {
    fed_ = applied_ = index;
    requests_.clear();
    bytesSinceSnapshot_ = 0;
  }
  void snapshotBegun() { bytesSinceSnapshot_ = 0; }
  int64_t lagUs(int64_t nowUs) const {
    return requests_.empty() ? 0 : nowUs - requests_.front().sentUs;
  }

private:
  struct Request {
    raft::Index last = 0;
    int64_t sentUs = 0;
  };
  raft::Index fed_;
  raft::Index applied_;
  base::Fifo<Request> requests_;
  uint64_t bytesSinceSnapshot_ = 0;
};

}  // namespace flotilla::group
