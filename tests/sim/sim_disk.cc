// A host's disk in a simulated world.
#include "tests/sim/sim_disk.h"

#include <algorithm>
#include <utility>

#include "host/group/machine_store.h"

namespace flotilla::sim {

std::optional<std::string> wrongWith(const Stored& stored) {
  const raft::LogShape& shape = stored.state.shape;
  for (raft::Index index = shape.firstIndex(); index <= shape.lastIndex(); ++index) {
    auto entry = stored.entries.find(index);
    if (entry == stored.entries.end()) return "entry " + std::to_string(index) + " is missing";
    if (entry->second.term != shape.termAt(index)) {
      return "entry " + std::to_string(index) + " is of term " +
             std::to_string(entry->second.term) + ", its shape says otherwise";
    }
  }
  return std::nullopt;
}

raft::LogPoint newestSnapshot(const SimDisk::Shelf& shelf, const raft::LogShape& shape) {
  raft::LogPoint newest = shape.base();
  for (const auto& [index, file] : shelf) {
    bool fits = shape.termAt(index) == file.point.term;
    if (fits && index >= newest.index) newest = file.point;
  }
  return newest;
}

void SimDisk::put(const Item& item, Image& to) {
  if (!item.write) {
    to.erase(item.replica);
    return;
  }
  const group::DiskWrite& write = *item.write;
  Stored& stored = to[item.replica];
  if (write.reset) stored.entries.clear();
  stored.state = write.state;
  if (!write.entries.empty()) {
    stored.entries.erase(stored.entries.lower_bound(write.entries.front().index),
                         stored.entries.end());
  }
  for (const group::LogEntry& entry : write.entries) {
    stored.entries.insert_or_assign(stored.entries.end(), entry.index, entry);
  }
  stored.entries.erase(stored.entries.begin(),
                       stored.entries.lower_bound(write.state.shape.firstIndex()));
}

void SimDisk::write(group::ReplicaKey replica, group::DiskWrite write) {
  if (failed_) return;
  waiting_.push_back({replica, std::move(write)});
  put(waiting_.back(), written_);
  startSync();
}

void SimDisk::forget(group::ReplicaKey replica) {
  if (failed_) return;
  waiting_.push_back({replica, std::nullopt});
  put(waiting_.back(), written_);
  shelves_.erase(replica);
  parts_.erase(replica);
  startSync();
}

void SimDisk::startSync() {
  if (busy_ || failed_ || !hasRoom() || waiting_.empty()) return;
  busy_ = true;
  // A moment to gather, then the sync takes all there is.
  int64_t atUs = std::max(stalledUntilUs_, events_.nowUs() + 5);
  events_.at(atUs, [this, boot = boot_]() {
    if (boot != boot_) return;
    if (!hasRoom()) {
      busy_ = false;
      return;
    }
    if (full_) --ballastSyncs_;
    std::swap(syncing_, waiting_);
    int64_t us = options_.syncUsMin + static_cast<int64_t>(dice_.below(static_cast<uint64_t>(
                                          options_.syncUsMax - options_.syncUsMin + 1)));
    int64_t doneUs = std::max(events_.nowUs() + us, stalledUntilUs_);
    events_.at(doneUs, [this, boot]() {
      if (boot == boot_) endSync();
    });
  });
}

void SimDisk::endSync() {
  busy_ = false;
  if (std::exchange(failNext_, false)) {
    failed_ = true;
    listener_.diskFailed();
    return;
  }
  std::map<group::ReplicaKey, raft::WriteId> ended;
  for (const Item& item : syncing_) {
    put(item, safe_);
    if (item.write) {
      ended[item.replica] = item.write->id;
    } else {
      ended.erase(item.replica);
    }
  }
  syncing_.clear();
  for (const auto& [replica, write] : ended) listener_.persisted(replica, write);
  startSync();
}

void SimDisk::fetch(group::ReplicaKey replica, group::DiskFetch fetch) {
  int64_t us = 50 + static_cast<int64_t>(dice_.below(500));
  events_.in(us, [this, replica, fetch, boot = boot_]() {
    if (boot != boot_) return;
    std::vector<group::LogEntry> entries;
    uint64_t bytes = 0;
    const Stored* stored = written(replica);
    for (raft::Index index = fetch.after + 1; stored != nullptr && index <= fetch.last; ++index) {
      auto found = stored->entries.find(index);
      if (found == stored->entries.end()) break;
      entries.push_back(found->second);
      bytes += found->second.payload.size();
      if (bytes >= fetch.bytesMax) break;
    }
    if (entries.empty()) {
      Fault gone{ErrorCode::unavailable, "log: these entries are not held any more", {}};
      listener_.fetched(replica, {fetch.id, std::move(gone)});
    } else {
      listener_.fetched(replica, {fetch.id, std::move(entries)});
    }
  });
}

size_t SimDisk::crash() {
  size_t survive = 0;
  // What was being synced may be there all the same, or its beginning. What failed to sync too.
  if (dice_.chance(500)) survive = dice_.below(syncing_.size() + 1);
  size_t lost = syncing_.size() + waiting_.size() - survive;
  for (size_t i = 0; i < survive; ++i) put(syncing_[i], safe_);
  syncing_.clear();
  waiting_.clear();
  written_ = safe_;
  for (auto& [replica, part] : parts_) {
    if (part.bytes.empty() || dice_.chance(500)) continue;
    size_t unsafe = dice_.below(part.bytes.size());
    if (dice_.chance(500)) {
      part.bytes.resize(unsafe);
    } else {
      part.bytes[unsafe] = static_cast<char>(part.bytes[unsafe] ^ 1);
    }
  }
  busy_ = failed_ = failNext_ = false;
  ++boot_;
  return lost;
}

void SimDisk::lose() {
  crash();
  safe_.clear();
  written_.clear();
  shelves_.clear();
  parts_.clear();
  places_.clear();
}

std::shared_ptr<group::MachineStore> SimDisk::storeAt(std::shared_ptr<group::MemoryPlace> place) {
  auto refuses = [this]() -> Result<void> {
    if (full_) return Fault{ErrorCode::diskFull, "machine: no space", {}};
    if (failed_) return Fault{ErrorCode::io, "machine: its disk has failed", {}};
    return {};
  };
  return std::make_shared<group::MachineStore>(
      std::make_unique<group::MemoryKeys>(std::move(place), refuses));
}

void SimDisk::setFull(bool full) {
  if (full == full_) return;
  full_ = full;
  ballastSyncs_ = full ? dice_.below(4) : 0;
  listener_.volumeFull(full);
  startSync();
}

const Stored* SimDisk::safe(group::ReplicaKey replica) const {
  auto found = safe_.find(replica);
  return found == safe_.end() ? nullptr : &found->second;
}

const Stored* SimDisk::written(group::ReplicaKey replica) const {
  auto found = written_.find(replica);
  return found == written_.end() ? nullptr : &found->second;
}

}  // namespace flotilla::sim
