// Ends of applies that nobody waits for.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>

#include "host/base/assert.h"
#include "host/group/ports.h"

namespace flotilla::runtime {

// What a follower applies changes nothing that anybody waits for: told by itself it would only
// fetch the group's memory once more. So it stays here until the group is given something else, its
// next tick at the latest (Group::nextTick). There is never another: the end of whatever is asked
// of the machine before it was told is wanted (ApplyRequest::endWanted), so nothing overtakes it
// either.
//
// Owner:  MachineLane, or the simulator's.
// Thread: keep on its worker; the rest on the loop.
// Errors: none.
class LateApplied {
public:
  // False: it says more than that entries were applied, and is to be told.
  bool keep(const group::Applied& applied) {
    if (!applied.answers.empty() || applied.fault || !applied.digests.empty()) return false;
    if (applied.unchecked >= group::kCheckNow) return false;
    std::lock_guard lock(mutex_);
    ASSERT(!has_.load());
    kept_ = {applied.generation, applied.index, applied.nextTimerUs, applied.unchecked,
             applied.durable};
    has_.store(true);
    return true;
  }

  std::optional<group::Applied> take() {
    if (!has_.load()) return std::nullopt;
    std::lock_guard lock(mutex_);
    if (!has_.exchange(false)) return std::nullopt;
    return whole();
  }
  // As take, but it stays.
  std::optional<group::Applied> look() const {
    std::lock_guard lock(mutex_);
    return has_.load() ? std::optional(whole()) : std::nullopt;
  }

private:
  // An Applied without anything that grows.
  struct Kept {
    uint64_t generation = 0;
    raft::Index index = 0;
    int64_t nextTimerUs = 0;
    uint64_t unchecked = 0;
    std::optional<raft::LogPoint> durable;
  };

  group::Applied whole() const {
    group::Applied applied;
    applied.generation = kept_.generation;
    applied.index = kept_.index;
    applied.nextTimerUs = kept_.nextTimerUs;
    applied.unchecked = kept_.unchecked;
    applied.durable = kept_.durable;
    return applied;
  }

  mutable std::mutex mutex_;
  std::atomic<bool> has_{false};
  Kept kept_;
};

}  // namespace flotilla::runtime
