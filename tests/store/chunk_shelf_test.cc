// Chunks of older snapshots, found by name and never given where they are damaged.
#include "host/store/chunk_shelf.h"

#include <fstream>

#include <doctest/doctest.h>

#include "host/group/snapshot.h"
#include "host/store/snapshot_files.h"
#include "tests/store/temp_directory.h"

using namespace flotilla;
using namespace flotilla::test;

TEST_CASE("store/chunk_shelf: chunks of finished files are given, damaged ones are not there") {
  TempDirectory dir;
  store::SnapshotFiles files(dir / "snapshots");
  REQUIRE(files.open().ok());
  constexpr group::ReplicaKey kReplica{7, 2};
  auto file = files.begin(kReplica, {40, 3});
  REQUIRE(file.ok());
  group::SnapshotWriter writer(**file);
  REQUIRE(writer.begin({7, {40, 3}, {{1}, {}, {}, {}, false}, 0}, Bytes::copyOf("group")).ok());
  std::string machine;
  for (uint64_t i = 0, x = 1; machine.size() < 2'000'000; ++i) {
    x = x * 6364136223846793005ULL + 1;
    machine.append(reinterpret_cast<const char*>(&x), sizeof x);
  }
  REQUIRE(writer.write(machine).ok());
  REQUIRE(writer.finish().ok());
  std::string path = (*file)->finish()->path;

  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  auto chunks = group::listChunks([&](uint64_t offset, char* to, size_t size) -> Result<size_t> {
    return offset > bytes.size() ? 0 : std::string_view(bytes).substr(offset).copy(to, size);
  });
  REQUIRE(chunks->size() > 5);
  auto paths = files.donors(kReplica, {41, 3});
  REQUIRE(paths->size() == 1);
  {
    store::ChunkShelf shelf(*paths);
    CHECK(shelf.size() == chunks->size());
    for (const group::ChunkAt& each : *chunks) {
      group::ChunkHead head;
      std::string stored;
      REQUIRE(shelf.has(each.head.name));
      REQUIRE(shelf.take(each.head.name, head, stored));
      CHECK(stored == bytes.substr(each.offset, each.head.stored));
    }
    CHECK_FALSE(shelf.has(base::contentName("another")));
  }
  const group::ChunkAt& hurt = (*chunks)[3];
  bytes[hurt.offset + 10] ^= 1;
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  store::ChunkShelf shelf(*paths);
  CHECK_FALSE(shelf.has(hurt.head.name));
  CHECK(shelf.has((*chunks)[4].head.name));
  CHECK(store::ChunkShelf({path + ".not there"}).size() == 0);
}
