// The busiest groups have counters of their own, the others share one.
#include "host/runtime/busy_groups.h"

#include <map>
#include <vector>

#include <doctest/doctest.h>

namespace flotilla::runtime {
namespace {

// Groups that count where they are told to.
struct Town {
  BusyGroups busy;
  std::map<uint64_t, group::Meters*> meters;
  std::map<uint64_t, uint64_t> recent;

  void call(uint64_t group, uint64_t times) {
    if (meters[group] == nullptr) meters[group] = &busy.others();
    meters[group]->commands += times;
    recent[group] += times;
  }
  void look() {
    std::vector<BusyGroups::Seen> seen;
    for (const auto& [group, calls] : recent) seen.push_back({group, calls});
    recent.clear();
    busy.look(std::move(seen),
              [this](uint64_t group, group::Meters& its) { meters[group] = &its; });
  }
  bool hasPlace(uint64_t group) const {
    for (const auto& place : busy.places()) {
      if (place.group == group) return true;
    }
    return false;
  }
};

}  // namespace

TEST_CASE("runtime/busy_groups: whoever is busy gets counters of its own, from then on") {
  Town town;
  town.call(1, 100);
  town.call(2, BusyGroups::kBusyMin - 1);
  town.look();
  CHECK(town.hasPlace(1));
  CHECK_FALSE(town.hasPlace(2));
  CHECK(town.busy.others().commands == 100 + BusyGroups::kBusyMin - 1);
  town.call(1, 7);
  CHECK(town.busy.places()[0].meters.commands == 7);
  CHECK(town.busy.all().commands == 107 + BusyGroups::kBusyMin - 1);
}

TEST_CASE("runtime/busy_groups: places are bounded, and a much busier group takes the quietest's") {
  Town town;
  for (uint64_t group = 1; group <= BusyGroups::kPlaces; ++group) town.call(group, 100 * group);
  town.look();
  for (uint64_t group = 1; group <= BusyGroups::kPlaces; ++group) town.call(group, 100 * group);
  town.call(99, 150);
  town.look();
  CHECK_FALSE(town.hasPlace(99));  // not twice as busy as group 1
  uint64_t before = town.busy.others().commands;
  for (uint64_t group = 1; group <= BusyGroups::kPlaces; ++group) town.call(group, 100 * group);
  town.call(99, 250);
  town.look();
  CHECK(town.hasPlace(99));
  CHECK_FALSE(town.hasPlace(1));
  town.call(1, 5);  // among the others again
  CHECK(town.busy.others().commands == before + 250 + 5);
  uint64_t sum = 0;
  for (uint64_t group = 1; group <= BusyGroups::kPlaces; ++group) sum += 300 * group;
  CHECK(town.busy.all().commands == sum + 150 + 250 + 5);
}

TEST_CASE(
    "runtime/busy_groups: a group that is gone leaves its place, and its calls stay counted") {
  Town town;
  town.call(1, 100);
  town.look();
  town.call(1, 10);
  town.busy.forget(1);
  CHECK_FALSE(town.hasPlace(1));
  CHECK(town.busy.all().commands == 110);
  town.busy.forget(1);
  CHECK(town.busy.all().commands == 110);
}

}  // namespace flotilla::runtime
