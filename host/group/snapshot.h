// A snapshot file: a head, the group's section, the machine's section, an end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "flotilla/bytes.h"
#include "flotilla/result.h"
#include "host/group/ports.h"
#include "host/raft/types.h"

namespace flotilla::group {

// The file, numbers little-endian:
//
//   prefix   "FLOTSNAP", version u32, 0 u32
//   chunk*   kind u32, length u32, bytes, checksum u64
//
// Chunks are one head, the group's section, the machine's section, and one end that repeats how
// many bytes each section has. A chunk's checksum is XXH3 over all of it before, continued from the
// previous chunk's (the prefix's for the first): a flipped bit, a chunk that is missing, repeated
// or from elsewhere, and bytes after the end are all found. Nothing names the replica that wrote
// it: equal states give equal files.
constexpr uint32_t kSnapshotVersion = 1;
constexpr uint64_t kSnapshotChunkMax = 1 << 20;
constexpr uint64_t kGroupSectionMax = 512 << 20;

struct SnapshotHead {
  uint64_t group = 0;
  raft::LogPoint point;
  raft::Configuration configuration;
  uint64_t groupBytes = 0;  // of the group section; the writer fills it in

  bool operator==(const SnapshotHead&) const = default;
};

// Writes one file piece by piece.
//
// Owner:  whoever saves; refers to `file` and must not outlive it.
// Thread: its owner's.
// Errors: the sink's, at once; after one the file is worth nothing.
class SnapshotWriter final : public SnapshotSink {
public:
  explicit SnapshotWriter(SnapshotSink& file) : file_(file) {}

  Result<void> begin(SnapshotHead head, const Bytes& groupSection);
  Result<void> write(std::string_view piece) override;  // of the machine's section
  Result<uint64_t> finish();                            // the file's size

private:
  Result<void> writeChunk(uint32_t kind, std::string_view bytes);
  Result<void> put(std::string_view bytes);

  SnapshotSink& file_;
  std::string chunk_;  // of the machine's section, until it is full
  uint64_t chain_ = 0;
  uint64_t groupBytes_ = 0;
  uint64_t machineBytes_ = 0;
  uint64_t fileBytes_ = 0;
};

// Reads one file; gives out only bytes whose checksum has held. That the file is whole is known
// when `finish` has answered well: what was loaded before is thrown away where it does not.
//
// Owner:  whoever loads; refers to `file` and must not outlive it.
// Thread: its owner's.
// Errors: a Fault `corrupt` with the place, or the source's own.
class SnapshotReader final : public SnapshotSource {
public:
  explicit SnapshotReader(SnapshotSource& file) : file_(file) {}

  Result<SnapshotHead> head();                          // first
  Result<Bytes> groupSection();                         // second
  Result<size_t> read(char* to, size_t size) override;  // then the machine's section
  Result<void> finish();                                // reads what is left, and checks the end

private:
  Result<void> fill(char* to, size_t size);  // exactly `size` bytes of the file
  Result<uint32_t> readChunk();              // into chunk_; its kind
  Result<void> checkEnd();
  Fault damaged(const std::string& text) const;

  SnapshotSource& file_;
  SnapshotHead head_;
  std::string chunk_;
  size_t taken_ = 0;  // of chunk_, where it is the machine's
  bool ended_ = false;
  uint64_t chain_ = 0;
  uint64_t machineBytes_ = 0;
  uint64_t offset_ = 0;  // in the file
};

// Reads a whole file and checks all of it. What a received file goes through before it is used.
Result<SnapshotHead> verifySnapshot(SnapshotSource& file);

}  // namespace flotilla::group
