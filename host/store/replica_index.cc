// Where in the row of frames each replica's entries and state lie.
#include "host/store/replica_index.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <span>
#include <utility>

#include "host/base/assert.h"
#include "host/store/state_record.h"

namespace flotilla::store {

namespace {

constexpr uint64_t kNoFrame = std::numeric_limits<uint64_t>::max();

// The part of `run` that holds [first, limit); bytes in proportion.
IndexRun part(const IndexRun& run, raft::Index first, raft::Index limit) {
  ASSERT(first >= run.first);
  ASSERT(limit <= run.limit());
  IndexRun cut = run;
  cut.first = first;
  cut.count = static_cast<uint32_t>(limit - first);
  cut.skipped = run.skipped + static_cast<uint32_t>(first - run.first);
  cut.bytes = static_cast<uint32_t>(uint64_t{run.bytes} * cut.count / run.count);
  return cut;
}

}  // namespace

const IndexRun* ReplicaLog::find(raft::Index index) const {
  auto after = std::upper_bound(runs.begin(), runs.end(), index,
                                [](raft::Index at, const IndexRun& run) { return at < run.first; });
  if (after == runs.begin()) return nullptr;
  const IndexRun& run = *std::prev(after);
  return index < run.limit() ? &run : nullptr;
}

bool ReplicaLog::covers(raft::Index first, raft::Index last) const {
  while (first <= last) {
    const IndexRun* run = find(first);
    if (run == nullptr) return false;
    first = run->limit();
  }
  return true;
}

uint64_t ReplicaLog::oldestFrame() const {
  uint64_t oldest = stateFrame == 0 ? kNoFrame : stateFrame;
  for (const IndexRun& run : runs) oldest = std::min(oldest, run.frame);
  return oldest;
}

void ReplicaIndex::charge(ReplicaLog& log, uint64_t add, uint64_t remove) {
  log.bytes += add - remove;
  liveBytes_ += add - remove;
}

void ReplicaIndex::cutAfter(ReplicaLog& log, raft::Index last) {
  while (!log.runs.empty() && log.runs.back().limit() > last + 1) {
    IndexRun run = log.runs.back();
    log.runs.pop_back();
    charge(log, 0, run.bytes);
    if (run.first > last) continue;
    IndexRun kept = part(run, run.first, last + 1);
    charge(log, kept.bytes, 0);
    log.runs.push_back(kept);
  }
}

void ReplicaIndex::cutBefore(ReplicaLog& log, raft::Index first) {
  while (!log.runs.empty() && log.runs.front().first < first) {
    IndexRun run = log.runs.front();
    charge(log, 0, run.bytes);
    if (run.limit() <= first) {
      log.runs.pop_front();
      continue;
    }
    log.runs.front() = part(run, first, run.limit());
    charge(log, log.runs.front().bytes, 0);
  }
}

void ReplicaIndex::append(ReplicaLog& log, const IndexRun& run) {
  cutAfter(log, run.first - 1);
  charge(log, run.bytes, 0);
  log.runs.push_back(run);
}

// Puts a copied run where its entries are, and leaves what stands around it. A log of very many
// runs is copied from its front, a few hundred at a time: what lies behind must not be moved each
// time.
void ReplicaIndex::place(ReplicaLog& log, const IndexRun& run) {
  auto from = std::partition_point(log.runs.begin(), log.runs.end(), [&run](const IndexRun& old) {
    return old.limit() <= run.first;
  });
  auto to = std::partition_point(from, log.runs.end(),
                                 [&run](const IndexRun& old) { return old.first < run.limit(); });
  std::array<IndexRun, 3> pieces;
  size_t count = 0;
  if (from != to && from->first < run.first) pieces[count++] = part(*from, from->first, run.first);
  pieces[count++] = run;
  if (from != to && std::prev(to)->limit() > run.limit()) {
    const IndexRun& last = *std::prev(to);
    pieces[count++] = part(last, std::max(last.first, run.limit()), last.limit());
  }
  for (auto old = from; old != to; ++old) charge(log, 0, old->bytes);
  for (size_t i = 0; i < count; ++i) charge(log, pieces[i].bytes, 0);
  log.runs.replace(from, to, std::span(pieces).first(count));
}

void ReplicaIndex::apply(uint64_t frame, const Record& line, uint32_t record,
                         std::string_view body) {
  if (line.kind == RecordKind::forget) {
    auto found = replicas_.find(line.key);
    if (found == replicas_.end()) return;
    liveBytes_ -= found->second.bytes;
    replicas_.erase(found);
    return;
  }
  ReplicaLog& log = replicas_[line.key];
  IndexRun run{.first = line.first,
               .frame = frame,
               .count = line.count,
               .skipped = 0,
               .record = record,
               .bytes = line.length};
  switch (line.kind) {
    case RecordKind::run:
      if (line.count > 0) append(log, run);
      break;
    case RecordKind::moved:
      if (line.count > 0) place(log, run);
      break;
    case RecordKind::reset:
      charge(log, 0, log.bytes);
      log.runs.clear();
      break;
    case RecordKind::state: {
      auto bounds = boundsOf(body);
      if (!bounds) {
        damageState(frame, line.key, "its state makes no sense");
        break;
      }
      log.state.assign(body);
      log.damage.clear();
      log.stateFrame = frame;
      cutAfter(log, bounds->last);
      cutBefore(log, bounds->first);
      break;
    }
    case RecordKind::damaged:
      damageState(frame, line.key, std::string(body));
      break;
    case RecordKind::forget:
      break;
  }
}

void ReplicaIndex::damageState(uint64_t frame, group::ReplicaKey key, std::string why) {
  ReplicaLog& log = replicas_[key];
  log.state.clear();
  log.damage = std::move(why);
  log.stateFrame = frame;
}

void ReplicaIndex::dropRun(group::ReplicaKey key, raft::Index first) {
  auto found = replicas_.find(key);
  if (found == replicas_.end()) return;
  ReplicaLog& log = found->second;
  for (auto run = log.runs.begin(); run != log.runs.end(); ++run) {
    if (run->first != first) continue;
    charge(log, 0, run->bytes);
    log.runs.erase(run);
    return;
  }
}

const ReplicaLog* ReplicaIndex::find(group::ReplicaKey key) const {
  auto found = replicas_.find(key);
  return found == replicas_.end() ? nullptr : &found->second;
}

uint64_t ReplicaIndex::oldestFrame() const {
  uint64_t oldest = kNoFrame;
  for (const auto& [key, log] : replicas_) oldest = std::min(oldest, log.oldestFrame());
  return oldest;
}

uint64_t ReplicaIndex::bytesUpTo(uint64_t frame) const {
  uint64_t bytes = 0;
  for (const auto& [key, log] : replicas_) {
    for (const IndexRun& run : log.runs) bytes += run.frame <= frame ? run.bytes : 0;
    if (log.stateFrame != 0 && log.stateFrame <= frame) bytes += log.state.size();
  }
  return bytes;
}

std::vector<group::ReplicaKey> ReplicaIndex::needing(uint64_t frame) const {
  std::vector<group::ReplicaKey> keys;
  for (const auto& [key, log] : replicas_) {
    if (log.oldestFrame() <= frame) keys.push_back(key);
  }
  return keys;
}

}  // namespace flotilla::store
