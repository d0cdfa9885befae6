// Which of the places that a machine on disk has here a start goes on from.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "flotilla/result.h"
#include "host/raft/log_shape.h"
#include "host/raft/types.h"

namespace flotilla::group {

// Is shown them one by one, the newest first, until it has found the newest that the log goes on
// from. There is one, unless something was lost: then it is the newest of all, and the group says
// what is wrong. One beyond the log's end means a log that has lost what it promised.
//
// Owner:  a start of a replica; refers to the log's shape.
// Thread: any one.
// Errors: those it is shown: `damage`.
class PlaceSearch {
public:
  explicit PlaceSearch(const raft::LogShape& shape) : shape_(shape) {}

  // Where it stands, index 0: it was never finished. A fault: `unavailable` says the same, any
  // other that it cannot be read.
  void look(uint64_t generation, const Result<raft::LogPoint>& at);
  bool ended() const { return follows_; }

  std::optional<uint64_t> found() const { return found_; }
  raft::LogPoint at() const { return at_; }  // where it stands
  // What cannot be read while there is nothing better, and which one that is: the replica stops.
  const Fault* stops() const { return damage_ && at_.index < baseOr1() ? &*damage_ : nullptr; }
  uint64_t damaged() const { return damaged_; }
  // It cannot be read, and need not be.
  const Fault* passedOver() const { return damage_ && stops() == nullptr ? &*damage_ : nullptr; }
  // Which may go: nothing will ever go on from them.
  std::vector<uint64_t> useless() const { return follows_ ? useless_ : std::vector<uint64_t>(); }

private:
  raft::Index baseOr1() const { return std::max<raft::Index>(shape_.base().index, 1); }

  const raft::LogShape& shape_;
  bool follows_ = false;  // the log goes on from what was found
  std::optional<uint64_t> found_;
  raft::LogPoint at_;
  std::optional<Fault> damage_;  // the first
  uint64_t damaged_ = 0;
  std::vector<uint64_t> useless_;
};

// Whether a log goes on from there: it has the next entry, or will have, and no other one there.
bool follows(const raft::LogShape& shape, raft::LogPoint at);

}  // namespace flotilla::group
