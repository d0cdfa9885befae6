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
constexpr size_t kPrefixBytes = 16;
constexpr uint32_t kHeadChunk = 1;
constexpr uint32_t kGroupChunk = 2;
constexpr uint32_t kMachineChunk = 3;
constexpr uint32_t kEndChunk = 4;

struct ChunkStart {
  uint32_t kind = 0;
  uint32_t length = 0;
};

struct End {
  uint64_t groupBytes = 0;
  uint64_t machineBytes = 0;
};

template <typename Plain>
std::string_view viewOf(const Plain& plain) {
  return {reinterpret_cast<const char*>(&plain), sizeof plain};
}

std::string prefix() {
  std::string bytes(kMagic);
  uint32_t numbers[] = {kSnapshotVersion, 0};
  bytes += viewOf(numbers);
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

// False where the bytes are no head.
bool decodeHead(const std::string& from, SnapshotHead& to) try {
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

}  // namespace

// ---- writing -----------------------------------------------------------------------------------

Result<void> SnapshotWriter::begin(SnapshotHead head, const Bytes& groupSection) {
  std::string start = prefix();
  chain_ = base::checksum(start);
  if (auto put = this->put(start); !put) return put;
  head.groupBytes = groupSection.size();
  groupBytes_ = groupSection.size();
  if (auto done = writeChunk(kHeadChunk, encodeHead(head)); !done) return done;
  std::string_view left = groupSection.view();
  while (!left.empty()) {
    size_t size = std::min<size_t>(left.size(), kSnapshotChunkMax);
    if (auto done = writeChunk(kGroupChunk, left.substr(0, size)); !done) return done;
    left.remove_prefix(size);
  }
  return {};
}

Result<void> SnapshotWriter::write(std::string_view piece) {
  machineBytes_ += piece.size();
  while (!piece.empty()) {
    size_t size = std::min<size_t>(piece.size(), kSnapshotChunkMax - chunk_.size());
    chunk_.append(piece.substr(0, size));
    piece.remove_prefix(size);
    if (chunk_.size() < kSnapshotChunkMax) continue;
    if (auto done = writeChunk(kMachineChunk, chunk_); !done) return done;
    chunk_.clear();
  }
  return {};
}

Result<uint64_t> SnapshotWriter::finish() {
  if (!chunk_.empty()) {
    if (auto done = writeChunk(kMachineChunk, chunk_); !done) return done.fault();
    chunk_.clear();
  }
  End end{groupBytes_, machineBytes_};
  if (auto done = writeChunk(kEndChunk, viewOf(end)); !done) return done.fault();
  return fileBytes_;
}

Result<void> SnapshotWriter::writeChunk(uint32_t kind, std::string_view bytes) {
  ASSERT(bytes.size() <= kSnapshotChunkMax);
  ChunkStart start{kind, static_cast<uint32_t>(bytes.size())};
  chain_ = base::checksum(bytes, base::checksum(viewOf(start), chain_));
  if (auto done = put(viewOf(start)); !done) return done;
  if (auto done = put(bytes); !done) return done;
  return put(viewOf(chain_));
}

Result<void> SnapshotWriter::put(std::string_view bytes) {
  fileBytes_ += bytes.size();
  return bytes.empty() ? Result<void>{} : file_.write(bytes);
}

// ---- reading -----------------------------------------------------------------------------------

Result<SnapshotHead> SnapshotReader::head() {
  std::string start(kPrefixBytes, '\0');
  if (auto done = fill(start.data(), start.size()); !done) return done.fault();
  if (start.substr(0, kMagic.size()) != kMagic) return damaged("does not begin as a snapshot");
  if (start != prefix()) {
    uint32_t version = 0;
    std::memcpy(&version, start.data() + kMagic.size(), sizeof version);
    return damaged("is of version " + std::to_string(version) + ", this build reads " +
                   std::to_string(kSnapshotVersion));
  }
  chain_ = base::checksum(start);
  auto kind = readChunk();
  if (!kind) return kind.fault();
  if (*kind != kHeadChunk || !decodeHead(chunk_, head_)) return damaged("has no head");
  if (head_.groupBytes > kGroupSectionMax) return damaged("has a group section past all bounds");
  return head_;
}

Result<Bytes> SnapshotReader::groupSection() {
  std::shared_ptr<char[]> section = Bytes::allocate(head_.groupBytes);
  uint64_t filled = 0;
  while (filled < head_.groupBytes) {
    auto kind = readChunk();
    if (!kind) return kind.fault();
    if (*kind != kGroupChunk || chunk_.size() > head_.groupBytes - filled) {
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
    if (*kind == kEndChunk) {
      ended_ = true;
      if (auto end = checkEnd(); !end) return end.fault();
      chunk_.clear();
    } else if (*kind != kMachineChunk || chunk_.empty()) {
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
  End end;
  if (chunk_.size() != sizeof end) return damaged("has no proper end");
  std::memcpy(&end, chunk_.data(), sizeof end);
  if (end.groupBytes != head_.groupBytes || end.machineBytes != machineBytes_) {
    return damaged("has sections of other sizes than its end says");
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

Result<uint32_t> SnapshotReader::readChunk() {
  ChunkStart start;
  if (auto done = fill(reinterpret_cast<char*>(&start), sizeof start); !done) return done.fault();
  if (start.length > kSnapshotChunkMax) return damaged("has a chunk past all bounds");
  chunk_.resize(start.length);
  if (auto done = fill(chunk_.data(), chunk_.size()); !done) return done.fault();
  uint64_t checksum = 0;
  if (auto done = fill(reinterpret_cast<char*>(&checksum), sizeof checksum); !done) {
    return done.fault();
  }
  chain_ = base::checksum(chunk_, base::checksum(viewOf(start), chain_));
  if (chain_ != checksum) return damaged("fails a checksum");
  return start.kind;
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
