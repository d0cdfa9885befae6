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

Result<void> SmallSnapshots::open() {
  std::lock_guard lock(mutex_);
  if (!exists(path_)) return {};
  if (auto opened = openFileLocked(false); !opened) return opened;
  return readAll();
}

Result<void> SmallSnapshots::openFileLocked(bool create) {
  auto file = openFile(path_, O_RDWR | (create ? O_CREAT : 0));
  if (!file) return file.fault();
  file_ = std::move(*file);
  return create ? syncDirectory(parentOf(path_)) : Result<void>();
}

// Reads all of them once. One whose writing was cut off must not stand before the one that it was
// to follow, so what fails its checksum is not there.
Result<void> SmallSnapshots::readAll() {
  struct stat about;
  if (::fstat(file_.get(), &about) != 0) return posixFault(path_, "look at", errno);
  slots_ = (static_cast<uint64_t>(about.st_size) + kSlotBytes - 1) / kSlotBytes;
  auto room = std::make_unique<char[]>(kSlotBytes);
  for (uint64_t slot = 0; slot < slots_; ++slot) {
    auto got = readUpTo(file_, path_, slot * kSlotBytes, room.get(), kFirstBytes);
    if (!got) return got.fault();
    auto head = decode({room.get(), std::min<size_t>(*got, kHeadBytes)});
    if (head && head->version != kVersion) {
      return Fault{ErrorCode::corrupt,
                   "snapshots " + path_ + ": of version " + std::to_string(head->version) +
                       "; start a newer flotilla-host",
                   {}};
    }
    freeSlots_.insert(slot);
    if (!head) continue;
    size_t end = kHeadBytes + head->bytes;
    if (end > *got && *got == kFirstBytes) {
      auto more = readUpTo(file_, path_, slot * kSlotBytes + *got, &room[*got], end - *got);
      if (!more) return more.fault();
      *got += *more;
    }
    if (*got < end || base::checksum({&room[kHeadBytes], head->bytes}) != head->checksum) continue;
    freeSlots_.erase(slot);
    hold(head->replica, {head->point, slot, head->bytes, head->checksum});
  }
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
  std::vector<Result<SnapshotFile>> ends;
  {
    std::lock_guard lock(mutex_);
    staged = std::exchange(staged_, {});
    std::vector<Held> written;
    auto safe = put(staged, written);
    for (size_t i = 0; i < written.size(); ++i) {
      if (safe) {
        hold(staged[i].replica, written[i]);
        ends.emplace_back(about(staged[i].replica, written[i]));
      } else {
        freeSlots_.insert(written[i].slot);
      }
    }
    while (ends.size() < staged.size()) ends.emplace_back(safe.fault());
  }
  for (size_t i = 0; i < staged.size(); ++i) staged[i].done(std::move(ends[i]));
}

// `written` are those that were begun, also where it fails.
Result<void> SmallSnapshots::put(const std::vector<Staged>& staged, std::vector<Held>& written) {
  if (staged.empty()) return {};
  if (!file_.valid()) {
    if (auto opened = openFileLocked(true); !opened) return opened;
  }
  for (const Staged& each : staged) {
    Held& held = written.emplace_back(
        Held{each.point, takeSlot(), each.content.size(), base::checksum(each.content)});
    std::string bytes = encode({each.replica, held.point, held.bytes, held.checksum});
    bytes += each.content;
    padToBlock(bytes);
    if (auto wrote = writeAt(file_, path_, bytes, held.slot * kSlotBytes); !wrote) return wrote;
  }
  return syncData(file_, path_);
}

uint64_t SmallSnapshots::takeSlot() {
  if (freeSlots_.empty()) return slots_++;
  return freeSlots_.extract(freeSlots_.begin()).value();
}

// What was held of the same point is the same state.
void SmallSnapshots::hold(group::ReplicaKey replica, const Held& held) {
  std::vector<Held>& all = held_[replica];
  auto place = std::find_if(all.begin(), all.end(), [&](const Held& each) {
    return std::pair(each.point.index, each.point.term) >=
           std::pair(held.point.index, held.point.term);
  });
  if (place == all.end() || place->point != held.point) {
    all.insert(place, held);
  } else {
    freeSlots_.insert(std::exchange(*place, held).slot);
  }
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
  std::lock_guard lock(mutex_);
  auto at = held_.find(replica);
  if (at == held_.end()) return std::optional<std::string>();
  for (const Held& held : at->second) {
    if (held.point != point) continue;
    std::string content(held.bytes, '\0');
    auto got =
        readUpTo(file_, path_, held.slot * kSlotBytes + kHeadBytes, content.data(), content.size());
    if (!got) return got.fault();
    if (*got == held.bytes && base::checksum(content) == held.checksum) {
      return std::optional<std::string>(std::move(content));
    }
    return Fault{
        ErrorCode::corrupt, "snapshot " + about(replica, held).path + ": fails its checksum", {}};
  }
  return std::optional<std::string>();
}

std::vector<group::ReplicaKey> SmallSnapshots::replicas() const {
  std::lock_guard lock(mutex_);
  std::vector<group::ReplicaKey> found;
  for (const auto& [replica, all] : held_) found.push_back(replica);
  return found;
}

// ---- their end ---------------------------------------------------------------------------------

Result<void> SmallSnapshots::freeSlot(uint64_t slot) {
  freeSlots_.insert(slot);
  static const std::string nothing(kBlockBytes, '\0');
  return writeAt(file_, path_, nothing, slot * kSlotBytes);
}

// Whether there were any.
Result<bool> SmallSnapshots::removeLocked(group::ReplicaKey replica, const Dooms& dooms) {
  auto at = held_.find(replica);
  if (at == held_.end()) return false;
  std::vector<Held>& all = at->second;
  auto first = std::stable_partition(all.begin(), all.end(),
                                     [&](const Held& held) { return !dooms(held.point); });
  std::vector<Held> doomed(first, all.end());
  all.erase(first, all.end());
  if (all.empty()) held_.erase(at);
  Result<void> freed;
  for (const Held& held : doomed) {
    if (auto each = freeSlot(held.slot); !each) freed = each;
  }
  if (!freed) return freed.fault();
  return !doomed.empty();
}

Result<void> SmallSnapshots::removeOlder(group::ReplicaKey replica, raft::Index index) {
  std::lock_guard lock(mutex_);
  auto removed =
      removeLocked(replica, [index](raft::LogPoint point) { return point.index < index; });
  return removed ? Result<void>() : removed.fault();
}

Result<void> SmallSnapshots::removeForGood(group::ReplicaKey replica, const Dooms& dooms) {
  std::vector<Staged> dropped;
  Result<void> gone;
  {
    std::lock_guard lock(mutex_);
    auto first = std::stable_partition(staged_.begin(), staged_.end(), [&](const Staged& each) {
      return each.replica != replica || !dooms(each.point);
    });
    std::move(first, staged_.end(), std::back_inserter(dropped));
    staged_.erase(first, staged_.end());
    auto removed = removeLocked(replica, dooms);
    // Also for those that were removed before, and might come back.
    if (!removed) gone = removed.fault();
    if (removed && file_.valid()) gone = syncData(file_, path_);
  }
  for (Staged& each : dropped) {
    each.done(Fault{ErrorCode::unavailable, "snapshot: its replica has another, or is gone", {}});
  }
  return gone;
}

Result<void> SmallSnapshots::removeOthers(group::ReplicaKey replica, raft::Index kept) {
  return removeForGood(replica, [kept](raft::LogPoint point) { return point.index != kept; });
}

Result<void> SmallSnapshots::removeReplica(group::ReplicaKey replica) {
  return removeForGood(replica, [](raft::LogPoint) { return true; });
}

}  // namespace flotilla::store
