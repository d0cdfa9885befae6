// Snapshot files: whole and checked, or not there.
#include "host/store/snapshot_files.h"

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/store/temp_directory.h"

using namespace flotilla;
using namespace flotilla::test;
namespace fs = std::filesystem;

namespace {

std::string readAll(store::SnapshotReader& reader) {
  std::string all;
  char piece[1000];
  while (true) {
    auto got = reader.read(piece, sizeof piece);
    REQUIRE(got.ok());
    if (*got == 0) return all;
    all.append(piece, *got);
  }
}

std::string content(size_t size) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(i * 7 + i / 251));
  return bytes;
}

constexpr group::ReplicaKey kReplica{7, 2};

void save(store::SnapshotFiles& files, raft::LogPoint point, const std::string& bytes) {
  auto writer = files.begin(kReplica, point);
  REQUIRE(writer.ok());
  REQUIRE((*writer)->write(bytes).ok());
  REQUIRE((*writer)->finish().ok());
}

std::string contentOf(store::SnapshotFiles& files, raft::LogPoint point) {
  auto reader = files.read(kReplica, point);
  return reader ? readAll(**reader) : "not read: " + reader.fault().text;
}

ino_t inodeOf(const std::string& path) {
  struct stat about;
  REQUIRE(::stat(path.c_str(), &about) == 0);
  return about.st_ino;
}

}  // namespace

TEST_CASE("store/snapshot_files: a finished one reads back, an unfinished one leaves nothing") {
  TempDirectory dir;
  store::SnapshotFiles files(dir / "snapshots");
  REQUIRE(files.open().ok());
  CHECK(!files.newest(kReplica)->has_value());
  std::string bytes = content(700'000);
  {
    auto writer = files.begin(kReplica, {40, 3});
    REQUIRE(writer.ok());
    CHECK((*writer)->write(std::string_view(bytes).substr(0, 5)).ok());
    CHECK((*writer)->write(std::string_view(bytes).substr(5)).ok());
    auto file = (*writer)->finish();
    REQUIRE(file.ok());
    CHECK(file->bytes == bytes.size());
    CHECK(file->checksum == base::checksum(bytes));
    CHECK(file->path == dir / "snapshots/7-2/40-3.snap");
  }
  {
    auto dropped = files.begin(kReplica, {41, 3});
    CHECK((*dropped)->write("abc").ok());
  }
  CHECK(files.list(kReplica)->size() == 1);
  CHECK(filesBelow(dir / "snapshots").size() == 1);
  auto reader = files.read(kReplica, {40, 3});
  REQUIRE(reader.ok());
  CHECK(readAll(**reader) == bytes);
  char piece[4];
  CHECK(*(*reader)->readAt(bytes.size() - 2, piece, 4) == 2);
  CHECK(*(*reader)->readAt(3, piece, 4) == 4);
  CHECK(std::string_view(piece, 4) == std::string_view(bytes).substr(3, 4));
  auto missing = files.read(kReplica, {41, 3});
  CHECK(missing.fault().code == ErrorCode::corrupt);
}

TEST_CASE(
    "store/snapshot_files: older ones go, half-written ones are swept, a replica's go whole") {
  TempDirectory dir;
  store::SnapshotFiles files(dir / "snapshots");
  REQUIRE(files.open().ok());
  for (uint64_t index : {9, 100, 20}) {
    auto writer = files.begin(kReplica, {index, 1});
    CHECK((*writer)->write("x").ok());
    CHECK((*writer)->finish().ok());
  }
  CHECK(files.newest(kReplica)->value().point.index == 100);
  CHECK(files.removeOlder(kReplica, 20).ok());
  CHECK(files.list(kReplica)->size() == 2);
  std::ofstream(dir / "snapshots/7-2/200-1.snap.part") << "half";
  fs::create_directory(dir / "snapshots/8-1");
  CHECK(store::SnapshotFiles(dir / "snapshots").open().ok());
  CHECK(filesBelow(dir / "snapshots").size() == 3);  // one to be written over
  CHECK(!fs::exists(dir / "snapshots/7-2/200-1.snap.part"));
  CHECK(*files.replicas() == std::vector<group::ReplicaKey>{{7, 2}, {8, 1}});
  CHECK(files.removeReplica(kReplica).ok());
  CHECK(files.removeReplica(kReplica).ok());
  CHECK(*files.replicas() == std::vector<group::ReplicaKey>{{8, 1}});
}

TEST_CASE("store/snapshot_files: a small one that goes is written over by the next") {
  TempDirectory dir;
  store::SnapshotFiles files(dir / "snapshots");
  REQUIRE(files.open().ok());
  save(files, {1, 1}, content(9000));
  auto alone = store::openFile(dir / "snapshots/7-2/1-1.snap", O_WRONLY);
  bool leases = store::isOursAlone(*alone, 1);
  alone = store::FileDescriptor();
  ino_t first = inodeOf(dir / "snapshots/7-2/1-1.snap");
  save(files, {2, 1}, content(100));
  CHECK(inodeOf(dir / "snapshots/7-2/2-1.snap") != first);
  REQUIRE(files.removeOlder(kReplica, 2)->empty());
  CHECK(files.list(kReplica)->size() == 1);
  CHECK(contentOf(files, {1, 1}).starts_with("not read"));

  SUBCASE("by less") {
    save(files, {3, 1}, content(50));
    CHECK(contentOf(files, {3, 1}) == content(50));
    if (leases) CHECK(inodeOf(dir / "snapshots/7-2/3-1.snap") == first);
  }
  SUBCASE("by more, of another life of the host") {
    store::SnapshotFiles later(dir / "snapshots");
    REQUIRE(later.open().ok());
    save(later, {3, 1}, content(70'000));
    CHECK(contentOf(later, {3, 1}) == content(70'000));
    if (leases) CHECK(inodeOf(dir / "snapshots/7-2/3-1.snap") == first);
  }
  SUBCASE("by one that is not finished, and so leaves nothing") {
    {
      auto dropped = files.begin(kReplica, {3, 1});
      REQUIRE((*dropped)->write("abc").ok());
    }
    CHECK(filesBelow(dir / "snapshots").size() == 1);
    save(files, {4, 1}, content(50));
    CHECK(contentOf(files, {4, 1}) == content(50));
  }
  CHECK(contentOf(files, {2, 1}) == content(100));
}

TEST_CASE("store/snapshot_files: nothing is written over that somebody else still has") {
  TempDirectory dir;
  store::SnapshotFiles files(dir / "snapshots");
  REQUIRE(files.open().ok());
  save(files, {1, 1}, content(9000));
  save(files, {2, 1}, content(100));

  SUBCASE("open") {
    auto reader = files.read(kReplica, {1, 1});
    REQUIRE(reader.ok());
    REQUIRE(files.removeOlder(kReplica, 2).ok());
    save(files, {3, 1}, content(8000));
    CHECK(readAll(**reader) == content(9000));
  }
  SUBCASE("under a name of his own") {
    fs::create_hard_link(dir / "snapshots/7-2/1-1.snap", dir / "backup");
    auto before = fs::file_size(dir / "backup");
    ino_t linked = inodeOf(dir / "backup");
    REQUIRE(files.removeOlder(kReplica, 2).ok());
    save(files, {3, 1}, content(8000));
    CHECK(fs::file_size(dir / "backup") == before);
    CHECK(inodeOf(dir / "snapshots/7-2/3-1.snap") != linked);
  }
  CHECK(contentOf(files, {3, 1}) == content(8000));
  CHECK(contentOf(files, {2, 1}) == content(100));
}

TEST_CASE("store/snapshot_files: a large one's blocks go a piece at a time, once nobody reads it") {
  TempDirectory dir;
  store::SnapshotFiles files(dir / "snapshots");
  REQUIRE(files.open().ok());
  const std::string piece(1 << 20, 'x');
  for (uint64_t index : {1, 2}) {
    auto writer = files.begin(kReplica, {index, 1});
    for (int i = 0; i < 20; ++i) REQUIRE((*writer)->write(piece).ok());
    REQUIRE((*writer)->finish().ok());
  }
  auto read = files.read(kReplica, {2, 1});
  REQUIRE(read.ok());
  auto removed = files.removeOlder(kReplica, 3);
  REQUIRE(removed.ok());
  REQUIRE(removed->size() == 2);
  CHECK(filesBelow(dir / "snapshots").empty());

  std::vector<int64_t> sizes;
  int unread = ::dup((*removed)[0].get());  // looks on; freeBlocks closes its own
  auto look = [&]() {
    struct stat about;
    REQUIRE(::fstat(unread, &about) == 0);
    sizes.push_back(about.st_size >> 20);
    return true;
  };
  store::freeBlocks(std::move((*removed)[0]), look);
  ::close(unread);
  CHECK(sizes == std::vector<int64_t>{12, 4});

  store::freeBlocks(std::move((*removed)[1]), look);
  CHECK(sizes.size() == 2);
  std::string back(piece.size(), ' ');
  CHECK((*read)->readAt(19 << 20, back.data(), back.size()).value() == back.size());
  CHECK(back == piece);
}

TEST_CASE("store/snapshot_files: what has arrived stays, and is gone on with after a restart") {
  TempDirectory dir;
  store::SnapshotFiles files(dir / "snapshots");
  REQUIRE(files.open().ok());
  std::string bytes = content(500'000);
  std::string_view view = bytes;
  {
    auto writer = files.arrive(kReplica, {5, 1});
    REQUIRE(writer.ok());
    REQUIRE((*writer)->keepFirst(0).ok());
    CHECK((*writer)->write(view.substr(0, 300'000)).ok());
  }
  CHECK(files.list(kReplica)->empty());
  CHECK(store::SnapshotFiles(dir / "snapshots").open().ok());
  {
    auto writer = files.arrive(kReplica, {5, 1});
    REQUIRE(writer.ok());
    char piece[10];
    CHECK(*(*writer)->readAt(299'995, piece, 10) == 5);
    CHECK(std::string_view(piece, 5) == view.substr(299'995, 5));
    REQUIRE((*writer)->keepFirst(200'000).ok());
    CHECK((*writer)->write(view.substr(200'000)).ok());
    auto file = (*writer)->finish();
    REQUIRE(file.ok());
    CHECK(file->checksum == base::checksum(bytes));
  }
  auto reader = files.read(kReplica, {5, 1});
  REQUIRE(reader.ok());
  CHECK(readAll(**reader) == bytes);
}

TEST_CASE(
    "store/snapshot_files: of what has arrived one other stays, until it is old or in the way") {
  TempDirectory dir;
  store::SnapshotFiles files(dir / "snapshots");
  REQUIRE(files.open().ok());
  auto begin = [&](uint64_t index) {
    auto writer = files.arrive(kReplica, {index, 1});
    REQUIRE(writer.ok());
    CHECK((*writer)->write("x").ok());
  };
  auto there = [&]() { return filesBelow(dir / "snapshots").size(); };
  begin(5);
  begin(9);
  CHECK(there() == 2);
  begin(7);
  CHECK(there() == 2);  // 9 and 7
  CHECK(files.donors(kReplica, {7, 1})->size() == 1);
  CHECK(files.removeOlder(kReplica, 8).ok());
  CHECK(there() == 1);
  CHECK(files.removeArrivals(kReplica).ok());
  CHECK(there() == 0);
}

TEST_CASE("store/snapshot_files: every flipped byte, every cut and another's name are found") {
  TempDirectory dir;
  store::SnapshotFiles files(dir / "snapshots");
  REQUIRE(files.open().ok());
  auto writer = files.begin(kReplica, {5, 1});
  CHECK((*writer)->write(content(300)).ok());
  std::string path = (*writer)->finish()->path;
  std::ifstream in(path, std::ios::binary);
  std::string good{std::istreambuf_iterator<char>(in), {}};
  auto judge = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    auto read = files.read(kReplica, {5, 1});
    REQUIRE(!read.ok());
    CHECK(read.fault().code == ErrorCode::corrupt);
    CHECK(read.fault().text.find("snapshot " + path + ": ") == 0);
  };
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << i % 8));
    judge(bad);
    judge(good.substr(0, i));
  }
  std::ofstream(dir / "snapshots/7-2/6-1.snap", std::ios::binary) << good;
  CHECK(files.read(kReplica, {6, 1}).fault().text.find("its name and length are not those") !=
        std::string::npos);
}
