// How many bytes a leader's recent entries have.
#include "host/raft/entry_sizes.h"

#include <algorithm>

#include "host/base/assert.h"

namespace flotilla::raft {

namespace {
constexpr size_t kKept = 1024;  // known sizes that stay for peers that are a little behind
}

void EntrySizes::restart(Index after) {
  sums_.clear();
  after_ = after;
  before_ = 0;
}

void EntrySizes::add(uint64_t bytes) {
  sums_.push_back((sums_.empty() ? before_ : sums_.back()) + bytes);
}

void EntrySizes::release(Index index) {
  if (index <= after_ + 2 * kKept) return;
  // In bulk, so that forgetting costs each entry once.
  size_t count = std::min(static_cast<size_t>(index - after_ - kKept), sums_.size());
  before_ = sums_[count - 1];
  sums_.erase(sums_.begin(), sums_.begin() + static_cast<std::ptrdiff_t>(count));
  after_ += count;
}

uint64_t EntrySizes::sumAt(Index index) const {
  if (index <= after_) return before_;
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
  // The sum passes the limit somewhere in what is known.
  uint64_t limit = sumAt(after) + bytesMax;
  auto past = std::upper_bound(sums_.begin(), sums_.end(), limit);
  Index within = after_ + static_cast<Index>(past - sums_.begin());
  return std::clamp(within, after + 1, last);
}

}  // namespace flotilla::raft
