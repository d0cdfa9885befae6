// Copies what idle replicas still need out of the oldest generation, so that it can go.
#include "host/store/copy_forward.h"

#include <utility>

#include "host/store/log_reader.h"

namespace flotilla::store {

void CopyForward::plan() {
  if (active()) return;
  uint64_t limit = row_.oldestGenerationLimit();
  if (limit == 0) return;
  // What is mostly alive would fill the next generation, which would have it copied again, for
  // ever; but where they are far from full, as after many restarts, each time fewer are left.
  bool mostlyDead = 2 * index_.liveBytes() <= row_.bytes();
  bool farFromFull = 2 * row_.bytes() <= row_.generationCount() * row_.generationBytes();
  bool tooLarge = mostlyDead && row_.bytes() > bytesMax_;
  bool tooMany = (mostlyDead || farFromFull) && row_.generationCount() > kGenerationsMax;
  bool forLittle = row_.generationCount() > kGenerationsKept &&
                   index_.bytesUpTo(limit) <= row_.generationBytes() / kLittlePart;
  if (!tooLarge && !tooMany && !forLittle) return;
  limit_ = limit;
  for (group::ReplicaKey key : index_.needing(limit)) keys_.push_back(key);
}

void CopyForward::fill(FrameBuilder& frame, const Damaged& damaged) {
  runsRead_ = 0;
  while (!keys_.empty() && !turnIsOver(frame)) {
    if (!copyReplica(keys_.front(), frame, damaged)) break;
    keys_.pop_front();
  }
  bytesCopied_ += frame.bytes();
}

void CopyForward::release() {
  held_.clear();
  pinned_.clear();
}

bool CopyForward::turnIsOver(const FrameBuilder& frame) const {
  return frame.bytes() + gatheredBytes_ >= kTurnBytesMax || runsRead_ >= kTurnRunsMax;
}

// False where the turn ended first. Neighbours become one record, wherever they lay: a log that was
// written an entry a frame would else be copied by as many reads and records for ever.
bool CopyForward::copyReplica(group::ReplicaKey key, FrameBuilder& frame, const Damaged& damaged) {
  const ReplicaLog* log = index_.find(key);
  if (log == nullptr) return true;
  std::vector<IndexRun> old;  // of this turn, and one more where there is: then it ends before
  for (const IndexRun& run : log->runs) {
    if (run.frame > limit_) continue;
    old.push_back(run);
    if (old.size() > kTurnRunsMax) break;
  }
  raft::Index next = 0;
  for (const IndexRun& run : old) {
    bool over = turnIsOver(frame);
    if (over || run.first != next) endRecord(key, frame);
    if (over) return false;
    next = run.limit();
    if (readRun(key, run)) continue;
    index_.dropRun(key, run.first);
    damaged(key,
            Fault{ErrorCode::corrupt,
                  nameOf(key) + ": log: entries " + std::to_string(run.first) + ".." +
                      std::to_string(run.limit() - 1) + " in frame " + std::to_string(run.frame) +
                      " do not read back; the replica is stopped, others go on",
                  {}});
    next = 0;
  }
  endRecord(key, frame);
  if (log->stateFrame != 0 && log->stateFrame <= limit_) {
    bool lost = log->state.empty();
    frame.note(lost ? RecordKind::damaged : RecordKind::state, key,
               lost ? log->damage : log->state);
  }
  return true;
}

// Gathers a run's entries, or none of them.
bool CopyForward::readRun(group::ReplicaKey key, const IndexRun& run) {
  ++runsRead_;
  auto pinned = row_.read(run.frame);
  if (!pinned) return false;
  auto line = FrameView::lineAt(pinned->bytes(), run.record);
  if (!line || line->key != key || !line->hasEntries()) return false;
  RunView entries(*line, pinned->bytes().substr(line->offset, line->length));
  if (!entries.good()) return false;
  size_t before = gathered_.size();
  for (uint32_t i = 0; i < run.count; ++i) {
    auto entry = entries.entry(run.skipped + i);
    if (!entry) {
      gathered_.resize(before);
      return false;
    }
    held_.push_back({run.first + i, entry->term, Bytes(nullptr, entry->payload)});
    gathered_.push_back(&held_.back());
  }
  pinned_.push_back(std::move(*pinned));
  gatheredBytes_ += run.bytes;
  return true;
}

void CopyForward::endRecord(group::ReplicaKey key, FrameBuilder& frame) {
  if (!gathered_.empty()) frame.run(RecordKind::moved, key, std::exchange(gathered_, {}));
  gatheredBytes_ = 0;
}

}  // namespace flotilla::store
