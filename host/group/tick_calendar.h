// Which replicas of a host are to be looked at in which tick.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "host/base/assert.h"

namespace flotilla::group {

// Of one replica, in its host's ticks.
struct TickPlace {
  static constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();

  uint64_t at = 0;        // its next tick is due then, as far as is known: Group::nextTick
  uint64_t lookedAt = 0;  // it is looked at for that then; 0: it is not, for it needs none

  // True where the calendar has to hear of it.
  bool plan(uint64_t next) {
    at = next;
    return lookedAt == 0 || next < lookedAt;
  }
};

// Of a thousand busy groups few need the next tick, and the others are not touched for it. What is
// planned sooner than it was stays where it was as well, and is passed over there.
//
// `Pointer` leads to what has a TickPlace `tickPlace`.
//
// Owner:  whoever ticks the replicas.
// Thread: its owner's.
// Errors: none.
template <typename Pointer>
class TickCalendar {
public:
  static constexpr uint64_t kTicksMax = 15;  // how far ahead anything may be planned

  // It is looked at when its place says, which is after the tick that is being given; kNever: it
  // needs none.
  void put(const Pointer& replica) {
    TickPlace& place = replica->tickPlace;
    place.lookedAt = place.at == TickPlace::kNever ? 0 : place.at;
    if (place.lookedAt != 0) days_[place.at % days_.size()].push_back(replica);
  }

  void drop(const Pointer& replica) {
    replica->tickPlace = {};
    for (auto& day : days_) std::erase(day, replica);
  }
  void clear() {
    for (auto& day : days_) day.clear();
  }

  // `tick` ticks the replica that it is given, and plans its next one; where it answers false the
  // replica is not looked at again. To be called for each number, one after the other.
  template <typename Tick>
  void goOn(uint64_t now, Tick&& tick) {
    std::swap(days_[now % days_.size()], today_);
    for (const Pointer& replica : today_) {
      TickPlace& place = replica->tickPlace;
      if (place.lookedAt != now) continue;  // it was looked at sooner
      bool stays = place.at > now || tick(replica);
      ASSERT(place.at > now || place.at == 0 || !stays);  // 0: it was dropped meanwhile
      place.lookedAt = 0;
      if (stays) put(replica);
    }
    today_.clear();
  }

private:
  std::array<std::vector<Pointer>, kTicksMax + 1> days_;
  std::vector<Pointer> today_;  // kept for its room
};

}  // namespace flotilla::group
