// A snapshot file put together: sent, interrupted, resumed, with what lay here already.
#include "host/group/snapshot_collector.h"

#include <map>

#include <doctest/doctest.h>

#include "host/base/prng.h"
#include "tests/group/map_machine.h"

namespace flotilla::group {
namespace {

using test::MemoryFile;
using test::MemorySource;

constexpr raft::LogPoint kPoint{41, 3};

ReadAt readerOf(const std::string& file) {
  return [&file](uint64_t offset, char* to, size_t size) -> Result<size_t> {
    return offset > file.size() ? 0 : std::string_view(file).substr(offset).copy(to, size);
  };
}

std::string machineOf(uint64_t seed, size_t size) {
  base::Prng prng(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(prng.next());
  return bytes;
}

std::string fileOf(std::string_view machineSection, raft::LogPoint point = kPoint) {
  MemoryFile file;
  SnapshotWriter writer(file);
  REQUIRE(writer.begin({7, point, {{1, 2, 3}, {}, {}, {}, false}, 0}, Bytes::copyOf("group")).ok());
  REQUIRE(writer.write(machineSection).ok());
  REQUIRE(writer.finish().ok());
  return file.bytes;
}

struct Part final : SnapshotPart {
  std::string bytes;
  bool full = false;
  Result<void> write(std::string_view piece) override {
    if (full) return Fault{ErrorCode::diskFull, "volume log: full", {}};
    bytes += piece;
    return {};
  }
  Result<void> keepFirst(uint64_t size) override {
    bytes.resize(size);
    return {};
  }
};

struct Donors final : ChunkDonors {
  std::map<base::ContentName, std::pair<ChunkHead, std::string>> chunks;
  void add(const std::string& file) {
    auto found = listChunks(readerOf(file));
    for (const ChunkAt& each : *found) {
      chunks[each.head.name] = {each.head, file.substr(each.offset, each.head.stored)};
    }
  }
  bool has(const base::ContentName& name) override { return chunks.count(name) != 0; }
  bool take(const base::ContentName& name, ChunkHead& head, std::string& stored) override {
    auto found = chunks.find(name);
    if (found == chunks.end()) return false;
    head = found->second.first;
    stored = found->second.second;
    return true;
  }
};

// The sending side, as host/net does it; stops after so many bytes of chunks, and may spoil one.
struct Sender {
  const std::string& file;
  size_t asked = 5;
  size_t bytesMax = SIZE_MAX;
  size_t spoil = SIZE_MAX;  // the chunk of that number
  size_t sent = 0;

  Result<bool> run(SnapshotCollector& collector) {
    auto chunks = listChunks(readerOf(file));
    for (size_t at = 0; at < chunks->size();) {
      size_t count = std::min(asked, chunks->size() - at);
      std::string heads;
      for (size_t i = 0; i < count; ++i) heads += viewOf((*chunks)[at + i].head);
      auto wanted = collector.ask(heads);
      if (!wanted) return wanted.fault();
      REQUIRE(wanted->size() == count);
      for (size_t i = 0; i < count; ++i) {
        const ChunkAt& chunk = (*chunks)[at + i];
        if ((*wanted)[i] == 0) continue;
        if (sent + chunk.head.stored > bytesMax) return false;
        sent += chunk.head.stored;
        std::string stored = file.substr(chunk.offset, chunk.head.stored);
        if (at + i == spoil) stored.back() = static_cast<char>(stored.back() ^ 1);
        if (auto given = collector.give(stored); !given) return given.fault();
      }
      at += count;
    }
    if (auto done = collector.done(); !done) return done.fault();
    return true;
  }
};

std::string textOf(const Result<bool>& result) {
  return result ? "it went well" : result.fault().text;
}

}  // namespace

TEST_CASE("group/snapshot_collector: what is sent arrives as it was") {
  for (size_t size : {0UL, 1UL, 5'000'000UL}) {
    std::string file = fileOf(machineOf(1, size));
    Part part;
    Donors none;
    SnapshotCollector collector(part, none, {7, kPoint});
    REQUIRE(collector.begin(readerOf(part.bytes)).ok());
    auto sent = Sender{file}.run(collector);
    CHECK_MESSAGE(sent.ok(), textOf(sent));
    CHECK(part.bytes == file);
  }
}

TEST_CASE("group/snapshot_collector: cut anywhere, it goes on with what is missing") {
  std::string file = fileOf(machineOf(2, 4'000'000));
  Part part;
  Donors none;
  size_t sent = 0;
  for (int cut = 0; cut < 40; ++cut) {
    SnapshotCollector collector(part, none, {7, kPoint});
    REQUIRE(collector.begin(readerOf(part.bytes)).ok());
    Sender sender{file, 3, 300'000};
    auto ended = sender.run(collector);
    REQUIRE_MESSAGE(ended.ok(), textOf(ended));
    sent += sender.sent;
    if (*ended) break;
    // A crash may lose the end of what was written, or leave rubbish there.
    if (cut % 3 == 1) part.bytes.resize(part.bytes.size() - 70'000);
    if (cut % 3 == 2) part.bytes[part.bytes.size() - 1000] ^= 1;
  }
  CHECK(part.bytes == file);
  CHECK(sent < file.size() * 2);
}

TEST_CASE("group/snapshot_collector: a clean cut has nothing sent twice") {
  std::string file = fileOf(machineOf(3, 3'000'000));
  Part part;
  Donors none;
  size_t sent = 0;
  for (int cut = 0; cut < 30 && part.bytes != file; ++cut) {
    SnapshotCollector collector(part, none, {7, kPoint});
    REQUIRE(collector.begin(readerOf(part.bytes)).ok());
    Sender sender{file, 4, 400'000};
    REQUIRE(sender.run(collector).ok());
    sent += sender.sent;
  }
  CHECK(part.bytes == file);
  CHECK(sent < file.size());  // which has heads beside
}

TEST_CASE(
    "group/snapshot_collector: a damaged chunk is named, kept out, and taken when it is sent "
    "again") {
  std::string file = fileOf(machineOf(4, 3'000'000));
  Part part;
  Donors none;
  SnapshotCollector spoilt(part, none, {7, kPoint});
  REQUIRE(spoilt.begin(readerOf(part.bytes)).ok());
  Sender bad{file};
  bad.spoil = 9;
  auto refused = bad.run(spoilt);
  REQUIRE(!refused.ok());
  CHECK(refused.fault().code == ErrorCode::unavailable);
  CHECK(refused.fault().text == "snapshot: chunk 9 fails its checksum");
  CHECK(file.substr(0, part.bytes.size()) == part.bytes);
  CHECK(spoilt.ask("").fault().text == "snapshot: more after its end");
  SnapshotCollector again(part, none, {7, kPoint});
  REQUIRE(again.begin(readerOf(part.bytes)).ok());
  REQUIRE(Sender{file}.run(again).ok());
  CHECK(again.counts().kept == 9);
  CHECK(part.bytes == file);
}

TEST_CASE("group/snapshot_collector: what an older file has is not sent") {
  std::string machine = machineOf(5, 6'000'000);
  std::string older = fileOf(machine, {30, 2});
  machine[3'000'000] ^= 1;
  std::string file = fileOf(machine);
  Part part;
  Donors donors;
  donors.add(older);
  SnapshotCollector collector(part, donors, {7, kPoint});
  REQUIRE(collector.begin(readerOf(part.bytes)).ok());
  Sender sender{file};
  REQUIRE(sender.run(collector).ok());
  CHECK(part.bytes == file);
  CHECK(sender.sent < 1'000'000);
  CHECK(collector.counts().received <= 5);
  CHECK(collector.counts().copied > 20);
}

TEST_CASE("group/snapshot_collector: an older file's damaged chunk is not taken over") {
  std::string machine = machineOf(6, 2'000'000);
  std::string older = fileOf(machine, {30, 2});
  std::string file = fileOf(machine);
  Part part;
  Donors donors;
  donors.add(older);
  auto& [name, chunk] = *donors.chunks.begin();
  chunk.second.back() ^= 1;
  SnapshotCollector collector(part, donors, {7, kPoint});
  REQUIRE(collector.begin(readerOf(part.bytes)).ok());
  auto refused = Sender{file}.run(collector);
  if (refused.ok()) {
    CHECK(part.bytes == file);  // it was the older one's head or end
  } else {
    CHECK(refused.fault().code == ErrorCode::unavailable);
    CHECK(file.substr(0, part.bytes.size()) == part.bytes);
  }
}

TEST_CASE("group/snapshot_collector: a part of another file gives way") {
  std::string file = fileOf(machineOf(7, 1'000'000));
  Part part;
  part.bytes = fileOf(machineOf(8, 1'000'000));
  Donors none;
  SnapshotCollector collector(part, none, {7, kPoint});
  REQUIRE(collector.begin(readerOf(part.bytes)).ok());
  REQUIRE(Sender{file}.run(collector).ok());
  CHECK(part.bytes == file);
  CHECK(collector.counts().kept == 2);  // the head and the group's section
}

TEST_CASE(
    "group/snapshot_collector: another group's or point's, and what breaks the order, is refused") {
  std::string file = fileOf(machineOf(9, 500'000));
  Donors none;
  auto refusal = [&](uint64_t group, raft::LogPoint point) {
    Part part;
    SnapshotCollector collector(part, none, {group, point});
    REQUIRE(collector.begin(readerOf(part.bytes)).ok());
    return textOf(Sender{file}.run(collector));
  };
  CHECK(refusal(8, kPoint) == "snapshot: is another one than was announced");
  CHECK(refusal(7, {42, 3}) == "snapshot: is another one than was announced");
  Part part;
  auto fresh = [&]() {
    part.bytes.clear();
    auto made =
        std::make_unique<SnapshotCollector>(part, none, SnapshotCollector::Wanted{7, kPoint});
    REQUIRE(made->begin(readerOf(part.bytes)).ok());
    return made;
  };
  auto chunks = *listChunks(readerOf(file));
  std::string first(viewOf(chunks[0].head)), second(viewOf(chunks[1].head));
  CHECK(fresh()->give("x").fault().text == "snapshot: bytes that nobody asked for");
  CHECK(fresh()->ask("x").fault().text == "snapshot: 1 bytes of heads");
  CHECK(fresh()->ask(std::string(kChunkHeadBytes, '\0')).fault().text ==
        "snapshot: a head that is none");
  CHECK(fresh()->done().fault().text == "snapshot: done before its last chunk");
  auto one = fresh();
  CHECK(one->ask(first).ok());
  CHECK(one->ask(second).fault().text == "snapshot: chunks are told before the last came");
  auto two = fresh();
  CHECK(two->ask(second).ok());
  CHECK(two->give(file.substr(chunks[1].offset, chunks[1].head.stored)).fault().text ==
        "snapshot: does not begin with its head");
  auto three = fresh();
  CHECK(three->ask(first).ok());
  CHECK(three->give(file.substr(chunks[0].offset, chunks[0].head.stored - 1)).fault().text ==
        "snapshot: a chunk that is cut");
}

TEST_CASE("group/snapshot_collector: a full disk is passed on") {
  std::string file = fileOf(machineOf(10, 500'000));
  Part part;
  Donors none;
  SnapshotCollector collector(part, none, {7, kPoint});
  REQUIRE(collector.begin(readerOf(part.bytes)).ok());
  part.full = true;
  auto refused = Sender{file}.run(collector);
  REQUIRE(!refused.ok());
  CHECK(refused.fault().code == ErrorCode::diskFull);
  CHECK(refused.fault().text == "volume log: full");
}

TEST_CASE("group/snapshot_collector: chunks left out of what is told are missed at the end") {
  std::string file = fileOf(machineOf(11, 1'500'000));
  auto chunks = *listChunks(readerOf(file));
  chunks.erase(chunks.begin() + 5);
  Part part;
  Donors none;
  SnapshotCollector collector(part, none, {7, kPoint});
  REQUIRE(collector.begin(readerOf(part.bytes)).ok());
  std::string heads;
  for (const ChunkAt& each : chunks) heads += viewOf(each.head);
  REQUIRE(collector.ask(heads).ok());
  Result<void> given;
  for (const ChunkAt& each : chunks) {
    given = collector.give(std::string_view(file).substr(each.offset, each.head.stored));
  }
  CHECK(given.fault().text == "snapshot: has other chunks than its end says");
}

}  // namespace flotilla::group
