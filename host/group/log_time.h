// The time a group lives by: stamped by its leader, never going back.
#pragma once

#include <cstdint>

#include "host/raft/types.h"

namespace flotilla::group {

// Where a leader's stamps come from. A term begins with the newest stamp this replica has seen,
// carried on by its monotonic clock, and is then slewed towards wall time by at most a tenth of
// what has passed: a leader whose clock is far off moves the group's time slowly, and expires
// nothing early. What it has seen outlives a restart (ReplicaState::logTimeUs); a replica that has
// never seen a stamp takes wall time.
//
// Owner:  Group.
// Thread: its owner's.
// Errors: none.
// Time:   microseconds; wall time since 1970, monotonic time from any start.
class LogTime {
public:
  struct Now {
    int64_t monotonicUs = 0;
    int64_t wallUs = 0;
  };

  // An entry with this stamp has arrived, from whichever leader.
  void heard(int64_t stampUs, int64_t monotonicUs);
  // What followed in the log is gone, and this entry is its last. Stamps rise along a log, so this
  // is the newest; what a leader that nobody followed has stamped counts no more.
  void rewritten(int64_t stampUs, int64_t monotonicUs);
  int64_t newestUs() const { return stampUs_; }  // 0: none yet
  // The stamp for an entry made now.
  int64_t stamp(Now now);
  // How far the newest stamp, carried on, is ahead of wall time.
  int64_t aheadOfWallUs(Now now) const;

private:
  int64_t carriedOn(int64_t monotonicUs) const;

  int64_t stampUs_ = 0;      // the newest, ours or another's; 0: none yet
  int64_t monotonicUs_ = 0;  // when it was made or arrived
};

}  // namespace flotilla::group
