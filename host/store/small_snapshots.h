// Snapshots of a few KiB, of many groups, in one file.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "flotilla/result.h"
#include "host/group/ports.h"
#include "host/store/files.h"
#include "host/store/snapshot_file.h"

namespace flotilla::store {

// A crowded volume asks hundreds of groups a second for snapshots of a few KiB. A file for each
// cost an inode, three syncs and a tenth of all that the host did. Here each is written over what
// nobody needs any more, and those of one moment share a sync.
//
// The file is a row of slots of 64 KiB, sparse where they are not full: a head, then the content.
// Both bear checksums, so there is no other record of what is where: a slot that fails them is
// free, be it that its writing was cut off or that it was damaged, which its replica notices by its
// log.
//
// Owner:  SnapshotFiles.
// Thread: any. `list`, `replicas` and `stage` do not wait for the disk, but `stage` where it
//         commits.
// Errors: diskFull, corrupt, io. What could not be written is not there, and is nobody else's
//         trouble.
class SmallSnapshots {
public:
  static constexpr uint64_t kSlotBytes = 64 << 10;
  static constexpr uint64_t kHeadBytes = 72;
  static constexpr uint64_t kContentBytesMax = kSlotBytes - kHeadBytes;
  static constexpr size_t kStagedMax = 16;

  using Done = std::function<void(Result<SnapshotFile>)>;

  explicit SmallSnapshots(std::string path) : path_(std::move(path)) {}

  // Reads all that is there; no file is well, and made when the first one comes.
  Result<void> open();

  // It is safe, and `done` told so, after the next commit. Commits itself where many wait; true:
  // this one is the first that does, so a commit is to follow soon.
  bool stage(group::ReplicaKey replica, raft::LogPoint point, std::string content, Done done);
  void commit();

  // By index, rising.
  std::vector<SnapshotFile> list(group::ReplicaKey replica) const;
  // Nothing where there is no such one.
  Result<std::optional<std::string>> read(group::ReplicaKey replica, raft::LogPoint point) const;
  // A power cut may bring them back.
  Result<void> removeOlder(group::ReplicaKey replica, raft::Index index);
  // These are gone for good once it has ended well, and so is what was staged of them. To be called
  // again where it has not.
  Result<void> remove(group::ReplicaKey replica, raft::LogPoint point);
  Result<void> removeOthers(group::ReplicaKey replica, raft::Index kept);
  Result<void> removeReplica(group::ReplicaKey replica);
  std::vector<group::ReplicaKey> replicas() const;

  bool isThere() const { return exists(path_); }
  const std::string& path() const { return path_; }

private:
  struct Staged {
    group::ReplicaKey replica;
    raft::LogPoint point;
    std::string content;
    Done done;
  };
  struct Held {
    raft::LogPoint point;
    uint64_t slot = 0;
    uint64_t bytes = 0;
    uint64_t checksum = 0;
  };
  struct Owner {
    group::ReplicaKey replica;
    raft::LogPoint point;
  };
  using Dooms = std::function<bool(raft::LogPoint)>;
  using Slots = std::map<uint64_t, Owner>;

  SnapshotFile about(group::ReplicaKey replica, const Held& held) const;
  Result<void> openFile(bool create);
  Result<void> readAll();
  Result<void> readSlot(uint64_t slot, char* room);
  Result<void> put(const Staged& staged, Held& held);
  Held takeSlot(const Staged& staged);
  std::optional<uint64_t> hold(group::ReplicaKey replica, const Held& held);
  Slots drop(group::ReplicaKey replica, const Dooms& dooms);
  Result<void> erase(const Slots& slots);
  Result<void> removeForGood(group::ReplicaKey replica, const Dooms& dooms);

  const std::string path_;
  mutable std::mutex disk_;  // taken before mutex_, for as long as the disk takes
  FileDescriptor file_;      // once its name is safe

  mutable std::mutex mutex_;  // of all that follows
  uint64_t slots_ = 0;        // that the file has, or had
  std::set<uint64_t> free_;   // the first is taken first, so that the file stays short
  Slots unsure_;              // free, but a power cut may bring back what was there
  std::map<group::ReplicaKey, std::vector<Held>> held_;  // by index, rising
  std::vector<Staged> staged_;
};

}  // namespace flotilla::store
