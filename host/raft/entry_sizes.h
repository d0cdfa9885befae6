// How many bytes a log's recent entries have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "host/base/prefetch.h"
#include "host/raft/types.h"

namespace flotilla::raft {

// Sizes of a log's entries as running sums, so that any range's bytes are one subtraction. Of older
// entries, and of those read from disk, an average is all that is kept.
//
// Owner:  Core.
// Thread: its owner's.
// Errors: none.
class EntrySizes {
public:
  // The log ends at `last`, and each of its entries counts `average` bytes.
  void restart(Index last, uint64_t average);
  void add(uint64_t bytes);  // one entry more
  // Entries after `last` are gone.
  void truncateAfter(Index last);
  // Entries up to `index` may be forgotten, once they are many.
  void release(Index index);
  void forget();  // all of them, and the memory

  uint64_t between(Index after, Index last) const;  // bytes of (after, last]
  // The largest index in (after, last] with at most `bytesMax` after `after`; at least after + 1.
  Index lastWithin(Index after, Index last, uint64_t bytesMax) const;

  void prefetch() const {
    if (!sums_.empty()) base::prefetchLine(&sums_.back());
  }

private:
  void forgetFirst(size_t count);
  uint64_t sumAt(Index index) const;

  std::vector<uint64_t> sums_;  // up to and including each entry after after_
  Index after_ = 0;
  uint64_t before_ = 0;   // the sum at after_
  uint64_t average_ = 0;  // of entries up to after_
};

}  // namespace flotilla::raft
