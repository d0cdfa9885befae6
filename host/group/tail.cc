// The newest entries of a log, held in memory.
#include "host/group/tail.h"

namespace flotilla::group {

void Tail::append(const std::vector<LogEntry>& entries, raft::Index wantedAbove) {
  if (entries.empty()) return;
  raft::Index first = entries.front().index;
  while (!entries_.empty() && entries_.back().index >= first) popBack();
  if (!entries_.empty() && entries_.back().index + 1 != first) clear();
  for (const LogEntry& entry : entries) {
    bytes_ += entry.payload.size();
    entries_.push_back(entry);
  }
  if (!joined_) room_.join();
  joined_ = true;
  fit(wantedAbove);
}

// The last one always stays.
void Tail::drop(raft::Index wantedAbove) {
  uint64_t share = std::min(bytesMax_, room_.shareBytes());
  while (entries_.size() > 1) {
    bool wanted = entries_.front().index > wantedAbove;
    if (bytes_ <= (wanted ? bytesMax_ : share)) return;
    bytes_ -= entries_.front().payload.size();
    entries_.pop_front();
  }
}

void Tail::truncateAfter(raft::Index last) {
  while (!entries_.empty() && entries_.back().index > last) popBack();
  if (entries_.empty()) leave();
}

void Tail::popBack() {
  bytes_ -= entries_.back().payload.size();
  entries_.pop_back();
}

void Tail::clear() {
  entries_.clear();
  bytes_ = 0;
  leave();
}

void Tail::forget() {
  entries_ = {};
  bytes_ = 0;
  leave();
}

void Tail::leave() {
  if (joined_) room_.leave();
  joined_ = false;
}

const LogEntry* Tail::find(raft::Index index) const {
  if (entries_.empty() || index < entries_.front().index || index > entries_.back().index) {
    return nullptr;
  }
  return &entries_[index - entries_.front().index];
}

}  // namespace flotilla::group
