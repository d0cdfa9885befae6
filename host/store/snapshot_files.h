// Snapshots on disk: DIRECTORY/<group>-<replica>/<index>-<term>.snap, or of small ones many
// together in the file DIRECTORY/small; whole and checked or not there.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flotilla/result.h"
#include "host/base/checksum.h"
#include "host/group/snapshot_collector.h"
#include "host/store/files.h"
#include "host/store/small_snapshots.h"
#include "host/store/snapshot_file.h"

namespace flotilla::store {

class SnapshotFiles;

// Writes one aside. Not finished, it is removed, or stays where it is one that arrives. One that
// may join others is held in memory for as long as it is small enough.
//
// Owner:  whoever began it; not after SnapshotFiles. Thread: one at a time. Errors: diskFull or io;
//         then only to be dropped.
class SnapshotWriter final : public group::SnapshotPart {
public:
  ~SnapshotWriter() override;

  Result<void> write(std::string_view piece) override;
  Result<void> keepFirst(uint64_t bytes) override;
  Result<size_t> readAt(uint64_t offset, char* to, size_t size) const;  // of content

  // Trailer, sync, rename, directory sync.
  Result<SnapshotFile> finish();

private:
  friend class SnapshotFiles;
  SnapshotWriter(SnapshotFiles& files, group::ReplicaKey replica, raft::LogPoint point,
                 const char* aside);
  Result<void> becomeFile();
  SnapshotFile about() const { return {point_, bytes_, checksum_.value(), path_}; }

  SnapshotFiles& files_;
  const group::ReplicaKey replica_;
  bool isHeld_ = false;  // there is no file yet
  std::string held_;     // its content so far
  FileDescriptor file_;
  std::string path_;   // the final one
  std::string aside_;  // where it is until then
  raft::LogPoint point_;
  base::RunningChecksum checksum_;
  uint64_t bytes_ = 0;
  uint64_t handed_ = 0;  // so many have been handed to the disk
  bool stays_ = false;
  bool writesOver_ = false;  // there may be more of the file than what is written
  bool finished_ = false;
};

// Reads the content of one whose trailer and checksum were right when it was opened.
//
// Owner:  whoever opened it. Thread: one at a time. Errors: io. It may be removed meanwhile.
class SnapshotReader final : public group::SnapshotSource {
public:
  Result<size_t> read(char* to, size_t size) override;
  // From any offset of the content, without moving read()'s place.
  Result<size_t> readAt(uint64_t offset, char* to, size_t size) const;
  const SnapshotFile& file() const { return about_; }

private:
  friend class SnapshotFiles;
  SnapshotReader(FileDescriptor file, std::string held, SnapshotFile about);

  FileDescriptor file_;
  std::string held_;  // where there is no file: all of it
  SnapshotFile about_;
  uint64_t offset_ = 0;
};

// All snapshots of a volume.
//
// Owner:  runtime.
// Thread: any for different replicas; of one replica one at a time is saved, and beside it one at a
//         time does the rest. Calls wait for the disk.
// Errors: diskFull, corrupt (a damaged file, or one that should be there and is not), io.
class SnapshotFiles {
public:
  explicit SnapshotFiles(std::string directory)
      : directory_(std::move(directory)), small_(directory_ + "/small") {}

  // At the host's start: makes the directory, removes what was left half-written; what had arrived
  // of a snapshot stays.
  Result<void> open();

  Result<std::unique_ptr<SnapshotWriter>> begin(group::ReplicaKey replica, raft::LogPoint point);
  // One that joins others where it is small: see finish. Of a larger one this is begin.
  Result<std::unique_ptr<SnapshotWriter>> beginSmall(group::ReplicaKey replica,
                                                     raft::LogPoint point);
  // Finishes it, and tells `done` once it is safe. True: it joins others, and waits for `commit`.
  bool finish(std::unique_ptr<SnapshotWriter> writer, SmallSnapshots::Done done);
  void commit() { small_.commit(); }
  // One that comes from another host, over several lives of the connection and of this host: it
  // goes on with what is there of it. Of what has arrived of other points the newest stays.
  Result<std::unique_ptr<SnapshotWriter>> arrive(group::ReplicaKey replica, raft::LogPoint point);
  // Where chunks may lie that a snapshot at `point` has, too: finished files and parts of others.
  Result<std::vector<std::string>> donors(group::ReplicaKey replica, raft::LogPoint point);
  // Removes what has arrived of any.
  Result<void> removeArrivals(group::ReplicaKey replica);

  // Reads the whole file once to check it.
  Result<std::unique_ptr<SnapshotReader>> read(group::ReplicaKey replica, raft::LogPoint point);

  // By index, rising. `bytes` and `checksum` are as the trailers say, unchecked; a file without a
  // trailer is listed with 0 of both.
  Result<std::vector<SnapshotFile>> list(group::ReplicaKey replica);
  Result<std::optional<SnapshotFile>> newest(group::ReplicaKey replica);
  // Removes those below `index`, and what has arrived of such; gives what is for freeBlocks. The
  // file of a small one stays for the next begin() to write over.
  Result<std::vector<FileDescriptor>> removeOlder(group::ReplicaKey replica, raft::Index index);
  // Removes all but the one at `kept`.
  Result<void> removeOthers(group::ReplicaKey replica, raft::Index kept);
  // Removes all of a replica's, and its directory.
  Result<void> removeReplica(group::ReplicaKey replica);
  // Whose directories there are: for sweeping those of removed replicas.
  Result<std::vector<group::ReplicaKey>> replicas();

  std::string directoryOf(group::ReplicaKey replica) const;

  // Of a spare. To remove a file and make another each time costs the more, the more often it is
  // done: ext4 without a journal passes over all inodes that went in the last minutes to find a
  // free one.
  static constexpr uint64_t kSpareBytesMax = 64 << 10;

private:
  friend class SnapshotWriter;
  std::string pathOf(group::ReplicaKey replica, raft::LogPoint point) const;
  Result<void> openAside(SnapshotWriter& writer);
  std::string sparePathOf(group::ReplicaKey replica) const;
  Result<bool> keepAsSpare(group::ReplicaKey replica, const SnapshotFile& file);
  FileDescriptor spareAt(group::ReplicaKey replica, const std::string& aside);
  Result<std::vector<SnapshotFile>> named(group::ReplicaKey replica, std::string_view suffix) const;
  Result<std::vector<SnapshotFile>> arrivals(group::ReplicaKey replica) const;

  std::string directory_;
  SmallSnapshots small_;
};

}  // namespace flotilla::store
