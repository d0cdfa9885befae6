// Snapshot files: what is written is read, and damage is found.
#include "host/group/snapshot.h"

#include <set>

#include <doctest/doctest.h>

#include "host/base/checksum.h"
#include "host/base/prng.h"
#include "tests/group/map_machine.h"

namespace flotilla::group {
namespace {

using test::MemoryFile;
using test::MemorySource;

SnapshotHead headOf() {
  return {7, {41, 3}, {{1, 2, 3}, {}, {4}, {}, false}, 0};
}

std::string fileOf(std::string_view groupSection, std::string_view machineSection) {
  MemoryFile file;
  SnapshotWriter writer(file);
  REQUIRE(writer.begin(headOf(), Bytes::copyOf(groupSection)).ok());
  while (!machineSection.empty()) {
    std::string_view piece = machineSection.substr(0, 100'001);
    REQUIRE(writer.write(piece).ok());
    machineSection.remove_prefix(piece.size());
  }
  auto bytes = writer.finish();
  REQUIRE(bytes.ok());
  CHECK(*bytes == file.bytes.size());
  return file.bytes;
}

// As builds of before wrote it.
std::string fileOfVersionOne(std::string_view groupSection, std::string_view machineSection) {
  auto number = [](auto value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
  };
  std::string file = "FLOTSNAP" + number(uint32_t{1}) + number(uint32_t{0});
  uint64_t chain = base::checksum(file);
  auto add = [&](uint32_t kind, std::string_view bytes) {
    std::string start = number(kind) + number(static_cast<uint32_t>(bytes.size()));
    chain = base::checksum(bytes, base::checksum(start, chain));
    file += start + std::string(bytes) + number(chain);
  };
  std::string now = fileOf(groupSection, machineSection);
  ChunkHead head;
  REQUIRE(readChunkHead(std::string_view(now).substr(kSnapshotPrefixBytes), head));
  std::string headBytes;
  REQUIRE(unpackChunk(head, now.substr(kSnapshotPrefixBytes + kChunkHeadBytes, head.stored),
                      headBytes));
  add(1, headBytes);
  if (!groupSection.empty()) add(2, groupSection);
  if (!machineSection.empty()) add(3, machineSection);
  add(4, number(uint64_t{groupSection.size()}) + number(uint64_t{machineSection.size()}));
  return file;
}

std::vector<ChunkAt> chunksOf(std::string_view file) {
  auto chunks = listChunks([&](uint64_t offset, char* to, size_t size) -> Result<size_t> {
    return offset > file.size() ? 0 : file.substr(offset).copy(to, size);
  });
  REQUIRE(chunks.ok());
  return *chunks;
}

// Bytes that nothing packs.
std::string noise(uint64_t seed, size_t size) {
  base::Prng prng(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(prng.next());
  return bytes;
}

bool verifies(std::string_view file) {
  MemorySource source(file);
  return verifySnapshot(source).ok();
}

}  // namespace

TEST_CASE("group/snapshot: a group's part that nobody would read is not written") {
  MemoryFile file;
  SnapshotWriter writer(file);
  const char nothing = 0;
  std::string_view large(&nothing, group::kGroupSectionMax + 1);  // not looked into
  auto begun = writer.begin(headOf(), Bytes(nullptr, large));
  REQUIRE(!begun.ok());
  CHECK(begun.fault().code == ErrorCode::tooLarge);
  CHECK(file.bytes.empty());
}

TEST_CASE("group/snapshot: a file of many chunks is read as it was written") {
  std::string group(ChunkCuts::kBytesMax + 77, 'g');
  std::string machine;
  for (size_t i = 0; machine.size() < 12 * ChunkCuts::kBytesMax; ++i) machine += std::to_string(i);
  std::string file = fileOf(group, machine);
  MemorySource source(file);
  SnapshotReader reader(source);
  auto head = reader.head();
  REQUIRE(head.ok());
  SnapshotHead wanted = headOf();
  wanted.groupBytes = group.size();
  CHECK(*head == wanted);
  auto section = reader.groupSection();
  REQUIRE(section.ok());
  CHECK(section->view() == group);
  std::string read;
  char piece[5000];
  while (true) {
    auto got = reader.read(piece, sizeof piece);
    REQUIRE(got.ok());
    if (*got == 0) break;
    read.append(piece, *got);
  }
  CHECK(read == machine);
  CHECK(reader.finish().ok());
  CHECK(verifies(file));
}

TEST_CASE("group/snapshot: empty sections are fine") {
  CHECK(verifies(fileOf("", "")));
  CHECK(verifies(fileOf("group", "")));
}

TEST_CASE("group/snapshot: each flipped bit, each cut and each byte too many is found") {
  std::string file = fileOf("the group's section", "the machine's section");
  REQUIRE(verifies(file));
  for (size_t at = 0; at < file.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = file;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      CHECK_MESSAGE(!verifies(flipped), "byte " << at << " bit " << bit);
    }
    CHECK_MESSAGE(!verifies(file.substr(0, at)), "cut to " << at);
  }
  CHECK(!verifies(file + '\0'));
  CHECK(!verifies(file + file));
}

TEST_CASE("group/snapshot: chunks that are left out, repeated or of another file are found") {
  std::string one = fileOf("group", noise(1, 8 * ChunkCuts::kBytesMax));
  std::string other = fileOf("group", noise(2, 8 * ChunkCuts::kBytesMax));
  std::vector<ChunkAt> chunks = chunksOf(one);
  REQUIRE(chunks.size() > 12);
  auto wholeOf = [](const std::string& file, const ChunkAt& chunk) {
    return file.substr(chunk.offset - kChunkHeadBytes, kChunkHeadBytes + chunk.head.stored);
  };
  size_t first = chunks[4].offset - kChunkHeadBytes;
  std::string chunk = wholeOf(one, chunks[4]);
  std::string left = one;
  left.erase(first, chunk.size());
  CHECK(!verifies(left));
  std::string repeated = one;
  repeated.insert(first, chunk);
  CHECK(!verifies(repeated));
  std::string mixed = one;
  mixed.replace(first, chunk.size(), wholeOf(other, chunksOf(other)[4]));
  CHECK(!verifies(mixed));
  std::string swapped = one;
  std::string next = wholeOf(one, chunks[5]);
  swapped.replace(first, chunk.size() + next.size(), next + chunk);
  CHECK(!verifies(swapped));
}

TEST_CASE("group/snapshot: chunks are packed where that makes them smaller") {
  std::string machine;
  for (size_t i = 0; machine.size() < 1 << 20; ++i) machine += "row " + std::to_string(i);
  CHECK(fileOf("", machine).size() < machine.size() / 2);
  std::string file = fileOf("", noise(1, 1 << 20));
  CHECK(file.size() < (1 << 20) + 64 * kChunkHeadBytes);
  CHECK(verifies(file));
}

TEST_CASE("group/snapshot: a small change leaves most chunks as they were") {
  std::string machine = noise(3, 8 << 20);
  auto namesOf = [&]() {
    std::set<base::ContentName> names;
    for (const ChunkAt& chunk : chunksOf(fileOf("group", machine))) names.insert(chunk.head.name);
    return names;
  };
  std::set<base::ContentName> before = namesOf();
  machine.insert(1 << 20, "some bytes more");
  machine[5 << 20] = static_cast<char>(machine[5 << 20] + 1);
  machine.erase(7 << 20, 1000);
  size_t fresh = 0;
  std::set<base::ContentName> after = namesOf();
  for (const base::ContentName& name : after) fresh += before.count(name) == 0 ? 1 : 0;
  CHECK(before.size() > 50);
  CHECK(fresh <= 10);  // the end among them
}

TEST_CASE("group/snapshot: a section is cut alike however it comes") {
  std::string bytes = noise(4, 3 << 20);
  auto sizes = [&](size_t pieceBytes) {
    ChunkCuts cuts;
    std::vector<size_t> found(1);
    for (size_t at = 0; at < bytes.size();) {
      auto part =
          cuts.take(std::string_view(bytes).substr(at, std::min(pieceBytes, bytes.size() - at)));
      REQUIRE(part.size > 0);
      at += part.size;
      found.back() += part.size;
      if (part.ends) found.push_back(0);
    }
    return found;
  };
  std::vector<size_t> whole = sizes(bytes.size());
  CHECK(whole == sizes(777));
  CHECK(whole == sizes(1));
  REQUIRE(whole.size() > 20);
  whole.pop_back();
  for (size_t size : whole) {
    CHECK(size >= ChunkCuts::kBytesMin);
    CHECK(size <= ChunkCuts::kBytesMax);
  }
  bytes.assign(1 << 20, 'z');  // nothing to cut by
  CHECK(sizes(bytes.size())[0] == ChunkCuts::kBytesMax);
}

TEST_CASE("group/snapshot: files of version 1 are read, and their damage is found") {
  std::string machine = noise(5, 100'000);
  std::string file = fileOfVersionOne("the group's section", machine);
  MemorySource source(file);
  SnapshotReader reader(source);
  auto head = reader.head();
  REQUIRE(head.ok());
  CHECK(head->point == headOf().point);
  CHECK(reader.groupSection()->view() == "the group's section");
  std::string read(machine.size() + 1, '\0');
  CHECK(*reader.read(read.data(), read.size()) == machine.size());
  read.pop_back();
  CHECK(read == machine);
  CHECK(reader.finish().ok());
  CHECK(chunksOf(file).empty());
  for (size_t at = 0; at < file.size(); at += 997) {
    std::string flipped = file;
    flipped[at] = static_cast<char>(flipped[at] ^ 4);
    CHECK(!verifies(flipped));
    CHECK(!verifies(file.substr(0, at)));
  }
}

TEST_CASE("group/snapshot: another version is named") {
  std::string file = fileOf("g", "m");
  file[8] = 9;
  MemorySource source(file);
  auto head = verifySnapshot(source);
  REQUIRE(!head.ok());
  CHECK(head.fault().code == ErrorCode::corrupt);
  CHECK(head.fault().text ==
        "snapshot: is of version 9, this build reads up to 2 (byte 16); it is not used, another "
        "replica's will be");
}

TEST_CASE("group/snapshot: equal states give equal files") {
  CHECK(fileOf("g", "m") == fileOf("g", "m"));
}

}  // namespace flotilla::group
