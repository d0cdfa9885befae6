// A chunk of a snapshot file: bytes of one section under a name that follows from them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "flotilla/result.h"
#include "host/base/content_name.h"

namespace flotilla::group {

enum class ChunkKind : uint32_t { head = 1, group = 2, machine = 3, end = 4 };
enum class ChunkCoding : uint32_t { plain = 0, zstd = 1 };

constexpr uint64_t kChunkBytesMax = 1 << 20;      // of any chunk that is read
constexpr uint64_t kSnapshotChunksMax = 4 << 20;  // of one file

// How a chunk begins in a file of version 2 and on the wire; numbers little-endian, `stored` bytes
// follow. The name is of the kind and the bytes as they were, so it does not change with what packs
// them; the sum (XXH3) is of all of this before it and the bytes as they are stored.
struct ChunkHead {
  ChunkKind kind = ChunkKind::machine;
  uint32_t length = 0;  // of the bytes
  uint32_t stored = 0;  // of them as they lie here
  ChunkCoding coding = ChunkCoding::plain;
  base::ContentName name{};
  uint64_t sum = 0;
};
constexpr size_t kChunkHeadBytes = 56;
static_assert(sizeof(ChunkHead) == kChunkHeadBytes);

std::string_view viewOf(const ChunkHead& head);
// False where no chunk can begin so; `from` has kChunkHeadBytes.
bool readChunkHead(std::string_view from, ChunkHead& to);

// The head of a chunk that holds `bytes`, and the bytes as they are to be stored: a view of them,
// or of `packed`.
struct PackedChunk {
  ChunkHead head;
  std::string_view stored;
};
PackedChunk packChunk(ChunkKind kind, std::string_view bytes, std::string& packed);

// Whether the stored bytes are those that the head was made with.
bool sumHolds(const ChunkHead& head, std::string_view stored);
// The chunk's bytes, whose name has held; false where it does not.
bool unpackChunk(const ChunkHead& head, std::string_view stored, std::string& bytes);

// ---- files
// ---------------------------------------------------------------------------------------

// Fills `to` from `offset` on; less than `size` only at the end.
using ReadAt = std::function<Result<size_t>(uint64_t offset, char* to, size_t size)>;

struct ChunkAt {
  ChunkHead head;
  uint64_t offset = 0;  // of its stored bytes
};

// The chunks of a file of version 2, by their heads alone, up to where the file ends or is none any
// more; `wholeTo` gets the end of the last whole one. Nothing where it is of another version.
Result<std::vector<ChunkAt>> listChunks(const ReadAt& file, uint64_t* wholeTo = nullptr);

}  // namespace flotilla::group
