// What a volume's thread does: makes frames, answers fetches, closes and opens with the disk's
// space.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "host/store/ballast.h"
#include "host/store/copy_forward.h"
#include "host/store/frame.h"
#include "host/store/frame_row.h"
#include "host/store/log_reader.h"
#include "host/store/log_volume.h"
#include "host/store/replica_index.h"

namespace flotilla::store {

// LogVolume without its queue and thread.
//
// Owner:  LogVolume; refers to its events.
// Thread: the volume's; before start() the opener's.
// Errors: by VolumeEvents.
class VolumeWriter {
public:
  // Writes beyond this wait for the next frame.
  static constexpr uint64_t kFrameBytesMax = 16ULL << 20;

  static Result<std::unique_ptr<VolumeWriter>> open(VolumeOptions options, VolumeEvents& events,
                                                    std::vector<RecoveredReplica>& recovered);

  // Says full() where open already found no space.
  void begin();
  void take(VolumeItem item);
  // One frame of what waits, and all fetches. Answers how many queued bytes are done with.
  uint64_t turn();
  bool wantsTurn() const;
  // While full: looks for room, and opens again where there is.
  void tryReopen();
  void end();

  VolumeState state() const { return state_; }
  VolumeStatus status() const;

private:
  VolumeWriter(VolumeOptions options, VolumeEvents& events);
  Result<void> openRow(std::vector<RecoveredReplica>& recovered);
  void judge(const std::vector<std::pair<uint64_t, uint32_t>>& bad,
             std::vector<RecoveredReplica>& recovered) const;
  bool wantsFrame() const;
  uint64_t writeFrame();
  size_t gather(FrameBuilder& frame);
  void settle(FrameBuilder& frame);
  void report(size_t items);
  bool shrank();
  void tidy();
  void askForRoom();
  void answerFetches();
  void close();
  void fail(const Fault& fault);
  std::string said(const Fault& fault) const;
  uint64_t giveUpWaiting();
  Result<uint64_t> freeBytes() const;

  struct KeyHash {
    size_t operator()(const group::ReplicaKey& key) const {
      return std::hash<uint64_t>()(key.group * 0x9e3779b97f4a7c15ULL + key.replica);
    }
  };
  // A replica's part of the frame that is being made.
  struct Part {
    const group::DiskWrite* newest = nullptr;  // its state goes into the frame
    std::vector<const group::LogEntry*> run;   // neighbours, of one or more writes
    raft::WriteId persisted = 0;
  };
  void addWrite(FrameBuilder& frame, group::ReplicaKey key, const group::DiskWrite& write);
  void endRun(FrameBuilder& frame, group::ReplicaKey key, Part& part);

  VolumeOptions options_;
  VolumeEvents& events_;
  std::string who_;
  Ballast ballast_;
  ReplicaIndex index_;
  std::unique_ptr<FrameRow> row_;
  std::unique_ptr<LogReader> reader_;
  std::unique_ptr<CopyForward> copy_;
  std::deque<VolumeItem> waiting_;  // writes and forgets, in order
  uint64_t waitingBytes_ = 0;
  std::deque<VolumeItem> fetches_;
  std::unordered_map<group::ReplicaKey, Part, KeyHash> parts_;
  std::vector<group::ReplicaKey> partOrder_;
  FrameBuilder frame_;  // of one turn, kept for its room
  VolumeState state_ = VolumeState::open;
  bool spendsBallast_ = false;  // while full: the room it gave up has not been used up yet
  Fault fault_;
  uint64_t generationSeen_ = 0;
  uint64_t liveMost_ = 0;  // since tidy last looked
  VolumeStatus counts_;
};

}  // namespace flotilla::store
