// Latencies, counted.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace flotilla::bench {

// A log-linear histogram: each power of two is divided into 128 steps, so that a value is known to
// within 1 %, from 1 µs to an hour, in a fixed room.
//
// Owner:  whoever counts.
// Thread: its owner's.
// Errors: none; what is longer than kMax counts as kMax.
// Time:   microseconds.
class Histogram {
public:
  static constexpr uint64_t kMax = (uint64_t{1} << 32) - 1;

  void add(uint64_t us) {
    us = std::min(us, kMax);
    ++steps_[stepOf(us)];
    ++count_;
    max_ = std::max(max_, us);
  }
  void clear() { *this = Histogram{}; }

  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }
  // The value that a share of all values does not exceed, as the upper end of its step; 0 where
  // there are none.
  uint64_t percentile(double share) const {
    auto wanted = static_cast<uint64_t>(share * static_cast<double>(count_) + 0.999999);
    wanted = std::clamp<uint64_t>(wanted, 1, std::max<uint64_t>(count_, 1));
    uint64_t seen = 0;
    for (uint64_t step = 0; step < kSteps; ++step) {
      seen += steps_[step];
      if (seen >= wanted) return std::min(upperEndOf(step), max_);
    }
    return max_;
  }

private:
  static constexpr unsigned kBits = 7;  // steps a power of two
  static constexpr uint64_t kLinear = uint64_t{1} << kBits;
  static constexpr uint64_t kSteps = (32 - kBits + 1) * kLinear;

  static uint64_t stepOf(uint64_t us) {
    if (us < kLinear) return us;
    auto shift = static_cast<unsigned>(std::bit_width(us)) - kBits - 1;
    return (uint64_t{shift} + 1) * kLinear + (us >> shift) - kLinear;
  }
  static uint64_t upperEndOf(uint64_t step) {
    if (step < kLinear) return step;
    uint64_t shift = step / kLinear - 1;
    return ((step % kLinear + kLinear + 1) << shift) - 1;
  }

  std::array<uint64_t, kSteps> steps_{};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace flotilla::bench
