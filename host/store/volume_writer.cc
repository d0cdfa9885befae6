// What a volume's thread does: makes frames, answers fetches, closes and opens with the disk's
// space.
#include "host/store/volume_writer.h"

#include <algorithm>
#include <chrono>
#include <variant>

#include "host/base/assert.h"
#include "host/base/log.h"
#include "host/store/files.h"
#include "host/store/state_record.h"

namespace flotilla::store {

namespace {

constexpr uint64_t kReserveBytes = 8ULL
                                   << 20;  // free beside the ballast before a full volume reopens

int64_t monotonicUs() {
  auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(since).count();
}

}  // namespace

VolumeWriter::VolumeWriter(VolumeOptions options, VolumeEvents& events)
    : options_(std::move(options)),
      events_(events),
      who_("volume " + options_.name),
      ballast_(options_.path + "/ballast", options_.ballastBytes) {}

Result<std::unique_ptr<VolumeWriter>> VolumeWriter::open(VolumeOptions options,
                                                         VolumeEvents& events,
                                                         std::vector<RecoveredReplica>& recovered) {
  std::unique_ptr<VolumeWriter> writer(new VolumeWriter(std::move(options), events));
  if (auto opened = writer->openRow(recovered); !opened) return opened.fault();
  return writer;
}

Result<void> VolumeWriter::openRow(std::vector<RecoveredReplica>& recovered) {
  FrameRow::Options how{who_,
                        options_.path,
                        options_.generationBytes,
                        options_.env,
                        options_.writeBufferBytes,
                        options_.layOutJournals};
  std::vector<std::pair<uint64_t, uint32_t>> bad;  // frame and record
  auto visit = [&](const FrameView& frame) {
    for (uint32_t i = 0; i < frame.records().size(); ++i) {
      const Record& line = frame.records()[i];
      bool intact = frame.intact(line);
      if (line.hasEntries()) {
        if (!intact) bad.emplace_back(frame.head().number, i);
        index_.apply(frame.head().number, line, i, {});
      } else if (intact) {
        index_.apply(frame.head().number, line, i, frame.body(line));
      } else {
        index_.damageState(
            frame.head().number, line.key,
            "its state in frame " + std::to_string(frame.head().number) + " fails its checksum");
      }
    }
  };
  auto row = options_.create ? FrameRow::create(how) : FrameRow::open(how, visit);
  if (!row) return row.fault();
  row_ = std::move(*row);
  reader_ = std::make_unique<LogReader>(*row_, index_);
  copy_ = std::make_unique<CopyForward>(*row_, index_, options_.generationsBytesMax);
  judge(bad, recovered);
  auto prepared = row_->prepare();
  if (!prepared && prepared.fault().code == ErrorCode::diskFull) {
    if (auto released = ballast_.release(); !released) return released;
    prepared = row_->prepare();
    if (!prepared && prepared.fault().code == ErrorCode::diskFull) {
      state_ = VolumeState::full;
      return {};
    }
  }
  if (!prepared) return prepared;
  auto held = ballast_.hold();
  if (!held && held.fault().code != ErrorCode::diskFull) return held;
  if (!held) base::logWarn(said(held.fault()) + "; going on without ballast");
  return {};
}

// What a replica's records amount to: its state, and why it may not take part.
void VolumeWriter::judge(const std::vector<std::pair<uint64_t, uint32_t>>& bad,
                         std::vector<RecoveredReplica>& recovered) const {
  for (const auto& [key, log] : index_.replicas()) {
    RecoveredReplica replica{.key = key, .state = {}, .fault = {}, .logBytes = log.bytes};
    std::string why;
    auto state = decodeState(log.state);
    if (state) {
      replica.state = std::move(*state);
      raft::Index first = replica.state.shape.firstIndex();
      raft::Index last = replica.state.shape.lastIndex();
      if (!log.covers(first, last)) {
        why = "entries of " + std::to_string(first) + ".." + std::to_string(last) + " are missing";
      }
    } else {
      why = log.damage.empty() ? "its state makes no sense" : log.damage;
    }
    for (const IndexRun& run : log.runs) {
      if (!std::binary_search(bad.begin(), bad.end(), std::pair(run.frame, run.record))) continue;
      why = "entries of " + std::to_string(run.first) + ".." + std::to_string(run.limit() - 1) +
            " in frame " + std::to_string(run.frame) + " fail their checksum";
    }
    if (!why.empty()) {
      replica.fault =
          Fault{ErrorCode::corrupt,
                nameOf(key) + ": log: " + why + "; the replica is stopped, others go on",
                {}};
    }
    recovered.push_back(std::move(replica));
  }
}

void VolumeWriter::begin() {
  if (state_ == VolumeState::full) events_.full();
  if (state_ == VolumeState::open) tidy();
}

void VolumeWriter::take(VolumeItem item) {
  if (std::holds_alternative<group::DiskFetch>(item.what)) {
    fetches_.push_back(std::move(item));
  } else {
    waitingBytes_ += item.bytes;
    waiting_.push_back(std::move(item));
  }
}

bool VolumeWriter::wantsTurn() const {
  if (!fetches_.empty()) return true;
  if (state_ == VolumeState::failed) return !waiting_.empty();
  return wantsFrame();
}

bool VolumeWriter::wantsFrame() const {
  if (state_ == VolumeState::full) return spendsBallast_ && !waiting_.empty();
  return state_ == VolumeState::open && (!waiting_.empty() || copy_->active());
}

uint64_t VolumeWriter::turn() {
  uint64_t done = 0;
  if (wantsFrame()) done = writeFrame();
  if (state_ == VolumeState::failed) done += giveUpWaiting();
  answerFetches();
  return done;
}

void VolumeWriter::endRun(FrameBuilder& frame, group::ReplicaKey key, Part& part) {
  if (!part.run.empty()) frame.run(RecordKind::run, key, std::move(part.run));
  part.run.clear();
}

void VolumeWriter::addWrite(FrameBuilder& frame, group::ReplicaKey key,
                            const group::DiskWrite& write) {
  auto [found, fresh] = parts_.try_emplace(key);
  if (fresh) partOrder_.push_back(key);
  Part& part = found->second;
  part.newest = &write;
  part.persisted = write.id;
  if (write.reset) {
    endRun(frame, key, part);
    frame.note(RecordKind::reset, key, {});
  }
  for (const group::LogEntry& entry : write.entries) {
    if (!part.run.empty() && part.run.back()->index + 1 != entry.index) endRun(frame, key, part);
    part.run.push_back(&entry);
  }
}

// Adds what waits, in order, as much as a frame takes. Answers how many items that is.
size_t VolumeWriter::gather(FrameBuilder& frame) {
  parts_.clear();
  partOrder_.clear();
  size_t items = 0;
  uint64_t bytes = 0;
  for (const VolumeItem& item : waiting_) {
    if (items > 0 && bytes + item.bytes > kFrameBytesMax) break;
    bytes += item.bytes;
    ++items;
    if (const auto* write = std::get_if<group::DiskWrite>(&item.what)) {
      addWrite(frame, item.key, *write);
      continue;
    }
    auto part = parts_.find(item.key);
    if (part != parts_.end()) {
      endRun(frame, item.key, part->second);
      part->second.newest = nullptr;
    }
    frame.note(RecordKind::forget, item.key, {});
  }
  for (group::ReplicaKey key : partOrder_) {
    Part& part = parts_[key];
    endRun(frame, key, part);
    if (part.newest != nullptr) frame.note(RecordKind::state, key, encodeState(part.newest->state));
  }
  return items;
}

uint64_t VolumeWriter::writeFrame() {
  FrameBuilder& frame = frame_;
  frame.clear();
  if (copy_->active() && state_ == VolumeState::open) {
    copy_->fill(frame,
                [this](group::ReplicaKey key, const Fault& fault) { events_.damaged(key, fault); });
  }
  size_t items = gather(frame);
  if (frame.empty()) {  // all that was to be copied is dead by now
    tidy();
    return 0;
  }
  uint64_t frameBytes = frame.bytes();
  int64_t began = monotonicUs();
  auto wrote = row_->append(frame);
  int64_t took = monotonicUs() - began;
  copy_->release();
  if (!wrote && wrote.fault().code == ErrorCode::diskFull) {
    base::logWarn(said(wrote.fault()) + "; read-only until there is room");
    if (state_ == VolumeState::open) {
      close();
    } else {
      spendsBallast_ = false;
    }
    return 0;
  }
  if (!wrote) {
    fail(wrote.fault());
    return 0;
  }
  counts_.frames += 1;
  counts_.syncs += 1;
  counts_.bytesWritten += frameBytes;
  counts_.syncUs.add(static_cast<uint64_t>(took));
  counts_.frameGroups.add(partOrder_.size());
  settle(frame);
  uint64_t done = 0;
  for (size_t i = 0; i < items; ++i) done += waiting_[i].bytes;
  report(items);
  waitingBytes_ -= done;
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(items));
  if (row_->newestGeneration() != generationSeen_ || !copy_->active()) tidy();
  return done;
}

// The frame is safe: its records are where entries and states are read from now.
void VolumeWriter::settle(FrameBuilder& frame) {
  for (uint32_t i = 0; i < frame.records().size(); ++i) {
    index_.apply(row_->lastFrame(), frame.records()[i], i, frame.noteBody(i));
  }
}

void VolumeWriter::report(size_t items) {
  std::vector<std::pair<group::ReplicaKey, raft::WriteId>> persisted;
  persisted.reserve(partOrder_.size());
  for (group::ReplicaKey key : partOrder_) persisted.emplace_back(key, parts_[key].persisted);
  if (!persisted.empty()) events_.persisted(persisted);
  for (size_t i = 0; i < items; ++i) {
    if (std::holds_alternative<Forget>(waiting_[i].what)) events_.forgotten(waiting_[i].key);
  }
}

// Much of what lived has died since the last look, as when a large log was compacted.
bool VolumeWriter::shrank() {
  liveMost_ = std::max(liveMost_, index_.liveBytes());
  return liveMost_ - index_.liveBytes() >= row_->generationBytes() / 4;
}

// After a generation began or was emptied, or logs have shrunk: lets old ones go, and looks whether
// one is to be emptied.
void VolumeWriter::tidy() {
  if (copy_->active() || (row_->newestGeneration() == generationSeen_ && !shrank())) return;
  bool begun = row_->newestGeneration() != generationSeen_;
  auto dropped = row_->dropBelow(index_.oldestFrame());
  if (!dropped && dropped.fault().code != ErrorCode::diskFull) return fail(dropped.fault());
  if (begun) askForRoom();
  copy_->plan();
  if (copy_->active()) return;  // looked at again once it is emptied
  generationSeen_ = row_->newestGeneration();
  liveMost_ = index_.liveBytes();
  if (auto left = freeBytes(); left) counts_.freeBytes = *left;
}

// Generations go once nothing in them lives, and what lives only groups can end. Those that hold
// more than an equal share of a quarter of the row are asked to; the rest may be copied forward.
void VolumeWriter::askForRoom() {
  if (index_.liveBytes() <= options_.generationsBytesMax / 4 * 3) return;
  uint64_t share = options_.generationsBytesMax / 4 / index_.replicas().size();
  std::vector<group::ReplicaKey> large;
  for (const auto& [key, log] : index_.replicas()) {
    if (log.bytes > share) large.push_back(key);
  }
  events_.crowded(large);
}

void VolumeWriter::answerFetches() {
  while (!fetches_.empty()) {
    VolumeItem item = std::move(fetches_.front());
    fetches_.pop_front();
    const auto& fetch = std::get<group::DiskFetch>(item.what);
    auto entries = reader_->read(item.key, fetch, waiting_);
    bool corrupt = !entries && entries.fault().code == ErrorCode::corrupt;
    std::optional<Fault> fault;
    if (corrupt) fault = entries.fault();
    events_.fetched(item.key, group::Fetched{fetch.id, std::move(entries)});
    if (fault) events_.damaged(item.key, *fault);
  }
}

// What waits was taken before anybody knew: it goes where the ballast was, and after it the little
// that groups still want kept, as votes, until that is used up too. A leader whose last entries a
// quorum has and its own log has not could answer no query.
void VolumeWriter::close() {
  state_ = VolumeState::full;
  row_->giveSparesUp();
  auto released = ballast_.release();
  if (!released) return fail(released.fault());
  spendsBallast_ = ballast_.bytes() != 0;
  if (auto left = freeBytes(); left) counts_.freeBytes = *left;
  events_.full();
}

void VolumeWriter::tryReopen() {
  ASSERT(state_ == VolumeState::full);
  auto left = freeBytes();
  if (!left) return fail(left.fault());
  counts_.freeBytes = *left;
  if (*left < ballast_.bytes() + kReserveBytes + 2 * waitingBytes_) return;
  auto ready = ballast_.hold();
  if (ready) ready = row_->prepare();
  if (!ready && ready.fault().code == ErrorCode::diskFull) {
    ready = ballast_.release();
    if (!ready) fail(ready.fault());
    return;
  }
  if (!ready) return fail(ready.fault());
  state_ = VolumeState::open;
  base::logInfo(who_ + ": there is room again, free=" + std::to_string(*left));
  events_.reopened();
  tidy();
}

// A fault's text, beginning with the volume's name.
std::string VolumeWriter::said(const Fault& fault) const {
  bool named = fault.text.compare(0, who_.size(), who_) == 0;
  return named ? fault.text : who_ + ": " + fault.text;
}

void VolumeWriter::fail(const Fault& fault) {
  if (state_ == VolumeState::failed) return;
  state_ = VolumeState::failed;
  fault_ = fault;
  fault_.text = said(fault);
  base::logError(said(fault) + "; nothing is written any more, the host stops");
  events_.failed(fault_);
}

// After a failure nothing that waits is ever acknowledged.
uint64_t VolumeWriter::giveUpWaiting() {
  uint64_t done = waitingBytes_;
  waiting_.clear();
  waitingBytes_ = 0;
  return done;
}

void VolumeWriter::end() {
  if (state_ == VolumeState::failed) return;
  if (auto synced = row_->syncMark(); !synced) base::logWarn(said(synced.fault()));
}

Result<uint64_t> VolumeWriter::freeBytes() const {
  return options_.freeBytes ? options_.freeBytes(options_.path) : store::freeBytes(options_.path);
}

VolumeStatus VolumeWriter::status() const {
  VolumeStatus status = counts_;
  status.state = state_;
  status.bytes = row_->bytes();
  status.liveBytes = index_.liveBytes();
  status.generations = row_->generationCount();
  status.replicas = index_.replicas().size();
  status.bytesCopied = copy_->bytesCopied();
  status.fault = fault_.text;
  return status;
}

}  // namespace flotilla::store
