// Copies what idle replicas still need out of the oldest generation, so that it can go.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "host/store/frame_row.h"
#include "host/store/replica_index.h"

namespace flotilla::store {

// Live generations stay bounded: above a limit the oldest is emptied forward, a piece a frame,
// beside the writes of the moment. It is done only while at most half of what lies there is alive,
// so each byte is copied about once, or where many generations are far from full. Where more is
// alive, groups must compact their logs first: see VolumeEvents::crowded.
//
// Owner:  VolumeWriter; refers to its row and index.
// Thread: the volume's.
// Errors: entries that do not read back are reported, and dropped from the index.
class CopyForward {
public:
  static constexpr uint64_t kTurnBytesMax = 1ULL << 20;
  static constexpr uint64_t kTurnRunsMax = 256;    // each is a read
  static constexpr uint64_t kGenerationsMax = 24;  // each restart begins one, however small
  // Beyond so many an old one is not kept, in memory, for the sake of little: an eighth of one.
  static constexpr uint64_t kGenerationsKept = 2;
  static constexpr uint64_t kLittlePart = 8;

  using Damaged = std::function<void(group::ReplicaKey, Fault)>;
  CopyForward(const FrameRow& row, ReplicaIndex& index, uint64_t bytesMax)
      : row_(row), index_(index), bytesMax_(bytesMax) {}

  // After a generation began: is one to be emptied?
  void plan();
  bool active() const { return !keys_.empty(); }
  // Adds the next piece, to be called before anything else is added to the frame.
  void fill(FrameBuilder& frame, const Damaged& damaged);
  // The frame was written, or given up: what fill held for it may go.
  void release();
  uint64_t bytesCopied() const { return bytesCopied_; }

private:
  bool copyReplica(group::ReplicaKey key, FrameBuilder& frame, const Damaged& damaged);
  bool turnIsOver(const FrameBuilder& frame) const;
  bool readRun(group::ReplicaKey key, const IndexRun& run);
  void endRecord(group::ReplicaKey key, FrameBuilder& frame);

  const FrameRow& row_;
  ReplicaIndex& index_;
  uint64_t bytesMax_;
  uint64_t limit_ = 0;                            // frames up to here are to be left
  std::deque<group::ReplicaKey> keys_;            // still to be looked at
  std::deque<group::LogEntry> held_;              // entries of this turn
  std::vector<const group::LogEntry*> gathered_;  // of the record that is being made
  uint64_t gatheredBytes_ = 0;
  uint64_t runsRead_ = 0;            // in this turn
  std::vector<PinnedFrame> pinned_;  // and the frames they lie in
  uint64_t bytesCopied_ = 0;
};

}  // namespace flotilla::store
