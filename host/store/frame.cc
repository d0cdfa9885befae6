// How one burst of writes lies on disk: a frame of records.
#include "host/store/frame.h"

#include <array>
#include <limits>
#include <utility>

#include "host/base/assert.h"
#include "host/base/checksum.h"
#include "host/store/packing.h"

namespace flotilla::store {

namespace {

constexpr uint32_t kMagic = 0x52464c46;  // "FLFR"

uint64_t mix(uint64_t seed, uint64_t value) {
  uint64_t z = (seed ^ value) + 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

uint64_t lineSeed(const Record& record) {
  uint64_t seed = mix(static_cast<uint64_t>(record.kind), record.count);
  return mix(mix(mix(seed, record.key.group), record.key.replica), record.first);
}

uint64_t entryChecksum(const group::ReplicaKey& key, const raft::LogPoint& point,
                       std::string_view payload) {
  return base::checksum(payload, mix(mix(mix(key.group, key.replica), point.index), point.term));
}

uint64_t headChecksum(std::string_view key, std::string_view head, std::string_view directory) {
  return base::checksum(directory, base::checksum(head, base::checksum(key)));
}

void putLine(Packer& to, const Record& record) {
  to.fixed32(static_cast<uint32_t>(record.kind));
  to.fixed32(record.count);
  to.fixed64(record.key.group);
  to.fixed64(record.key.replica);
  to.fixed64(record.first);
  to.fixed32(record.offset);
  to.fixed32(record.length);
  to.fixed64(record.checksum);
}

void appendEntryLine(std::string& to, const group::ReplicaKey& key, const group::LogEntry& entry) {
  std::array<char, kEntryLineBytes> room;
  Packer line(room.data());
  line.fixed64(entry.term);
  line.fixed32(static_cast<uint32_t>(entry.payload.size()));
  line.fixed32(0);
  line.fixed64(entryChecksum(key, {entry.index, entry.term}, entry.payload.view()));
  ASSERT(line.at() == room.end());
  to.append(room.data(), room.size());
}

Record takeLine(Unpacker& in) {
  Record record;
  record.kind = static_cast<RecordKind>(in.fixed32());
  record.count = in.fixed32();
  record.key.group = in.fixed64();
  record.key.replica = in.fixed64();
  record.first = in.fixed64();
  record.offset = in.fixed32();
  record.length = in.fixed32();
  record.checksum = in.fixed64();
  return record;
}

Fault damage(std::string_view what) {
  return Fault{ErrorCode::corrupt, "frame head: " + std::string(what), {}};
}

}  // namespace

std::string frameKey(uint64_t number) {
  std::string key;
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(number >> shift));
  return key;
}

void FrameBuilder::run(RecordKind kind, group::ReplicaKey key,
                       std::vector<const group::LogEntry*> entries) {
  ASSERT(!entries.empty());
  Record record{.kind = kind, .key = key, .first = entries.front()->index};
  record.count = static_cast<uint32_t>(entries.size());
  uint64_t length = entries.size() * kEntryLineBytes;
  for (size_t i = 0; i < entries.size(); ++i) {
    ASSERT(entries[i]->index == record.first + i);
    length += entries[i]->payload.size();
  }
  ASSERT(length <= std::numeric_limits<uint32_t>::max() / 2);
  record.length = static_cast<uint32_t>(length);
  bytes_ += kLineBytes + length;
  records_.push_back(record);
  bodies_.push_back(Body{std::move(entries), {}});
}

void FrameBuilder::note(RecordKind kind, group::ReplicaKey key, std::string body) {
  Record record{.kind = kind, .key = key};
  record.length = static_cast<uint32_t>(body.size());
  bytes_ += kLineBytes + body.size();
  records_.push_back(record);
  bodies_.push_back(Body{{}, std::move(body)});
}

void FrameBuilder::clear() {
  records_.clear();
  bodies_.clear();
  bytes_ = kHeadBytes;
}

void FrameBuilder::finish(FrameHead& head, std::string& bytes) {
  ASSERT(bytes_ <= std::numeric_limits<uint32_t>::max());
  bytes.clear();
  bytes.reserve(bytes_);
  // The bodies are laid out behind room for head and directory, which are filled in last.
  bytes.resize(kHeadBytes + kLineBytes * records_.size());
  for (size_t i = 0; i < records_.size(); ++i) {
    Record& record = records_[i];
    record.offset = static_cast<uint32_t>(bytes.size());
    std::string_view covered;
    if (record.hasEntries()) {
      for (const group::LogEntry* entry : bodies_[i].entries) {
        appendEntryLine(bytes, record.key, *entry);
      }
      for (const group::LogEntry* entry : bodies_[i].entries) bytes.append(entry->payload.view());
      covered = std::string_view(bytes).substr(record.offset, record.count * kEntryLineBytes);
    } else {
      bytes.append(bodies_[i].note);
      covered = bodies_[i].note;
    }
    record.checksum = base::checksum(covered, lineSeed(record));
  }
  Packer directory(bytes.data() + kHeadBytes);
  for (const Record& record : records_) putLine(directory, record);
  Packer start(bytes.data());
  start.fixed32(kMagic);
  start.fixed32(kFrameVersion);
  start.fixed64(head.number);
  start.fixed64(head.syncedThrough);
  start.fixed64(head.previous);
  start.fixed32(static_cast<uint32_t>(records_.size()));
  start.fixed32(0);
  start.fixed64(bytes.size());
  std::string_view all = bytes;
  head.checksum = headChecksum(frameKey(head.number), all.substr(0, kHeadBytes - 8),
                               all.substr(kHeadBytes, kLineBytes * records_.size()));
  start.fixed64(head.checksum);
  ASSERT(start.at() == bytes.data() + kHeadBytes);
}

Result<FrameView> FrameView::parse(std::string_view key, std::string_view bytes) {
  if (bytes.size() < kHeadBytes) return damage("only " + std::to_string(bytes.size()) + " bytes");
  Unpacker in(bytes);
  if (in.fixed32() != kMagic) return damage("it does not begin with the mark of a frame");
  uint32_t version = in.fixed32();
  FrameView view;
  view.bytes_ = bytes;
  view.head_.number = in.fixed64();
  view.head_.syncedThrough = in.fixed64();
  view.head_.previous = in.fixed64();
  uint64_t count = in.fixed32();
  in.fixed32();
  uint64_t frameBytes = in.fixed64();
  view.head_.checksum = in.fixed64();
  if (bytes.size() < kHeadBytes + count * kLineBytes) return damage("its directory is cut");
  std::string_view directory = bytes.substr(kHeadBytes, count * kLineBytes);
  if (view.head_.checksum != headChecksum(key, bytes.substr(0, kHeadBytes - 8), directory)) {
    return damage("it fails its checksum");
  }
  if (version != kFrameVersion) {
    return Fault{ErrorCode::corrupt,
                 "written in format " + std::to_string(version) + ", this host reads format " +
                     std::to_string(kFrameVersion),
                 {}};
  }
  if (frameBytes != bytes.size()) return damage("it says another length than it has");
  view.records_.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    Record record = takeLine(in);
    if (uint64_t{record.offset} + record.length > bytes.size()) return damage("a record is cut");
    view.records_.push_back(record);
  }
  return view;
}

std::optional<Record> FrameView::lineAt(std::string_view bytes, uint32_t place) {
  uint64_t at = kHeadBytes + uint64_t{place} * kLineBytes;
  if (at + kLineBytes > bytes.size()) return std::nullopt;
  Unpacker in(bytes.substr(at, kLineBytes));
  Record record = takeLine(in);
  if (uint64_t{record.offset} + record.length > bytes.size()) return std::nullopt;
  return record;
}

bool FrameView::intact(const Record& record) const {
  if (!record.hasEntries())
    return base::checksum(body(record), lineSeed(record)) == record.checksum;
  RunView run(record, body(record));
  if (!run.good()) return false;
  for (uint32_t place = 0; place < record.count; ++place) {
    if (!run.entry(place)) return false;
  }
  return true;
}

RunView::RunView(const Record& record, std::string_view body) : record_(record), body_(body) {
  nextOffset_ = uint64_t{record.count} * kEntryLineBytes;
  if (body.size() < nextOffset_) return;
  good_ = base::checksum(body.substr(0, nextOffset_), lineSeed(record)) == record.checksum;
}

uint32_t RunView::lengthOf(uint32_t place) const {
  return Unpacker(body_.substr(place * kEntryLineBytes + 8)).fixed32();
}

std::optional<RunEntry> RunView::entry(uint32_t place) {
  ASSERT(good_);
  ASSERT(place < record_.count);
  if (place < nextPlace_) {
    nextPlace_ = 0;
    nextOffset_ = uint64_t{record_.count} * kEntryLineBytes;
  }
  for (; nextPlace_ < place; ++nextPlace_) nextOffset_ += lengthOf(nextPlace_);
  Unpacker line(body_.substr(place * kEntryLineBytes));
  RunEntry entry{.term = line.fixed64(), .payload = {}};
  uint64_t length = line.fixed32();
  line.fixed32();
  uint64_t sum = line.fixed64();
  if (nextOffset_ + length > body_.size()) return std::nullopt;
  entry.payload = body_.substr(nextOffset_, length);
  if (sum != entryChecksum(record_.key, {record_.first + place, entry.term}, entry.payload)) {
    return std::nullopt;
  }
  return entry;
}

}  // namespace flotilla::store
