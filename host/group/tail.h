// The newest entries of a log, held in memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "host/base/fifo.h"
#include "host/base/prefetch.h"
#include "host/group/ports.h"
#include "host/raft/types.h"

namespace flotilla::group {

// What the tails of one loop's groups may hold together: each as much as it likes while there is
// room, and then an equal share, or kShareBytesMin where that is more.
//
// Owner:  whoever runs the groups; it outlives their tails.
// Thread: the loop's.
// Errors: none.
class TailRoom {
public:
  static constexpr uint64_t kBytesMax = 64 << 20;
  static constexpr uint64_t kShareBytesMin = 32 << 10;

  explicit TailRoom(uint64_t bytesMax = kBytesMax, uint64_t shareBytesMin = kShareBytesMin)
      : bytesMax_(bytesMax), shareBytesMin_(shareBytesMin) {}

  uint64_t bytes() const { return bytes_; }
  bool isFull() const { return bytes_ > bytesMax_; }
  uint64_t shareBytes() const {
    return std::max(bytesMax_ / std::max<uint64_t>(tails_, 1), shareBytesMin_);
  }

private:
  friend class Tail;

  uint64_t bytesMax_;
  uint64_t shareBytesMin_;
  uint64_t bytes_ = 0;
  uint64_t tails_ = 0;  // that hold anything
};

// Consecutive entries up to the log's last, as many as fit a bound of bytes: what appends and the
// applier are served from before the disk is asked.
//
// Owner:  Group.
// Thread: its owner's.
// Errors: none.
class Tail {
public:
  Tail(uint64_t bytesMax, TailRoom& room) : bytesMax_(bytesMax), room_(room) {}
  ~Tail() { forget(); }
  Tail(const Tail&) = delete;
  Tail& operator=(const Tail&) = delete;

  // Takes entries that replace whatever stands from the first on.
  void append(const std::vector<LogEntry>& entries, raft::Index wantedAbove);
  // Where there is no room for all, keeps its share, and beyond it only what is above
  // `wantedAbove`.
  void fit(raft::Index wantedAbove) {
    if (bytes_ > bytesMax_ || room_.isFull()) drop(wantedAbove);
  }
  void truncateAfter(raft::Index last);
  void clear();
  void forget();  // as clear, and gives the memory back

  // Null where it is not held.
  const LogEntry* find(raft::Index index) const;
  raft::Index firstIndex() const { return entries_.empty() ? 0 : entries_.front().index; }
  uint64_t bytes() const { return bytes_; }
  // The entries that a step is going to look at: those that follow, are applied or go next.
  void prefetch() const {
    constexpr size_t kNewest = 3;
    size_t count = entries_.size();
    for (size_t i = 1; i <= std::min(kNewest, count); ++i) base::prefetchLine(&entries_[count - i]);
    if (count > kNewest) base::prefetchLine(&entries_.front());
  }

private:
  void drop(raft::Index wantedAbove);
  void popFront();
  void popBack();
  void emptied();

  uint64_t bytesMax_;
  TailRoom& room_;
  bool joined_ = false;
  uint64_t bytes_ = 0;  // of payloads
  base::Fifo<LogEntry> entries_;
};

}  // namespace flotilla::group
