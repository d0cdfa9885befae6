// Snapshot files: what is written is read, and damage is found.
#include "host/group/snapshot.h"

#include <doctest/doctest.h>

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

bool verifies(std::string_view file) {
  MemorySource source(file);
  return verifySnapshot(source).ok();
}

}  // namespace

TEST_CASE("group/snapshot: a file of many chunks is read as it was written") {
  std::string group(kSnapshotChunkMax + 77, 'g');
  std::string machine;
  for (size_t i = 0; machine.size() < 3 * kSnapshotChunkMax; ++i) machine += std::to_string(i);
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
  std::string one = fileOf("group", std::string(2 * kSnapshotChunkMax, 'a'));
  std::string other = fileOf("group", std::string(2 * kSnapshotChunkMax, 'b'));
  REQUIRE(one.size() == other.size());
  constexpr size_t kChunk = kSnapshotChunkMax + 16;
  constexpr size_t kEnd = 32;
  size_t first = one.size() - kEnd - 2 * kChunk;
  std::string left = one;
  left.erase(first, kChunk);
  CHECK(!verifies(left));
  std::string repeated = one;
  repeated.insert(first, one.substr(first, kChunk));
  CHECK(!verifies(repeated));
  std::string mixed = one;
  mixed.replace(first + kChunk, kChunk, other.substr(first + kChunk, kChunk));
  CHECK(!verifies(mixed));
}

TEST_CASE("group/snapshot: another version is named") {
  std::string file = fileOf("g", "m");
  file[8] = 9;
  MemorySource source(file);
  auto head = verifySnapshot(source);
  REQUIRE(!head.ok());
  CHECK(head.fault().code == ErrorCode::corrupt);
  CHECK(head.fault().text ==
        "snapshot: is of version 9, this build reads 1 (byte 16); it is not used, another "
        "replica's will be");
}

TEST_CASE("group/snapshot: equal states give equal files") {
  CHECK(fileOf("g", "m") == fileOf("g", "m"));
}

}  // namespace flotilla::group
