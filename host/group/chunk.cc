// A chunk of a snapshot file.
#include "host/group/chunk.h"

#include <bit>
#include <cstddef>
#include <cstring>

#include "host/base/checksum.h"
#include "host/base/packer.h"
#include "host/group/chunk_cuts.h"
#include "host/group/snapshot.h"

namespace flotilla::group {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr size_t kSummedBytes = offsetof(ChunkHead, sum);

uint64_t sumOf(const ChunkHead& head, std::string_view stored) {
  return base::checksum(stored, base::checksum(viewOf(head).substr(0, kSummedBytes)));
}

base::ContentName nameOf(ChunkKind kind, std::string_view bytes) {
  return base::contentName({reinterpret_cast<const char*>(&kind), sizeof kind}, bytes);
}

}  // namespace

std::string_view viewOf(const ChunkHead& head) {
  return {reinterpret_cast<const char*>(&head), sizeof head};
}

bool readChunkHead(std::string_view from, ChunkHead& to) {
  if (from.size() < kChunkHeadBytes) return false;
  std::memcpy(&to, from.data(), kChunkHeadBytes);
  bool known = to.kind >= ChunkKind::head && to.kind <= ChunkKind::end &&
               (to.coding == ChunkCoding::plain || to.coding == ChunkCoding::zstd);
  bool plain = to.coding == ChunkCoding::plain;
  return known && to.length <= kChunkBytesMax && to.stored <= to.length &&
         (!plain || to.stored == to.length);
}

PackedChunk packChunk(ChunkKind kind, std::string_view bytes, std::string& packed) {
  PackedChunk chunk;
  chunk.head.kind = kind;
  chunk.head.length = static_cast<uint32_t>(bytes.size());
  chunk.stored = bytes;
  // A shorter one is a small state's, or a section's end: zstd takes longer to begin than to pack
  // it.
  if (bytes.size() >= ChunkCuts::kBytesMin && base::pack(bytes, packed)) {
    chunk.head.coding = ChunkCoding::zstd;
    chunk.stored = packed;
  }
  chunk.head.stored = static_cast<uint32_t>(chunk.stored.size());
  chunk.head.name = nameOf(kind, bytes);
  chunk.head.sum = sumOf(chunk.head, chunk.stored);
  return chunk;
}

bool sumHolds(const ChunkHead& head, std::string_view stored) {
  return stored.size() == head.stored && sumOf(head, stored) == head.sum;
}

bool unpackChunk(const ChunkHead& head, std::string_view stored, std::string& bytes) {
  if (!sumHolds(head, stored)) return false;
  if (head.coding == ChunkCoding::plain) {
    bytes.assign(stored);
  } else if (!base::unpack(stored, head.length, bytes)) {
    return false;
  }
  return nameOf(head.kind, bytes) == head.name;
}

Result<std::vector<ChunkAt>> listChunks(const ReadAt& file, uint64_t* wholeTo) {
  std::vector<ChunkAt> chunks;
  if (wholeTo != nullptr) *wholeTo = 0;
  char bytes[kChunkHeadBytes];
  auto got = file(0, bytes, kSnapshotPrefixBytes);
  if (!got) return got.fault();
  if (std::string_view(bytes, *got) != snapshotPrefix()) return chunks;
  uint64_t offset = kSnapshotPrefixBytes;
  if (wholeTo != nullptr) *wholeTo = offset;
  while (chunks.size() < kSnapshotChunksMax) {
    got = file(offset, bytes, kChunkHeadBytes);
    if (!got) return got.fault();
    ChunkAt chunk;
    chunk.offset = offset + kChunkHeadBytes;
    if (!readChunkHead({bytes, *got}, chunk.head)) break;
    offset = chunk.offset + chunk.head.stored;
    char last = 0;
    bool whole = true;
    if (chunk.head.stored != 0) {
      got = file(offset - 1, &last, 1);
      if (!got) return got.fault();
      whole = *got == 1;
    }
    if (!whole) break;
    chunks.push_back(chunk);
    if (wholeTo != nullptr) *wholeTo = offset;
    if (chunk.head.kind == ChunkKind::end) break;
  }
  return chunks;
}

}  // namespace flotilla::group
