// The newest entries of a log, held in memory.
#pragma once

#include <cstdint>
#include <vector>

#include "host/base/fifo.h"
#include "host/group/ports.h"
#include "host/raft/types.h"

namespace flotilla::group {

// Consecutive entries up to the log's last, as many as fit a bound of bytes: what appends and the
// applier are served from before the disk is asked.
//
// Owner:  Group.
// Thread: its owner's.
// Errors: none.
class Tail {
public:
  explicit Tail(uint64_t bytesMax) : bytesMax_(bytesMax) {}

  // Takes entries that replace whatever stands from the first on.
  void append(const std::vector<LogEntry>& entries);
  void truncateAfter(raft::Index last);
  void clear();
  void forget();  // as clear, and gives the memory back

  // Null where it is not held.
  const LogEntry* find(raft::Index index) const;
  raft::Index firstIndex() const { return entries_.empty() ? 0 : entries_.front().index; }
  uint64_t bytes() const { return bytes_; }
  void prefetch() const {
    if (!entries_.empty()) __builtin_prefetch(&entries_.back());
    if (!entries_.empty()) __builtin_prefetch(&entries_.front());
  }

private:
  uint64_t bytesMax_;
  uint64_t bytes_ = 0;
  base::Fifo<LogEntry> entries_;
};

}  // namespace flotilla::group
