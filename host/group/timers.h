// The timers that a machine has set and that have not come due.
#pragma once

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <vector>

#include "flotilla/result.h"
#include "host/base/give_back.h"
#include "host/group/ports.h"
#include "schemas/log.capnp.h"

namespace flotilla::group {

// Both are part of what a log means: replicas that disagreed on them would come to differ.
constexpr size_t kTimersMax = 1 << 17;     // pending in a group
constexpr size_t kTimersAtOnceMax = 1024;  // that one entry fires; more wait for the next

// A heap by time, and by the order of setting among equal times, which is the order they fire in.
// It follows from the commands alone, so it is the same on every replica. A saved state holds them
// in that order, and so needs not say which was set before which.
//
// Owner:  GroupState.
// Thread: the applier's.
// Errors: a saved state that makes no sense is a Fault `corrupt`.
// Time:   log time, microseconds.
class Timers {
public:
  struct Timer {
    int64_t timeUs = 0;
    uint64_t token = 0;
  };

  size_t size() const { return heap_.size(); }
  int64_t nextUs() const { return heap_.empty() ? kNoTimer : heap_.front().timer.timeUs; }

  // The owner sees to it that there are at most kTimersMax.
  void set(Timer timer) {
    heap_.push_back({timer, ++lastOrder_});
    std::push_heap(heap_.begin(), heap_.end(), isLater);
  }
  // Takes those that are due by `nowUs` out, in order, at most kTimersAtOnceMax of them.
  void takeDue(int64_t nowUs, std::vector<Timer>& to) {
    to.clear();
    while (!heap_.empty() && nextUs() <= nowUs && to.size() < kTimersAtOnceMax) {
      std::pop_heap(heap_.begin(), heap_.end(), isLater);
      to.push_back(heap_.back().timer);
      heap_.pop_back();
    }
    // Many that are gone need not keep their room.
    if (heap_.empty() && heap_.capacity() > kTimersAtOnceMax) base::giveBack(heap_);
  }
  std::vector<Timer> inOrder() const {
    std::vector<Pending> sorted = heap_;
    std::sort(sorted.begin(), sorted.end(),
              [](const Pending& one, const Pending& other) { return isLater(other, one); });
    std::vector<Timer> timers;
    for (const Pending& pending : sorted) timers.push_back(pending.timer);
    return timers;
  }

  void save(schema::GroupState::Builder to) const;
  Result<void> load(schema::GroupState::Reader from);

private:
  struct Pending {
    Timer timer;
    uint64_t order = 0;
  };
  static bool isLater(const Pending& one, const Pending& other) {
    return std::tie(one.timer.timeUs, one.order) > std::tie(other.timer.timeUs, other.order);
  }

  std::vector<Pending> heap_;
  uint64_t lastOrder_ = 0;
};

}  // namespace flotilla::group
