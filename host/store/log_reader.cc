// Reads entries back, from frames on disk and from writes that still wait.
#include "host/store/log_reader.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "host/store/state_record.h"

namespace flotilla::store {

namespace {

constexpr uint64_t kFetchBytesMax = 64ULL << 20;
constexpr size_t kFetchEntriesMax = 65536;

// A replica's entries among the writes that still wait, and up to where the disk is still right.
struct Overlay {
  std::map<raft::Index, const group::LogEntry*> entries;
  raft::Index diskLimit = std::numeric_limits<raft::Index>::max();
};

Overlay overlayOf(group::ReplicaKey key, const std::deque<VolumeItem>& waiting) {
  Overlay overlay;
  for (const VolumeItem& item : waiting) {
    const auto* write = std::get_if<group::DiskWrite>(&item.what);
    if (write == nullptr || item.key != key) continue;
    if (write->reset) {
      overlay.entries.clear();
      overlay.diskLimit = 0;
    }
    if (write->entries.empty()) continue;
    raft::Index first = write->entries.front().index;
    overlay.diskLimit = std::min(overlay.diskLimit, first);
    overlay.entries.erase(overlay.entries.lower_bound(first), overlay.entries.end());
    for (const group::LogEntry& entry : write->entries) overlay.entries[entry.index] = &entry;
  }
  return overlay;
}

// Walks a replica's runs on disk in order, holding one frame at a time.
class DiskWalk {
public:
  DiskWalk(const FrameRow& row, group::ReplicaKey key) : row_(row), key_(key) {}

  Result<RunEntry> entry(const IndexRun& run, raft::Index index) {
    if (auto ready = stand(run); !ready) return ready.fault();
    auto entry = run_->entry(static_cast<uint32_t>(index - run.first) + run.skipped);
    if (!entry) return damage(index, "fails its checksum", run.frame);
    return *entry;
  }

private:
  Result<void> stand(const IndexRun& run) {
    if (run_ && frame_ == run.frame && record_ == run.record) return {};
    run_.reset();
    if (pinned_.empty() || frame_ != run.frame) {
      auto pinned = row_.read(run.frame);
      if (!pinned) return damage(run.first, pinned.fault().text, run.frame);
      pinned_.push_back(std::move(*pinned));
      frame_ = run.frame;
    }
    std::string_view bytes = pinned_.back().bytes();
    auto line = FrameView::lineAt(bytes, run.record);
    if (!line || line->key != key_ || !line->hasEntries()) {
      return damage(run.first, "its line of the directory is damaged", frame_);
    }
    run_.emplace(*line, bytes.substr(line->offset, line->length));
    record_ = run.record;
    if (!run_->good()) {
      run_.reset();
      return damage(run.first, "its run's table fails its checksum", frame_);
    }
    return {};
  }

  Fault damage(raft::Index index, const std::string& what, uint64_t frame) const {
    return Fault{ErrorCode::corrupt,
                 nameOf(key_) + ": log: entry " + std::to_string(index) + " in frame " +
                     std::to_string(frame) + ": " + what + "; the replica is stopped, others go on",
                 {}};
  }

  const FrameRow& row_;
  group::ReplicaKey key_;
  std::vector<PinnedFrame> pinned_;  // what entries were given out of
  std::optional<RunView> run_;
  uint64_t frame_ = 0;
  uint32_t record_ = 0;
};

// Copies payloads into one buffer, aligned for words.
std::vector<group::LogEntry> gather(const std::vector<std::pair<raft::Index, RunEntry>>& found) {
  auto aligned = [](size_t size) { return (size + 7) & ~size_t{7}; };
  size_t total = 0;
  for (const auto& [index, entry] : found) total += aligned(entry.payload.size());
  std::shared_ptr<char[]> buffer = Bytes::allocate(total);
  char* to = buffer.get();
  std::vector<group::LogEntry> entries;
  entries.reserve(found.size());
  for (const auto& [index, entry] : found) {
    if (!entry.payload.empty()) std::memcpy(to, entry.payload.data(), entry.payload.size());
    entries.push_back({index, entry.term, Bytes(buffer, {to, entry.payload.size()})});
    to += aligned(entry.payload.size());
  }
  return entries;
}

}  // namespace

std::string nameOf(group::ReplicaKey key) {
  return "group " + std::to_string(key.group) + " replica " + std::to_string(key.replica);
}

Result<std::vector<group::LogEntry>> LogReader::read(group::ReplicaKey key,
                                                     const group::DiskFetch& fetch,
                                                     const std::deque<VolumeItem>& waiting) const {
  Overlay overlay = overlayOf(key, waiting);
  const ReplicaLog* log = index_.find(key);
  DiskWalk walk(row_, key);
  std::vector<std::pair<raft::Index, RunEntry>> found;
  uint64_t bytes = 0;
  uint64_t bytesMax = std::min(fetch.bytesMax, kFetchBytesMax);
  auto more = [&](size_t count) { return count == 0 || bytes < bytesMax; };
  raft::Index index = fetch.after + 1;
  for (; index <= fetch.last && index < overlay.diskLimit && more(found.size()); ++index) {
    const IndexRun* run = log == nullptr ? nullptr : log->find(index);
    if (run == nullptr || found.size() == kFetchEntriesMax) break;
    auto entry = walk.entry(*run, index);
    if (!entry && found.empty()) return entry.fault();
    if (!entry) break;  // what is good before it is given now, the damage with the next fetch
    bytes += entry->payload.size();
    found.emplace_back(index, *entry);
  }
  std::vector<group::LogEntry> entries = gather(found);
  for (; index <= fetch.last && more(entries.size()); ++index) {
    auto entry = overlay.entries.find(index);
    if (entry == overlay.entries.end()) break;
    entries.push_back(*entry->second);
    bytes += entry->second->payload.size();
  }
  if (!entries.empty() || fetch.after >= fetch.last) return entries;
  auto bounds = log == nullptr ? std::nullopt : boundsOf(log->state);
  bool belongs = bounds && index >= bounds->first && index <= bounds->last;
  std::string which = nameOf(key) + ": log: entry " + std::to_string(index);
  if (belongs && index < overlay.diskLimit) {
    return Fault{ErrorCode::corrupt, which + " is lost; the replica is stopped, others go on", {}};
  }
  return Fault{ErrorCode::unavailable, which + " is not in the log (any more)", {}};
}

}  // namespace flotilla::store
