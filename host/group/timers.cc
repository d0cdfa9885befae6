// The timers that a machine has set and that have not come due.
#include "host/group/timers.h"

namespace flotilla::group {

void Timers::save(schema::GroupState::Builder to) const {
  if (heap_.empty()) return;
  auto timers = to.initTimers(static_cast<uint32_t>(heap_.size()));
  uint32_t place = 0;
  for (const Timer& timer : inOrder()) {
    timers[place].setTimeUs(timer.timeUs);
    timers[place++].setToken(timer.token);
  }
}

Result<void> Timers::load(schema::GroupState::Reader from) {
  *this = Timers{};
  auto timers = from.getTimers();
  if (timers.size() > kTimersMax) {
    return Fault{ErrorCode::corrupt,
                 "group state: " + std::to_string(timers.size()) + " timers, at most " +
                     std::to_string(kTimersMax) + " can be pending",
                 {}};
  }
  heap_.reserve(timers.size());
  // Sorted is a heap already.
  for (auto timer : timers) {
    Pending pending{{timer.getTimeUs(), timer.getToken()}, ++lastOrder_};
    if (!heap_.empty() && heap_.back().timer.timeUs > pending.timer.timeUs) {
      return Fault{ErrorCode::corrupt, "group state: its timers are out of order", {}};
    }
    heap_.push_back(pending);
  }
  return {};
}

}  // namespace flotilla::group
