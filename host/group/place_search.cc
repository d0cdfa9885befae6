// Which of the places that a machine on disk has here a start goes on from.
#include "host/group/place_search.h"

namespace flotilla::group {

bool follows(const raft::LogShape& shape, raft::LogPoint at) {
  return at.index != 0 && at.index >= shape.base().index && shape.termAt(at.index) == at.term;
}

void PlaceSearch::look(uint64_t generation, const Result<raft::LogPoint>& at) {
  bool whole = at.ok() && at->index != 0;
  if (!at && at.fault().code != ErrorCode::unavailable && !damage_) {
    damage_ = at.fault();
    damaged_ = generation;
  }
  follows_ = whole && follows(shape_, *at);
  if (!whole || (found_ && !follows_)) {
    useless_.push_back(generation);
    return;
  }
  if (found_) useless_.push_back(*found_);
  found_ = generation;
  at_ = *at;
}

}  // namespace flotilla::group
