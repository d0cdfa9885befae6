// The newest entries of a log, held in memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "host/base/fifo.h"
#include "host/group/ports.h"
#include "host/raft/types.h"

namespace flotilla::group {

// What the tails of one loop's groups may hold together: each an equal share, so that memory does
// not grow with the groups that are written.
//
// Owner:  whoever runs the groups; it outlives their tails.
// Thread: the loop's.
// Errors: none.
class TailRoom {
public:
  static constexpr uint64_t kBytesMax = 64 << 20;
  static constexpr uint64_t kShareBytesMin = 32 << 10;

  explicit TailRoom(uint64_t bytesMax = kBytesMax, uint64_t shareBytesMin = kShareBytesMin)
      : bytesMax_(bytesMax), shareBytesMin_(shareBytesMin), shareBytes_(bytesMax) {}

  uint64_t shareBytes() const { return shareBytes_; }
  void join() { divideBy(++tails_); }
  void leave() { divideBy(--tails_); }

private:
  void divideBy(uint64_t tails) {
    shareBytes_ = std::max(bytesMax_ / std::max<uint64_t>(tails, 1), shareBytesMin_);
  }

  uint64_t bytesMax_;
  uint64_t shareBytesMin_;
  uint64_t shareBytes_;
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
  // Keeps its share of the room, and beyond it only what is above `wantedAbove`.
  void fit(raft::Index wantedAbove) {
    if (bytes_ > std::min(bytesMax_, room_.shareBytes())) drop(wantedAbove);
  }
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
  void drop(raft::Index wantedAbove);
  void popBack();
  void leave();

  uint64_t bytesMax_;
  TailRoom& room_;
  bool joined_ = false;
  uint64_t bytes_ = 0;
  base::Fifo<LogEntry> entries_;
};

}  // namespace flotilla::group
