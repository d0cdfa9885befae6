// The newest entries of a log, held in memory.
#include "host/group/tail.h"

namespace flotilla::group {

void Tail::append(const std::vector<LogEntry>& entries, raft::Index wantedAbove) {
  if (entries.empty()) return;
  raft::Index first = entries.front().index;
  truncateAfter(first - 1);
  if (!entries_.empty() && entries_.back().index + 1 != first) clear();
  uint64_t before = bytes_;
  for (const LogEntry& entry : entries) {
    bytes_ += entry.payload.size();
    entries_.push_back(entry);
  }
  room_.bytes_ += bytes_ - before;
  if (!joined_) ++room_.tails_;
  joined_ = true;
  fit(wantedAbove);
}

// The last one always stays.
void Tail::drop(raft::Index wantedAbove) {
  uint64_t share = std::min(bytesMax_, room_.isFull() ? room_.shareBytes() : bytesMax_);
  while (entries_.size() > 1) {
    bool wanted = entries_.front().index > wantedAbove;
    if (bytes_ <= (wanted ? bytesMax_ : share)) return;
    popFront();
  }
}

void Tail::truncateAfter(raft::Index last) {
  while (!entries_.empty() && entries_.back().index > last) popBack();
  if (entries_.empty()) emptied();
}

void Tail::popFront() {
  uint64_t size = entries_.front().payload.size();
  bytes_ -= size;
  room_.bytes_ -= size;
  entries_.pop_front();
}

void Tail::popBack() {
  uint64_t size = entries_.back().payload.size();
  bytes_ -= size;
  room_.bytes_ -= size;
  entries_.pop_back();
}

void Tail::clear() {
  entries_.clear();
  emptied();
}

void Tail::forget() {
  entries_ = {};
  emptied();
}

void Tail::emptied() {
  room_.bytes_ -= bytes_;
  bytes_ = 0;
  if (joined_) --room_.tails_;
  joined_ = false;
}

const LogEntry* Tail::find(raft::Index index) const {
  if (entries_.empty() || index < entries_.front().index || index > entries_.back().index) {
    return nullptr;
  }
  return &entries_[index - entries_.front().index];
}

}  // namespace flotilla::group
