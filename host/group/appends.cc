// Appends on their way out: given the bytes of the entries they name.
#include "host/group/appends.h"

#include <algorithm>
#include <utility>

namespace flotilla::group {
namespace {

// The message as far as `last`, where fewer entries fit than it names.
void shorten(raft::Message& message, raft::Index last) {
  while (message.runs.size() > 1 && message.runs[message.runs.size() - 2].last >= last) {
    message.runs.pop_back();
  }
  message.runs.back().last = std::min(message.runs.back().last, last);
  std::erase_if(message.configurations,
                [&](const raft::ConfigurationAt& it) { return it.index > last; });
}

}  // namespace

bool matchesRuns(const std::vector<LogEntry>& entries, const raft::Message& append) {
  if (entries.empty() || append.runs.empty()) return false;
  size_t run = 0;
  raft::Index index = append.after.index;
  for (const LogEntry& entry : entries) {
    ++index;
    while (run < append.runs.size() && append.runs[run].last < index) ++run;
    if (run == append.runs.size()) return false;
    if (entry.index != index || entry.term != append.runs[run].term) return false;
  }
  return true;
}

std::optional<std::vector<LogEntry>> Appends::fill(raft::Message& message, const Tail& tail) {
  if (!waitsToSend(message.to)) {
    if (auto entries = fromMemory(message, tail)) return entries;
  }
  if (waiting_.size() < limits_.waitingMax) waiting_.push_back({0, message});
  return {};
}

// Nothing where memory does not hold them all.
std::optional<std::vector<LogEntry>> Appends::fromMemory(raft::Message& message,
                                                         const Tail& tail) const {
  raft::Index first = message.after.index + 1;
  if (tail.find(first) == nullptr || tail.find(message.lastOfRuns()) == nullptr) return {};
  std::vector<LogEntry> entries;
  entries.reserve(message.lastOfRuns() - message.after.index);
  uint64_t bytes = 0;
  for (raft::Index index = first; index <= message.lastOfRuns(); ++index) {
    const LogEntry& entry = *tail.find(index);
    bytes += entry.payload.size();
    if (bytes > limits_.bytesMax && index != first) break;
    entries.push_back(entry);
  }
  if (!matchesRuns(entries, message)) return {};
  if (entries.back().index < message.lastOfRuns()) shorten(message, entries.back().index);
  return entries;
}

bool Appends::waitsToSend(raft::ReplicaId peer) const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [&](const Waits& it) { return it.message.to == peer; });
}

bool Appends::isFirstOfPeer(size_t place) const {
  for (size_t i = 0; i < place; ++i) {
    if (waiting_[i].message.to == waiting_[place].message.to) return false;
  }
  return true;
}

std::optional<raft::Message> Appends::nextToFetch() const {
  for (size_t i = 0; i < waiting_.size(); ++i) {
    if (waiting_[i].fetch == 0 && isFirstOfPeer(i)) return waiting_[i].message;
  }
  return {};
}

void Appends::fetching(uint64_t fetch) {
  for (size_t i = 0; i < waiting_.size(); ++i) {
    if (waiting_[i].fetch != 0 || !isFirstOfPeer(i)) continue;
    waiting_[i].fetch = fetch;
    return;
  }
}

bool Appends::waitsFor(uint64_t fetch) const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [&](const Waits& it) { return it.fetch == fetch; });
}

std::optional<Appends::Filled> Appends::fetched(uint64_t fetch, std::vector<LogEntry> entries,
                                                const raft::Core& core) {
  auto at = std::find_if(waiting_.begin(), waiting_.end(),
                         [&](const Waits& it) { return it.fetch == fetch; });
  if (at == waiting_.end()) return {};
  raft::Message message = std::move(at->message);
  waiting_.erase(at);
  if (!core.leads(message.term) || !matchesRuns(entries, message)) return {};
  if (entries.back().index < message.lastOfRuns()) shorten(message, entries.back().index);
  return Filled{std::move(message), std::move(entries)};
}

std::optional<Appends::Filled> Appends::nextFromMemory(const Tail& tail) {
  for (size_t i = 0; i < waiting_.size(); ++i) {
    if (waiting_[i].fetch != 0 || !isFirstOfPeer(i)) continue;
    auto entries = fromMemory(waiting_[i].message, tail);
    if (!entries) continue;
    Filled filled{std::move(waiting_[i].message), std::move(*entries)};
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
    return filled;
  }
  return {};
}

void Appends::drop(uint64_t fetch) {
  std::erase_if(waiting_, [&](const Waits& it) { return it.fetch == fetch; });
}

void Appends::dropPeer(raft::ReplicaId peer) {
  std::erase_if(waiting_, [&](const Waits& it) { return it.message.to == peer; });
}

std::optional<raft::Index> Appends::pinnedAfter() const {
  std::optional<raft::Index> pinned;
  for (const Waits& it : waiting_) {
    if (!pinned || it.message.after.index < *pinned) pinned = it.message.after.index;
  }
  return pinned;
}

}  // namespace flotilla::group
