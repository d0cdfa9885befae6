// Counters by group, of the busiest ones.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "host/group/meters.h"

namespace flotilla::runtime {

// Thousands of groups cannot each be a row of a graph. The busiest have a place with counters of
// their own, from when they got it; all others count together. Every now and then a group that has
// become busier than the least busy of a place takes that place. So each counter only rises until
// its group is out of sight, and so does that of the others.
//
// Owner:  ReplicaSet.
// Thread: the loop's.
// Errors: none.
class BusyGroups {
public:
  static constexpr size_t kPlaces = 20;
  static constexpr uint64_t kBusyMin = 10;  // calls since the last look to get a place

  struct Place {
    uint64_t group = 0;   // 0: free
    uint64_t recent = 0;  // calls, between the last two looks
    group::Meters meters;
  };
  struct Seen {
    uint64_t group = 0;
    uint64_t recent = 0;  // calls since the last look
  };

  // Gives places to the busiest; `meter` is told which counters a group has from now on. Groups
  // that are not in `seen` have had no calls, or are gone.
  void look(std::vector<Seen> seen,
            const std::function<void(uint64_t group, group::Meters& meters)>& meter);
  // The group is not here any more.
  void forget(uint64_t group);

  group::Meters& others() { return others_; }
  const group::Meters& others() const { return others_; }
  const std::array<Place, kPlaces>& places() const { return places_; }
  group::Meters all() const;  // of this process, whoever had a place when

private:
  void free(Place& place);
  Place* find(uint64_t group);

  std::array<Place, kPlaces> places_;
  group::Meters others_;
  group::Meters gone_;  // of places that were given up
};

}  // namespace flotilla::runtime
