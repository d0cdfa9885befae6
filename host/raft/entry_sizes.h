// How many bytes a leader's recent entries have.
#pragma once

#include <cstdint>
#include <vector>

#include "host/raft/types.h"

namespace flotilla::raft {

// Sizes of the entries a leader has appended itself, as running sums, so that any range's bytes
// are one subtraction. Entries it does not know, older ones, count nothing.
//
// Owner:  Core.
// Thread: its owner's.
// Errors: none.
class EntrySizes {
public:
  void restart(Index after);  // forgets all; the next entry is after + 1
  void add(uint64_t bytes);
  // Entries up to `index` may be forgotten, once they are many.
  void release(Index index);

  uint64_t between(Index after, Index last) const;  // bytes of (after, last]
  // The largest index in (after, last] with at most `bytesMax` after `after`; at least after + 1.
  Index lastWithin(Index after, Index last, uint64_t bytesMax) const;

private:
  uint64_t sumAt(Index index) const;

  std::vector<uint64_t> sums_;  // up to and including each entry after after_
  Index after_ = 0;
  uint64_t before_ = 0;  // the sum at after_
};

}  // namespace flotilla::raft
