// Ends of applies that nobody waits for.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "host/base/assert.h"
#include "host/group/ports.h"

namespace flotilla::runtime {

// What a follower applies changes nothing that anybody waits for: told by itself it would only
// fetch the group's memory once more. So it stays here until the group is given something else, its
// next tick at the latest. Nothing stays while other ends of applies are on their way to the loop,
// and what leaves takes along what has stayed, so a group hears of its entries in their order.
//
// Owner:  MachineLane.
// Thread: keep and leave on its worker, one at a time; the rest on the loop.
// Errors: none.
class LateApplied {
public:
  // True: they stay. False: they say more than that entries were applied, or would overtake others.
  bool keep(const std::vector<group::Applied>& applied) {
    if (!std::all_of(applied.begin(), applied.end(), saysLittle)) return false;
    std::lock_guard lock(mutex_);
    if (applied.empty() || onTheirWay_ != 0) return false;
    const group::Applied& last = applied.back();  // those before it say no more
    kept_ = {last.generation, last.index, last.nextTimerUs, last.unchecked, last.durable};
    has_.store(true);
    return true;
  }

  // They leave for the loop, behind what has stayed. One `arrived` follows each.
  void leave(std::vector<group::Applied>& applied) {
    std::lock_guard lock(mutex_);
    ++onTheirWay_;
    if (has_.exchange(false)) applied.insert(applied.begin(), whole());
  }

  // The group has been given them.
  void arrived() {
    std::lock_guard lock(mutex_);
    ASSERT(onTheirWay_ != 0);
    --onTheirWay_;
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

  static bool saysLittle(const group::Applied& applied) {
    return applied.answers.empty() && !applied.fault && applied.digests.empty() &&
           applied.unchecked < group::kCheckNow;
  }
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
  uint32_t onTheirWay_ = 0;
  Kept kept_;
};

}  // namespace flotilla::runtime
