// Snapshot files: DIRECTORY/<group>-<replica>/<index>-<term>.snap, whole and checked or not there.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flotilla/result.h"
#include "host/base/checksum.h"
#include "host/group/ports.h"
#include "host/store/files.h"

namespace flotilla::store {

// A finished snapshot. `bytes` and `checksum` (XXH3) are of its content; the file carries both in a
// trailer of its own, so a flipped bit or a cut is found before a byte is used.
struct SnapshotFile {
  raft::LogPoint point;
  uint64_t bytes = 0;
  uint64_t checksum = 0;
  std::string path;
};

// Writes one aside. Not finished, it is removed.
//
// Owner:  whoever began it. Thread: one at a time. Errors: diskFull or io; then only to be dropped.
class SnapshotWriter final : public group::SnapshotSink {
public:
  ~SnapshotWriter() override;

  Result<void> write(std::string_view piece) override;
  // For a received one: a piece at its place. What was had already is skipped; a gap is badRequest.
  Result<void> writeAt(uint64_t offset, std::string_view piece);
  uint64_t bytes() const { return bytes_; }  // of content, so far

  // Trailer, sync, rename, directory sync.
  Result<SnapshotFile> finish();
  // The same, but only if content is exactly this; `corrupt` otherwise.
  Result<SnapshotFile> finishExpecting(uint64_t bytes, uint64_t checksum);

private:
  friend class SnapshotFiles;
  SnapshotWriter(FileDescriptor file, std::string path, raft::LogPoint point);

  FileDescriptor file_;
  std::string path_;  // the final one; ".part" is appended while it is written
  raft::LogPoint point_;
  base::RunningChecksum checksum_;
  uint64_t bytes_ = 0;
  bool finished_ = false;
};

// Reads the content of one whose trailer and checksum were right when it was opened.
//
// Owner:  whoever opened it. Thread: one at a time. Errors: io. The file may be removed meanwhile.
class SnapshotReader final : public group::SnapshotSource {
public:
  Result<size_t> read(char* to, size_t size) override;
  // From any offset of the content, without moving read()'s place.
  Result<size_t> readAt(uint64_t offset, char* to, size_t size) const;
  const SnapshotFile& file() const { return about_; }

private:
  friend class SnapshotFiles;
  SnapshotReader(FileDescriptor file, SnapshotFile about);

  FileDescriptor file_;
  SnapshotFile about_;
  uint64_t offset_ = 0;
};

// All snapshots of a volume.
//
// Owner:  runtime.
// Thread: any for different replicas, one at a time for one replica; calls wait for the disk (the
//         snapshot thread's work).
// Errors: diskFull, corrupt (a damaged file, or one that should be there and is not), io.
class SnapshotFiles {
public:
  explicit SnapshotFiles(std::string directory) : directory_(std::move(directory)) {}

  // At the host's start: makes the directory, removes what was left half-written.
  Result<void> open();

  Result<std::unique_ptr<SnapshotWriter>> begin(group::ReplicaKey replica, raft::LogPoint point);
  // Reads the whole file once to check it.
  Result<std::unique_ptr<SnapshotReader>> read(group::ReplicaKey replica, raft::LogPoint point);

  // By index, rising. `bytes` and `checksum` are as the trailers say, unchecked; a file without a
  // trailer is listed with 0 of both.
  Result<std::vector<SnapshotFile>> list(group::ReplicaKey replica);
  Result<std::optional<SnapshotFile>> newest(group::ReplicaKey replica);
  // Removes those below `index`.
  Result<void> removeOlder(group::ReplicaKey replica, raft::Index index);
  // Removes all of a replica's, and its directory.
  Result<void> removeReplica(group::ReplicaKey replica);
  // Whose directories there are: for sweeping those of removed replicas.
  Result<std::vector<group::ReplicaKey>> replicas();

  std::string directoryOf(group::ReplicaKey replica) const;

private:
  std::string directory_;
};

}  // namespace flotilla::store
