// Those who listen to simulated groups' events, at whichever replica is there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/base/prng.h"
#include "host/group/events.h"
#include "tests/sim/world.h"

namespace flotilla::sim {

// Each goes from replica to replica and begins where it left off at the last: it must hear each
// event of its topics once, in the order of the log, and nothing else; where some are gone, it must
// be told so.
//
// Owner:  a run of one seed; outlived by the World.
// Thread: one.
// Errors: the judge's verdict.
class EventListeners {
public:
  explicit EventListeners(World& world);
  void begin();
  // At rest: all members have all that was told.
  void judge();

private:
  static constexpr uint64_t kDice = 0xe1e2e3e4e5e6e7e8ULL;  // a world without alarms rolls none

  struct Listener {
    uint64_t group = 0;
    std::string prefix;
    group::Position after;
  };

  void againLater(size_t listener);
  bool hear(Listener& listener, SimLane& lane);
  group::Position forgottenAt(uint64_t group, group::Position last) const;

  World& world_;
  base::Prng dice_;
  std::vector<Listener> listeners_;
};

}  // namespace flotilla::sim
