// Counts of values by powers of two: a histogram that costs one addition a value.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace flotilla::base {

// Bucket 0 counts zeros, bucket n values of n bits; the last all that are longer.
//
// Owner:  whoever holds it.
// Thread: its owner's.
// Errors: none.
class Buckets {
public:
  static constexpr size_t kCount = 26;

  void add(uint64_t value) {
    ++counts_[std::min<size_t>(static_cast<size_t>(std::bit_width(value)), kCount - 1)];
    sum_ += value;
  }
  Buckets& operator+=(const Buckets& other) {
    for (size_t i = 0; i < kCount; ++i) counts_[i] += other.counts_[i];
    sum_ += other.sum_;
    return *this;
  }

  uint64_t at(size_t bucket) const { return counts_[bucket]; }
  uint64_t sum() const { return sum_; }
  // The largest value that the bucket counts; nothing bounds the last one.
  static constexpr uint64_t limitOf(size_t bucket) { return (uint64_t{1} << bucket) - 1; }

private:
  std::array<uint64_t, kCount> counts_{};
  uint64_t sum_ = 0;
};

}  // namespace flotilla::base
