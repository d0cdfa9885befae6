// Counters by group, of the busiest ones.
#include "host/runtime/busy_groups.h"

#include <algorithm>

namespace flotilla::runtime {

BusyGroups::Place* BusyGroups::find(uint64_t group) {
  auto at = std::find_if(places_.begin(), places_.end(),
                         [group](const Place& place) { return place.group == group; });
  return at == places_.end() ? nullptr : &*at;
}

void BusyGroups::free(Place& place) {
  gone_ += place.meters;
  place = Place{};
}

void BusyGroups::forget(uint64_t group) {
  if (Place* place = group == 0 ? nullptr : find(group)) free(*place);
}

void BusyGroups::look(std::vector<Seen> seen,
                      const std::function<void(uint64_t, group::Meters&)>& meter) {
  for (Place& place : places_) place.recent = 0;
  for (const Seen& each : seen) {
    if (Place* place = find(each.group)) place->recent = each.recent;
  }
  std::erase_if(seen, [this](const Seen& each) {
    return each.recent < kBusyMin || each.group == 0 || find(each.group) != nullptr;
  });
  size_t wanted = std::min(seen.size(), kPlaces);
  auto limit = seen.begin() + static_cast<std::ptrdiff_t>(wanted);
  std::partial_sort(seen.begin(), limit, seen.end(),
                    [](const Seen& left, const Seen& right) { return left.recent > right.recent; });
  for (auto each = seen.begin(); each != limit; ++each) {
    auto quietest =
        std::min_element(places_.begin(), places_.end(), [](const Place& left, const Place& right) {
          return std::pair(left.group != 0, left.recent) <
                 std::pair(right.group != 0, right.recent);
        });
    // Twice as busy, or places would be passed on at each look.
    if (quietest->group != 0 && each->recent < 2 * quietest->recent) return;
    if (quietest->group != 0) meter(quietest->group, others_);
    free(*quietest);
    quietest->group = each->group;
    quietest->recent = each->recent;
    meter(each->group, quietest->meters);
  }
}

group::Meters BusyGroups::all() const {
  group::Meters all = others_;
  all += gone_;
  for (const Place& place : places_) all += place.meters;
  return all;
}

}  // namespace flotilla::runtime
