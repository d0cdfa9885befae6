// Those who set alarms in simulated groups, and hear whether that went well.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "host/base/prng.h"
#include "tests/sim/kv_calls.h"
#include "tests/sim/world.h"

namespace flotilla::sim {

// Each alarm is asked for once, without a stamp: it is set, or is not, or nobody knows; if it is,
// it must ring. None is set in the calm, and all that were are to ring then.
//
// Owner:  a run of one seed; outlived by the World.
// Thread: one.
// Errors: the judge's verdict.
class AlarmSetters {
public:
  explicit AlarmSetters(World& world) : world_(world), dice_(world.options.seed ^ kDice) {}
  void begin();
  // All that was refused for good, at the end.
  void judge();

private:
  static constexpr uint64_t kDice = 0xa1a2a3a4a5a6a7a8ULL;  // a world without alarms rolls none

  void againLater(uint64_t group);
  void set(uint64_t group);
  AlarmCommand drawAlarm();
  void answered(uint64_t group, const AlarmCommand& alarm, const group::Outcome& outcome);

  World& world_;
  base::Prng dice_;
  uint64_t lastAlarm_ = 0;
  std::vector<std::pair<uint64_t, uint64_t>> refused_;  // group, alarm
};

}  // namespace flotilla::sim
