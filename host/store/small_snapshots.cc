// Snapshots of a few KiB, of many groups, in one file.
#include "host/store/small_snapshots.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <iterator>
#include <memory>
#include <sys/stat.h>
#include <utility>

#include "host/base/assert.h"
#include "host/base/checksum.h"
#include "host/base/log.h"
#include "host/store/packing.h"
#include "host/store/pair_names.h"

namespace flotilla::store {
namespace {

// head = magic u64, version u32, 0 u32, group u64, replica u64, index u64, term u64, content bytes
//        u64, content's checksum u64, checksum of all this u64
constexpr uint64_t kMagic = 0x6c616d73746f6c66;
constexpr uint32_t kVersion = 1;
constexpr size_t kFirstBytes = 16 << 10;  // of a slot, read at once
constexpr size_t kBlockBytes = 4096;  // whole blocks are written: what they held need not be read

struct Head {
  group::ReplicaKey replica;
  raft::LogPoint point;
  uint64_t bytes = 0;
  uint64_t checksum = 0;
  uint32_t version = kVersion;
};

std::string encode(const Head& head) {
  std::string bytes;
  putFixed64(bytes, kMagic);
  putFixed32(bytes, head.version);
  putFixed32(bytes, 0);
  for (uint64_t number : {head.replica.group, head.replica.replica, head.point.index,
                          head.point.term, head.bytes, head.checksum}) {
    putFixed64(bytes, number);
  }
  putFixed64(bytes, base::checksum(bytes));
  return bytes;
}

// Nothing where the slot is free.
std::optional<Head> decode(std::string_view bytes) {
  Unpacker in(bytes);
  bool ours = in.fixed64() == kMagic;
  Head head;
  head.version = in.fixed32();
  in.fixed32();
  head.replica.group = in.fixed64();
  head.replica.replica = in.fixed64();
  head.point.index = in.fixed64();
  head.point.term = in.fixed64();
  head.bytes = in.fixed64();
  head.checksum = in.fixed64();
  uint64_t sum = in.fixed64();
  if (!ours || !in.finished()) return std::nullopt;
  if (sum != base::checksum(bytes.substr(0, bytes.size() - sizeof sum))) return std::nullopt;
  if (head.version == kVersion && head.bytes > SmallSnapshots::kContentBytesMax)
    return std::nullopt;
  return head;
}

void padToBlock(std::string& bytes) {
  bytes.resize((bytes.size() + kBlockBytes - 1) / kBlockBytes * kBlockBytes);
}

}  // namespace

SnapshotFile SmallSnapshots::about(group::ReplicaKey replica, const Held& held) const {
  return {held.point, held.bytes, held.checksum,
          path_ + " " + pairName(replica.group, replica.replica) + "/" +
              pairName(held.point.index, held.point.term)};
}

// What it holds may not be safe yet, where the process before us ended in the middle of a commit.
Result<void> SmallSnapshots::open() {
  std::scoped_lock lock(disk_, mutex_);
  if (!exists(path_)) return {};
  if (auto opened = openFile(false); !opened) return opened;
  if (auto synced = syncData(file_, path_); !synced) return synced;
  return readAll();
}

Result<void> SmallSnapshots::openFile(bool create) {
  auto file = store::openFile(path_, O_RDWR | (create ? O_CREAT : 0));
  if (!file) return file.fault();
  if (auto synced = syncDirectory(parentOf(path_)); !synced) return synced;
  file_ = std::move(*file);
  return {};
}

Result<void> SmallSnapshots::readAll() {
  struct stat about;
  if (::fstat(file_.get(), &about) != 0) return posixFault(path_, "look at", errno);
  slots_ = (static_cast<uint64_t>(about.st_size) + kSlotBytes - 1) / kSlotBytes;
  auto room = std::make_unique<char[]>(kSlotBytes);
  for (uint64_t slot = 0; slot < slots_; ++slot) {
    auto read = readSlot(slot, room.get());
    if (read) continue;
    if (read.fault().code != ErrorCode::io) return read;
    base::logWarn("snapshots: " + read.fault().text + "; slot " + std::to_string(slot) +
                  " is left alone");
  }
  return {};
}

// One whose writing was cut off must not stand before the one that it was to follow, so what fails
// its checksum is not there.
Result<void> SmallSnapshots::readSlot(uint64_t slot, char* room) {
  auto got = readUpTo(file_, path_, slot * kSlotBytes, room, kFirstBytes);
  if (!got) return got.fault();
  auto head = decode({room, std::min<size_t>(*got, kHeadBytes)});
  if (!head) {
    free_.insert(slot);
    return {};
  }
  if (head->version != kVersion) {
    return Fault{ErrorCode::corrupt,
                 "snapshots " + path_ + ": of version " + std::to_string(head->version) +
                     "; start a newer flotilla-host",
                 {}};
  }
  size_t end = kHeadBytes + head->bytes;
  if (end > *got && *got == kFirstBytes) {
    auto more = readUpTo(file_, path_, slot * kSlotBytes + *got, room + *got, end - *got);
    if (!more) return more.fault();
    *got += *more;
  }
  bool whole = *got >= end && base::checksum({room + kHeadBytes, head->bytes}) == head->checksum;
  std::optional<uint64_t> unused = slot;
  if (whole) unused = hold(head->replica, {head->point, slot, head->bytes, head->checksum});
  if (unused) free_.insert(*unused);
  if (unused && whole) unsure_.insert({*unused, {head->replica, head->point}});
  return {};
}

// ---- new ones ----------------------------------------------------------------------------------

bool SmallSnapshots::stage(group::ReplicaKey replica, raft::LogPoint point, std::string content,
                           Done done) {
  ASSERT(content.size() <= kContentBytesMax);
  size_t waiting = 0;
  {
    std::lock_guard lock(mutex_);
    staged_.push_back({replica, point, std::move(content), std::move(done)});
    waiting = staged_.size();
  }
  if (waiting >= kStagedMax) commit();
  return waiting == 1;
}

void SmallSnapshots::commit() {
  std::vector<Staged> staged;
  std::vector<Held> places;
  std::vector<Result<void>> ends;
  {
    std::lock_guard disk(disk_);
    {
      std::lock_guard lock(mutex_);
      staged = std::exchange(staged_, {});
      for (const Staged& each : staged) places.push_back(takeSlot(each));
    }
    if (staged.empty()) return;
    Result<void> opened = file_.valid() ? Result<void>() : openFile(true);
    for (size_t i = 0; i < staged.size(); ++i) {
      ends.push_back(opened ? put(staged[i], places[i]) : opened);
    }
    Result<void> safe = opened ? syncData(file_, path_) : opened;
    Slots left;  // that bear what is not to be found there
    {
      std::lock_guard lock(mutex_);
      for (size_t i = 0; i < staged.size(); ++i) {
        uint64_t slot = places[i].slot;
        if (ends[i] && safe) {
          unsure_.erase(slot);
          auto former = hold(staged[i].replica, places[i]);
          if (former) left.insert({*former, {staged[i].replica, staged[i].point}});
          continue;
        }
        if (ends[i]) {
          left.insert({slot, {staged[i].replica, staged[i].point}});
          ends[i] = safe;
        }
        // One that cannot be written is not tried again, or it would be the next one's.
        if (ends[i].fault().code != ErrorCode::io) free_.insert(slot);
      }
    }
    if (opened) static_cast<void>(erase(left));  // where that fails they stay unsure
    std::lock_guard lock(mutex_);
    for (const auto& [slot, owner] : left) {
      if (safe) free_.insert(slot);
    }
  }
  for (size_t i = 0; i < staged.size(); ++i) {
    staged[i].done(ends[i] ? Result<SnapshotFile>(about(staged[i].replica, places[i]))
                           : ends[i].fault());
  }
}

Result<void> SmallSnapshots::put(const Staged& staged, Held& held) {
  held.checksum = base::checksum(staged.content);
  std::string bytes = encode({staged.replica, held.point, held.bytes, held.checksum});
  bytes += staged.content;
  padToBlock(bytes);
  return writeAt(file_, path_, bytes, held.slot * kSlotBytes);
}

SmallSnapshots::Held SmallSnapshots::takeSlot(const Staged& staged) {
  uint64_t slot = free_.empty() ? slots_++ : free_.extract(free_.begin()).value();
  return {staged.point, slot, staged.content.size(), 0};
}

// What was held of the same point leaves its slot.
std::optional<uint64_t> SmallSnapshots::hold(group::ReplicaKey replica, const Held& held) {
  std::vector<Held>& all = held_[replica];
  auto place = std::find_if(all.begin(), all.end(), [&](const Held& each) {
    return std::pair(each.point.index, each.point.term) >=
           std::pair(held.point.index, held.point.term);
  });
  if (place != all.end() && place->point == held.point) return std::exchange(*place, held).slot;
  all.insert(place, held);
  return std::nullopt;
}

// ---- those that are there ----------------------------------------------------------------------

std::vector<SnapshotFile> SmallSnapshots::list(group::ReplicaKey replica) const {
  std::lock_guard lock(mutex_);
  std::vector<SnapshotFile> found;
  auto at = held_.find(replica);
  if (at == held_.end()) return found;
  for (const Held& held : at->second) found.push_back(about(replica, held));
  return found;
}

Result<std::optional<std::string>> SmallSnapshots::read(group::ReplicaKey replica,
                                                        raft::LogPoint point) const {
  std::lock_guard disk(disk_);  // its slot is not to be another's meanwhile
  std::optional<Held> held;
  {
    std::lock_guard lock(mutex_);
    auto at = held_.find(replica);
    if (at == held_.end()) return std::optional<std::string>();
    for (const Held& each : at->second) {
      if (each.point == point) held = each;
    }
  }
  if (!held) return std::optional<std::string>();
  std::string content(held->bytes, '\0');
  auto got =
      readUpTo(file_, path_, held->slot * kSlotBytes + kHeadBytes, content.data(), content.size());
  if (!got) return got.fault();
  if (*got == held->bytes && base::checksum(content) == held->checksum) {
    return std::optional<std::string>(std::move(content));
  }
  return Fault{
      ErrorCode::corrupt, "snapshot " + about(replica, *held).path + ": fails its checksum", {}};
}

std::vector<group::ReplicaKey> SmallSnapshots::replicas() const {
  std::lock_guard lock(mutex_);
  std::vector<group::ReplicaKey> found;
  for (const auto& [replica, all] : held_) found.push_back(replica);
  return found;
}

// ---- their end ---------------------------------------------------------------------------------

// Their slots, unsure until they are erased and that is safe.
SmallSnapshots::Slots SmallSnapshots::drop(group::ReplicaKey replica, const Dooms& dooms) {
  Slots slots;
  auto at = held_.find(replica);
  if (at == held_.end()) return slots;
  std::vector<Held>& all = at->second;
  auto first = std::stable_partition(all.begin(), all.end(),
                                     [&](const Held& held) { return !dooms(held.point); });
  for (auto each = first; each != all.end(); ++each) {
    slots.insert({each->slot, {replica, each->point}});
  }
  all.erase(first, all.end());
  if (all.empty()) held_.erase(at);
  return slots;
}

// All of them, and the last fault.
Result<void> SmallSnapshots::erase(const Slots& slots) {
  static const std::string nothing(kBlockBytes, '\0');
  Result<void> erased;
  for (const auto& [slot, owner] : slots) {
    auto wrote = writeAt(file_, path_, nothing, slot * kSlotBytes);
    if (!wrote) erased = wrote;
  }
  std::lock_guard lock(mutex_);
  for (const auto& [slot, owner] : slots) unsure_.insert_or_assign(slot, owner);
  return erased;
}

Result<void> SmallSnapshots::removeOlder(group::ReplicaKey replica, raft::Index index) {
  std::lock_guard disk(disk_);
  Slots slots;
  {
    std::lock_guard lock(mutex_);
    slots = drop(replica, [index](raft::LogPoint point) { return point.index < index; });
  }
  auto erased = erase(slots);
  std::lock_guard lock(mutex_);
  for (const auto& [slot, owner] : slots) free_.insert(slot);
  return erased;
}

Result<void> SmallSnapshots::removeForGood(group::ReplicaKey replica, const Dooms& dooms) {
  std::vector<Staged> dropped;
  Result<void> gone;
  {
    std::lock_guard disk(disk_);
    Slots slots;
    {
      std::lock_guard lock(mutex_);
      auto first = std::stable_partition(staged_.begin(), staged_.end(), [&](const Staged& each) {
        return each.replica != replica || !dooms(each.point);
      });
      std::move(first, staged_.end(), std::back_inserter(dropped));
      staged_.erase(first, staged_.end());
      slots = drop(replica, dooms);
      for (const auto& [slot, owner] : slots) free_.insert(slot);
      // Those that went before may not be gone for good yet.
      for (const auto& [slot, owner] : unsure_) {
        if (owner.replica == replica && dooms(owner.point)) slots.insert({slot, owner});
      }
    }
    if (!slots.empty()) gone = erase(slots);
    if (!slots.empty() && gone) gone = syncData(file_, path_);
    std::lock_guard lock(mutex_);
    if (gone) {
      for (const auto& [slot, owner] : slots) unsure_.erase(slot);
    }
  }
  for (Staged& each : dropped) {
    each.done(Fault{ErrorCode::unavailable, "snapshot: its replica has another, or is gone", {}});
  }
  return gone;
}

Result<void> SmallSnapshots::remove(group::ReplicaKey replica, raft::LogPoint point) {
  return removeForGood(replica, [point](raft::LogPoint each) { return each == point; });
}

Result<void> SmallSnapshots::removeOthers(group::ReplicaKey replica, raft::Index kept) {
  return removeForGood(replica, [kept](raft::LogPoint each) { return each.index != kept; });
}

Result<void> SmallSnapshots::removeReplica(group::ReplicaKey replica) {
  return removeForGood(replica, [](raft::LogPoint) { return true; });
}

}  // namespace flotilla::store
