// How many bytes a log's recent entries have.
#include "host/raft/entry_sizes.h"

#include <algorithm>

#include "host/base/assert.h"

namespace flotilla::raft {

namespace {
constexpr size_t kKept = 1024;           // known sizes that stay for peers that are a little behind
constexpr Index kAveragedMax = 1 << 20;  // entries before them that count at all
}  // namespace

void EntrySizes::restart(Index last, uint64_t average) {
  sums_.clear();
  after_ = last;
  average_ = average;
  before_ = std::min(last, kAveragedMax) * average;
}

void EntrySizes::add(uint64_t bytes) {
  sums_.push_back((sums_.empty() ? before_ : sums_.back()) + bytes);
}

void EntrySizes::truncateAfter(Index last) {
  if (last <= after_) return restart(last, average_);
  if (last - after_ < sums_.size()) sums_.resize(last - after_);
}

void EntrySizes::release(Index index) {
  if (index <= after_ + 2 * kKept) return;
  // In bulk, so that forgetting costs each entry once.
  forgetFirst(std::min(static_cast<size_t>(index - after_ - kKept), sums_.size()));
}

void EntrySizes::forget() {
  forgetFirst(sums_.size());
  sums_.shrink_to_fit();
}

void EntrySizes::forgetFirst(size_t count) {
  if (count == 0) return;
  average_ = (sums_[count - 1] - before_) / count;
  before_ = sums_[count - 1];
  sums_.erase(sums_.begin(), sums_.begin() + static_cast<std::ptrdiff_t>(count));
  after_ += count;
}

uint64_t EntrySizes::sumAt(Index index) const {
  if (index <= after_) return before_ - std::min(before_, (after_ - index) * average_);
  ASSERT(index - after_ <= sums_.size());
  return sums_[index - after_ - 1];
}

uint64_t EntrySizes::between(Index after, Index last) const {
  ASSERT(after <= last);
  return sumAt(last) - sumAt(after);
}

Index EntrySizes::lastWithin(Index after, Index last, uint64_t bytesMax) const {
  ASSERT(after < last);
  if (between(after, last) <= bytesMax) return last;
  uint64_t limit = sumAt(after) + bytesMax;
  if (limit < before_) return std::clamp(after + bytesMax / average_, after + 1, last);
  // The sum passes the limit somewhere in what is known.
  auto past = std::upper_bound(sums_.begin(), sums_.end(), limit);
  return std::clamp(after_ + static_cast<Index>(past - sums_.begin()), after + 1, last);
}

}  // namespace flotilla::raft
