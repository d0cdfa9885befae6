// A snapshot file: a head, the group's section, the machine's section, an end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "flotilla/bytes.h"
#include "flotilla/result.h"
#include "host/group/chunk.h"
#include "host/group/chunk_cuts.h"
#include "host/group/ports.h"
#include "host/raft/types.h"

namespace flotilla::group {

// The file, numbers little-endian:
//
//   prefix   "FLOTSNAP", version u32, 0 u32
//   chunk*   a ChunkHead, its stored bytes
//
// Chunks are one head, the group's section, the machine's section, and one end that repeats how
// many bytes each section has, how many chunks came before it, and what all their names come to. A
// flipped bit is found by its chunk's sum and name; a chunk that is missing, repeated or from
// elsewhere, and bytes after the end, by the end. Sections are cut by their content (ChunkCuts), so
// states that differ little have most chunks in common. Nothing names the replica that wrote it:
// equal states give equal files, where both know how to save answers (kRunsVersion).
//
// Version 1, which is read but not written any more: chunks of up to 1 MiB as kind u32, length u32,
// bytes, checksum u64, which is XXH3 over all of it before, continued from the previous chunk's
// (the prefix's for the first).
constexpr uint32_t kSnapshotVersion = 2;
constexpr size_t kSnapshotPrefixBytes = 16;
constexpr uint64_t kGroupSectionMax = 512 << 20;

std::string_view snapshotPrefix();  // of kSnapshotVersion

struct SnapshotHead {
  uint64_t group = 0;
  raft::LogPoint point;
  raft::Configuration configuration;
  uint64_t groupBytes = 0;  // of the group section; the writer fills it in

  bool operator==(const SnapshotHead&) const = default;
};

// What the names of chunks come to, one after the other.
struct ChunkNames {
  uint64_t count = 0;
  base::ContentName all{};

  void add(const base::ContentName& name);
};

// The content of a file's last chunk.
struct SnapshotEnd {
  uint64_t groupBytes = 0;
  uint64_t machineBytes = 0;
  uint64_t chunks = 0;  // before it
  base::ContentName names{};
};

// False where a head chunk's bytes are none.
bool readSnapshotHead(const std::string& from, SnapshotHead& to);

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
  Result<void> writeSection(ChunkKind kind, std::string_view piece);
  Result<void> endSection(ChunkKind kind);
  Result<void> writeChunk(ChunkKind kind, std::string_view bytes);
  Result<void> put(std::string_view bytes);

  SnapshotSink& file_;
  ChunkCuts cuts_;
  std::string chunk_;  // of the section at hand, until it is cut
  std::string packed_;
  ChunkNames names_;
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
  Result<ChunkKind> readChunk();             // into chunk_; its kind
  Result<ChunkKind> readChunkOfOne();        // the same for a file of version 1
  Result<void> checkEnd();
  Fault damaged(const std::string& text) const;

  SnapshotSource& file_;
  uint32_t version_ = 0;
  SnapshotHead head_;
  std::string chunk_;
  size_t taken_ = 0;  // of chunk_, where it is the machine's
  bool ended_ = false;
  std::string stored_;
  ChunkNames names_;    // of the chunks before chunk_
  uint64_t chain_ = 0;  // version 1
  uint64_t machineBytes_ = 0;
  uint64_t offset_ = 0;  // in the file
};

// Reads a whole file and checks all of it. What a received file goes through before it is used.
Result<SnapshotHead> verifySnapshot(SnapshotSource& file);

}  // namespace flotilla::group
