// A host's clocks in a simulated world.
#pragma once

#include <cstdint>

#include "host/group/ports.h"
#include "tests/sim/events.h"

namespace flotilla::sim {

// The monotonic clock runs at a rate of its own and never goes back; the wall clock may be set.
//
// Owner:  Host.
// Thread: one.
// Errors: none.
// Time:   microseconds.
class SimClock final : public group::Clock {
public:
  SimClock(const Events& events, uint32_t ratePermille, int64_t wallUs)
      : events_(events), rate_(ratePermille), wallAheadUs_(wallUs) {}

  int64_t monotonicUs() const override {
    return baseUs_ + (events_.nowUs() - since_) * rate_ / 1000;
  }
  int64_t wallUs() const override { return monotonicUs() + wallAheadUs_; }

  // How long the world takes for so long on this clock.
  int64_t worldUs(int64_t us) const { return us * 1000 / rate_; }
  void runAt(uint32_t ratePermille) {
    baseUs_ = monotonicUs();
    since_ = events_.nowUs();
    rate_ = ratePermille;
  }
  void setWall(int64_t byUs) { wallAheadUs_ += byUs; }

private:
  const Events& events_;
  int64_t rate_;
  int64_t wallAheadUs_;
  int64_t baseUs_ = 0;
  int64_t since_ = 0;
};

}  // namespace flotilla::sim
