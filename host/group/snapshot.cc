// A snapshot file: a head, the group's section, the machine's section, an end.
#include "host/group/snapshot.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include "host/base/assert.h"
#include "host/base/checksum.h"
#include "host/group/configuration_words.h"
#include "schemas/log.capnp.h"

namespace flotilla::group {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kMagic = "FLOTSNAP";

// How a chunk of version 1 begins.
struct ChunkStart {
  uint32_t kind = 0;
  uint32_t length = 0;
};

// The end of a file of version 1.
struct EndOfOne {
  uint64_t groupBytes = 0;
  uint64_t machineBytes = 0;
};

template <typename Plain>
std::string_view bytesOf(const Plain& plain) {
  return {reinterpret_cast<const char*>(&plain), sizeof plain};
}

std::string prefixOf(uint32_t version) {
  std::string bytes(kMagic);
  uint32_t numbers[] = {version, 0};
  bytes += bytesOf(numbers);
  return bytes;
}

std::string encodeHead(const SnapshotHead& head) {
  capnp::MallocMessageBuilder builder;
  auto to = builder.initRoot<schema::SnapshotHead>();
  to.setGroup(head.group);
  to.setIndex(head.point.index);
  to.setTerm(head.point.term);
  to.setGroupBytes(head.groupBytes);
  writeConfiguration(head.configuration, to.initConfiguration());
  kj::Array<capnp::word> words = capnp::messageToFlatArray(builder);
  auto bytes = words.asBytes();
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

}  // namespace

std::string_view snapshotPrefix() {
  static const std::string prefix = prefixOf(kSnapshotVersion);
  return prefix;
}

void ChunkNames::add(const base::ContentName& name) {
  ++count;
  all = base::contentName(bytesOf(all), bytesOf(name));
}

bool readSnapshotHead(const std::string& from, SnapshotHead& to) try {
  if (from.empty() || from.size() % sizeof(capnp::word) != 0) return false;
  Bytes aligned = Bytes::copyOf(from);
  kj::ArrayPtr<const capnp::word> words(reinterpret_cast<const capnp::word*>(aligned.data()),
                                        aligned.size() / sizeof(capnp::word));
  capnp::FlatArrayMessageReader reader(words);
  auto head = reader.getRoot<schema::SnapshotHead>();
  to.group = head.getGroup();
  to.point = {head.getIndex(), head.getTerm()};
  to.groupBytes = head.getGroupBytes();
  return readConfiguration(head.getConfiguration(), to.configuration);
} catch (const kj::Exception&) {
  return false;
}

// ---- writing -----------------------------------------------------------------------------------

Result<void> SnapshotWriter::begin(SnapshotHead head, const Bytes& groupSection) {
  if (groupSection.size() > kGroupSectionMax) {  // nobody would read it again
    return Fault{ErrorCode::tooLarge,
                 "snapshot: the group's own part takes " + std::to_string(groupSection.size()) +
                     " bytes, at most " + std::to_string(kGroupSectionMax) +
                     "; its sessions keep too long answers",
                 {}};
  }
  if (auto done = put(snapshotPrefix()); !done) return done;
  head.groupBytes = groupSection.size();
  groupBytes_ = groupSection.size();
  if (auto done = writeChunk(ChunkKind::head, encodeHead(head)); !done) return done;
  if (auto done = writeSection(ChunkKind::group, groupSection.view()); !done) return done;
  return endSection(ChunkKind::group);
}

Result<void> SnapshotWriter::write(std::string_view piece) {
  machineBytes_ += piece.size();
  return writeSection(ChunkKind::machine, piece);
}

Result<uint64_t> SnapshotWriter::finish() {
  if (auto done = endSection(ChunkKind::machine); !done) return done.fault();
  SnapshotEnd end{groupBytes_, machineBytes_, names_.count, names_.all};
  if (auto done = writeChunk(ChunkKind::end, bytesOf(end)); !done) return done.fault();
  return fileBytes_;
}

Result<void> SnapshotWriter::writeSection(ChunkKind kind, std::string_view piece) {
  while (!piece.empty()) {
    ChunkCuts::Part part = cuts_.take(piece);
    chunk_.append(piece.substr(0, part.size));
    piece.remove_prefix(part.size);
    if (!part.ends) continue;
    if (auto done = writeChunk(kind, chunk_); !done) return done;
    chunk_.clear();
  }
  return {};
}

Result<void> SnapshotWriter::endSection(ChunkKind kind) {
  cuts_ = ChunkCuts();
  if (chunk_.empty()) return {};
  auto done = writeChunk(kind, chunk_);
  chunk_.clear();
  return done;
}

Result<void> SnapshotWriter::writeChunk(ChunkKind kind, std::string_view bytes) {
  ASSERT(bytes.size() <= kChunkBytesMax);
  PackedChunk chunk = packChunk(kind, bytes, packed_);
  names_.add(chunk.head.name);
  if (auto done = put(viewOf(chunk.head)); !done) return done;
  return put(chunk.stored);
}

Result<void> SnapshotWriter::put(std::string_view bytes) {
  fileBytes_ += bytes.size();
  return bytes.empty() ? Result<void>{} : file_.write(bytes);
}

// ---- reading -----------------------------------------------------------------------------------

Result<SnapshotHead> SnapshotReader::head() {
  std::string start(kSnapshotPrefixBytes, '\0');
  if (auto done = fill(start.data(), start.size()); !done) return done.fault();
  if (start.substr(0, kMagic.size()) != kMagic) return damaged("does not begin as a snapshot");
  std::memcpy(&version_, start.data() + kMagic.size(), sizeof version_);
  if (version_ == 0 || version_ > kSnapshotVersion) {
    return damaged("is of version " + std::to_string(version_) + ", this build reads up to " +
                   std::to_string(kSnapshotVersion));
  }
  if (start != prefixOf(version_)) return damaged("does not begin as a snapshot");
  chain_ = base::checksum(start);
  auto kind = readChunk();
  if (!kind) return kind.fault();
  if (*kind != ChunkKind::head || !readSnapshotHead(chunk_, head_)) return damaged("has no head");
  if (head_.groupBytes > kGroupSectionMax) return damaged("has a group section past all bounds");
  return head_;
}

Result<Bytes> SnapshotReader::groupSection() {
  std::shared_ptr<char[]> section = Bytes::allocate(head_.groupBytes);
  uint64_t filled = 0;
  while (filled < head_.groupBytes) {
    auto kind = readChunk();
    if (!kind) return kind.fault();
    if (*kind != ChunkKind::group || chunk_.size() > head_.groupBytes - filled) {
      return damaged("has a group section of another size than its head says");
    }
    std::memcpy(section.get() + filled, chunk_.data(), chunk_.size());
    filled += chunk_.size();
  }
  chunk_.clear();
  return Bytes::take(std::move(section), filled);
}

Result<size_t> SnapshotReader::read(char* to, size_t size) {
  if (taken_ == chunk_.size() && !ended_) {
    auto kind = readChunk();
    if (!kind) return kind.fault();
    taken_ = 0;
    if (*kind == ChunkKind::end) {
      ended_ = true;
      if (auto end = checkEnd(); !end) return end.fault();
      chunk_.clear();
    } else if (*kind != ChunkKind::machine || chunk_.empty()) {
      return damaged("has a chunk out of place");
    }
    machineBytes_ += chunk_.size();
  }
  size_t given = std::min(size, chunk_.size() - taken_);
  if (given != 0) std::memcpy(to, chunk_.data() + taken_, given);
  taken_ += given;
  return given;
}

Result<void> SnapshotReader::finish() {
  while (!ended_) {
    taken_ = chunk_.size();  // what the machine left unread
    auto got = read(nullptr, 0);
    if (!got) return got.fault();
  }
  char beyond = 0;
  auto got = file_.read(&beyond, 1);
  if (!got) return got.fault();
  if (*got != 0) return damaged("goes on after its end");
  return {};
}

Result<void> SnapshotReader::checkEnd() {
  SnapshotEnd end;
  size_t size = version_ == 1 ? sizeof(EndOfOne) : sizeof end;
  if (chunk_.size() != size) return damaged("has no proper end");
  std::memcpy(&end, chunk_.data(), size);
  if (end.groupBytes != head_.groupBytes || end.machineBytes != machineBytes_) {
    return damaged("has sections of other sizes than its end says");
  }
  if (version_ != 1 && (end.chunks != names_.count || end.names != names_.all)) {
    return damaged("has other chunks than its end says");
  }
  return {};
}

Result<void> SnapshotReader::fill(char* to, size_t size) {
  size_t filled = 0;
  while (filled < size) {
    auto got = file_.read(to + filled, size - filled);
    if (!got) return got.fault();
    if (*got == 0) return damaged("ends too early");
    filled += *got;
    offset_ += *got;
  }
  return {};
}

Result<ChunkKind> SnapshotReader::readChunk() {
  if (version_ == 1) return readChunkOfOne();
  char bytes[kChunkHeadBytes];
  if (auto done = fill(bytes, sizeof bytes); !done) return done.fault();
  ChunkHead head;
  if (!readChunkHead({bytes, sizeof bytes}, head)) return damaged("has a chunk past all bounds");
  stored_.resize(head.stored);
  if (auto done = fill(stored_.data(), stored_.size()); !done) return done.fault();
  if (!unpackChunk(head, stored_, chunk_)) {
    return damaged("fails the checksum of its chunk " + std::to_string(names_.count));
  }
  if (head.kind != ChunkKind::end) names_.add(head.name);
  return head.kind;
}

Result<ChunkKind> SnapshotReader::readChunkOfOne() {
  ChunkStart start;
  if (auto done = fill(reinterpret_cast<char*>(&start), sizeof start); !done) return done.fault();
  if (start.length > kChunkBytesMax) return damaged("has a chunk past all bounds");
  chunk_.resize(start.length);
  if (auto done = fill(chunk_.data(), chunk_.size()); !done) return done.fault();
  uint64_t checksum = 0;
  if (auto done = fill(reinterpret_cast<char*>(&checksum), sizeof checksum); !done) {
    return done.fault();
  }
  chain_ = base::checksum(chunk_, base::checksum(bytesOf(start), chain_));
  if (chain_ != checksum) return damaged("fails a checksum");
  return static_cast<ChunkKind>(start.kind);
}

Fault SnapshotReader::damaged(const std::string& text) const {
  return {ErrorCode::corrupt,
          "snapshot: " + text + " (byte " + std::to_string(offset_) +
              "); it is not used, another replica's will be",
          {}};
}

Result<SnapshotHead> verifySnapshot(SnapshotSource& file) {
  SnapshotReader reader(file);
  auto head = reader.head();
  if (!head) return head;
  if (auto section = reader.groupSection(); !section) return section.fault();
  if (auto rest = reader.finish(); !rest) return rest.fault();
  return head;
}

}  // namespace flotilla::group
