// The newest entries of a log, held in memory.
#include "host/group/tail.h"

namespace flotilla::group {

void Tail::append(const std::vector<LogEntry>& entries) {
  if (entries.empty()) return;
  raft::Index first = entries.front().index;
  truncateAfter(first - 1);
  if (!entries_.empty() && entries_.back().index + 1 != first) clear();
  for (const LogEntry& entry : entries) {
    bytes_ += entry.payload.size();
    entries_.push_back(entry);
  }
  while (bytes_ > bytesMax_ && entries_.size() > 1) {
    bytes_ -= entries_.front().payload.size();
    entries_.pop_front();
  }
}

void Tail::truncateAfter(raft::Index last) {
  while (!entries_.empty() && entries_.back().index > last) {
    bytes_ -= entries_.back().payload.size();
    entries_.pop_back();
  }
}

void Tail::clear() {
  entries_.clear();
  bytes_ = 0;
}

void Tail::forget() {
  entries_ = {};
  bytes_ = 0;
}

const LogEntry* Tail::find(raft::Index index) const {
  if (entries_.empty() || index < entries_.front().index || index > entries_.back().index) {
    return nullptr;
  }
  return &entries_[index - entries_.front().index];
}

}  // namespace flotilla::group
