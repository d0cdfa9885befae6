// Small snapshots in their file: whole and checked or not there, through cuts, damage and reuse.
#include "host/store/small_snapshots.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sys/resource.h>

#include <doctest/doctest.h>

#include "host/store/snapshot_files.h"
#include "tests/store/temp_directory.h"

using namespace flotilla;
using namespace flotilla::test;
namespace fs = std::filesystem;

namespace {

constexpr group::ReplicaKey kOne{7, 2};
constexpr group::ReplicaKey kOther{9, 1};
constexpr uint64_t kSlot = store::SmallSnapshots::kSlotBytes;

using Points = std::vector<raft::LogPoint>;

std::string content(size_t size, int seed = 0) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) {
    bytes.push_back(static_cast<char>(i * 7 + i / 251 + static_cast<size_t>(seed)));
  }
  return bytes;
}

std::string readFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void writeFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

Result<store::SnapshotFile> save(store::SmallSnapshots& small, group::ReplicaKey replica,
                                 raft::LogPoint point, const std::string& bytes) {
  Result<store::SnapshotFile> told = Fault{ErrorCode::unknown, "not told", {}};
  small.stage(replica, point, bytes,
              [&](Result<store::SnapshotFile> end) { told = std::move(end); });
  CHECK(!told.ok());
  small.commit();
  return told;
}

Points pointsOf(const store::SmallSnapshots& small, group::ReplicaKey replica) {
  Points points;
  for (const store::SnapshotFile& each : small.list(replica)) points.push_back(each.point);
  return points;
}

std::string contentOf(const store::SmallSnapshots& small, group::ReplicaKey replica,
                      raft::LogPoint point) {
  auto read = small.read(replica, point);
  if (!read) return "not read: " + read.fault().text;
  return read->value_or("not there");
}

// Nothing can be written beyond so many bytes of a file.
class SizeLimit {
public:
  explicit SizeLimit(uint64_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &former_) == 0);
    rlimit low{bytes, former_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &low) == 0);
  }
  ~SizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &former_);
    std::signal(SIGXFSZ, handler_);
  }
  SizeLimit(const SizeLimit&) = delete;
  SizeLimit& operator=(const SizeLimit&) = delete;

private:
  rlimit former_{};
  void (*handler_)(int);
};

// As another life of the host finds them.
struct Again {
  explicit Again(const std::string& path) : small(path) { REQUIRE(small.open().ok()); }
  store::SmallSnapshots small;
};

}  // namespace

TEST_CASE("store/small_snapshots: what was told safe is there, also after a restart") {
  TempDirectory dir;
  store::SmallSnapshots small(dir / "small");
  REQUIRE(small.open().ok());
  CHECK(!fs::exists(dir / "small"));
  CHECK(small.list(kOne).empty());
  CHECK(contentOf(small, kOne, {5, 1}) == "not there");

  auto first = save(small, kOne, {5, 1}, content(7000));
  REQUIRE(first.ok());
  CHECK(first->point == raft::LogPoint{5, 1});
  CHECK(first->bytes == 7000);
  CHECK(first->checksum == base::checksum(content(7000)));
  CHECK(first->path == (dir / "small") + " 7-2/5-1");
  REQUIRE(save(small, kOne, {400, 2}, content(store::SmallSnapshots::kContentBytesMax)).ok());
  REQUIRE(save(small, kOther, {6, 1}, "").ok());
  REQUIRE(save(small, kOne, {5, 1}, content(7000)).ok());  // again: one of it
  Again again(dir / "small");
  for (const store::SmallSnapshots* each : {&small, &again.small}) {
    CHECK(pointsOf(*each, kOne) == Points{{5, 1}, {400, 2}});
    CHECK(contentOf(*each, kOne, {5, 1}) == content(7000));
    CHECK(contentOf(*each, kOne, {400, 2}) == content(store::SmallSnapshots::kContentBytesMax));
    CHECK(contentOf(*each, kOther, {6, 1}).empty());
    CHECK(contentOf(*each, kOther, {5, 1}) == "not there");
    CHECK(each->replicas() == std::vector<group::ReplicaKey>{kOne, kOther});
  }
}

TEST_CASE("store/small_snapshots: those of one moment become safe together, many by themselves") {
  TempDirectory dir;
  store::SmallSnapshots small(dir / "small");
  size_t told = 0;
  for (uint64_t i = 1; i <= store::SmallSnapshots::kStagedMax + 2; ++i) {
    bool first = small.stage({i, 1}, {i, 1}, content(i),
                             [&](Result<store::SnapshotFile> end) { told += end.ok() ? 1 : 0; });
    CHECK(first == (i == 1 || i == store::SmallSnapshots::kStagedMax + 1));
    CHECK(told == (i < store::SmallSnapshots::kStagedMax ? 0 : store::SmallSnapshots::kStagedMax));
  }
  CHECK(Again(dir / "small").small.replicas().size() == told);
  small.commit();
  CHECK(told == store::SmallSnapshots::kStagedMax + 2);
  small.commit();
  CHECK(Again(dir / "small").small.replicas().size() == told);
}

TEST_CASE("store/small_snapshots: what goes leaves its place to the next") {
  TempDirectory dir;
  store::SmallSnapshots small(dir / "small");
  for (uint64_t index = 1; index <= 50; ++index) {
    REQUIRE(save(small, kOne, {index, 1}, content(9000, static_cast<int>(index))).ok());
    REQUIRE(save(small, kOther, {index, 1}, content(100, static_cast<int>(index))).ok());
    REQUIRE(small.removeOlder(kOne, index).ok());
    REQUIRE(small.removeOlder(kOther, index).ok());
  }
  CHECK(fs::file_size(dir / "small") <= 4 * kSlot);
  Again again(dir / "small");
  for (const store::SmallSnapshots* each : {&small, &again.small}) {
    CHECK(pointsOf(*each, kOne) == Points{{50, 1}});
    CHECK(contentOf(*each, kOne, {50, 1}) == content(9000, 50));
    CHECK(contentOf(*each, kOther, {50, 1}) == content(100, 50));
  }
  // A place that was free at the start is found, too.
  Again later(dir / "small");
  REQUIRE(save(later.small, kOther, {51, 1}, content(10)).ok());
  CHECK(fs::file_size(dir / "small") <= 4 * kSlot);
  CHECK(contentOf(later.small, kOne, {50, 1}) == content(9000, 50));
}

TEST_CASE("store/small_snapshots: one goes for good, or a replica's whole") {
  TempDirectory dir;
  store::SmallSnapshots small(dir / "small");
  for (uint64_t index : {3, 4, 5}) REQUIRE(save(small, kOne, {index, 1}, content(50)).ok());
  REQUIRE(save(small, kOther, {4, 1}, content(60)).ok());
  std::vector<std::string> faults;
  auto keep = [&](Result<store::SnapshotFile> end) {
    faults.push_back(end ? "saved" : end.fault().text);
  };
  const std::string gone = "snapshot: its replica has another, or is gone";
  small.stage(kOne, {9, 1}, content(1), keep);
  small.stage(kOne, {4, 1}, content(50), keep);
  small.stage(kOther, {9, 1}, content(1), keep);
  SUBCASE("one") {
    REQUIRE(small.remove(kOne, {4, 1}).ok());
    CHECK(faults == std::vector<std::string>{gone});
    small.commit();
    CHECK(faults == std::vector<std::string>{gone, "saved", "saved"});
    CHECK(pointsOf(Again(dir / "small").small, kOne) == Points{{3, 1}, {5, 1}, {9, 1}});
    CHECK(pointsOf(Again(dir / "small").small, kOther) == Points{{4, 1}, {9, 1}});
  }
  SUBCASE("others") {
    REQUIRE(small.removeOthers(kOne, 4).ok());
    CHECK(faults == std::vector<std::string>{gone});
    small.commit();
    CHECK(pointsOf(Again(dir / "small").small, kOne) == Points{{4, 1}});
    CHECK(pointsOf(Again(dir / "small").small, kOther) == Points{{4, 1}, {9, 1}});
  }
  SUBCASE("all") {
    REQUIRE(small.removeReplica(kOne).ok());
    CHECK(faults == std::vector<std::string>{gone, gone});
    small.commit();
    CHECK(small.replicas() == std::vector<group::ReplicaKey>{kOther});
    CHECK(Again(dir / "small").small.replicas() == std::vector<group::ReplicaKey>{kOther});
  }
}

TEST_CASE("store/small_snapshots: every flipped byte is found, and costs nobody else") {
  TempDirectory dir;
  {
    store::SmallSnapshots small(dir / "small");
    REQUIRE(save(small, kOne, {5, 1}, content(300)).ok());
    REQUIRE(save(small, kOther, {6, 1}, content(200)).ok());
  }
  std::string good = readFile(dir / "small");
  constexpr size_t kEnd = store::SmallSnapshots::kHeadBytes + 300;
  for (size_t i = 0; i < kEnd; ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << i % 8));
    writeFile(dir / "bad", bad);
    store::SmallSnapshots small(dir / "bad");
    REQUIRE(small.open().ok());
    CHECK(small.list(kOne).empty());
    CHECK(contentOf(small, kOther, {6, 1}) == content(200));
  }
  for (size_t size : {size_t{0}, size_t{10}, kEnd - 1, kEnd, static_cast<size_t>(kSlot)}) {
    writeFile(dir / "bad", good.substr(0, size));
    store::SmallSnapshots small(dir / "bad");
    REQUIRE(small.open().ok());
    CHECK(small.list(kOne).size() == (size >= kEnd ? 1 : 0));
    CHECK(small.list(kOther).empty());
  }
}

TEST_CASE("store/small_snapshots: one that is damaged once it is open is not given out") {
  TempDirectory dir;
  store::SmallSnapshots small(dir / "small");
  REQUIRE(save(small, kOne, {5, 1}, content(300)).ok());
  std::string bytes = readFile(dir / "small");
  bytes[store::SmallSnapshots::kHeadBytes + 3] ^= 1;
  {
    std::fstream over(dir / "small", std::ios::binary | std::ios::in | std::ios::out);
    over << bytes;
  }
  auto read = small.read(kOne, {5, 1});
  REQUIRE(!read.ok());
  CHECK(read.fault().code == ErrorCode::corrupt);
  CHECK(read.fault().text == "snapshot " + (dir / "small") + " 7-2/5-1: fails its checksum");
}

// A power cut while it is written: any part of it may be there. The one before it is.
TEST_CASE("store/small_snapshots: one that was cut off does not stand before the one before it") {
  TempDirectory dir;
  {
    store::SmallSnapshots small(dir / "small");
    REQUIRE(save(small, kOne, {4, 1}, content(9000, 4)).ok());  // leaves the first place
    REQUIRE(save(small, kOne, {5, 1}, content(9000, 5)).ok());
    REQUIRE(small.removeOlder(kOne, 5).ok());
  }
  std::string before = readFile(dir / "small");
  {
    Again later(dir / "small");
    REQUIRE(save(later.small, kOne, {8, 1}, content(9000, 8)).ok());
  }
  std::string after = readFile(dir / "small");
  size_t torn = 0;
  for (size_t whole : {0, 1, 2, 3}) {  // blocks, of three
    for (bool front : {true, false}) {
      std::string cut = before;
      size_t first = front ? 0 : (3 - whole) * 4096;
      cut.replace(first, whole * 4096, after, first, whole * 4096);
      writeFile(dir / "cut", cut);
      Again life(dir / "cut");
      bool all = whole == 3;
      CHECK(pointsOf(life.small, kOne) == (all ? Points{{5, 1}, {8, 1}} : Points{{5, 1}}));
      CHECK(contentOf(life.small, kOne, {5, 1}) == content(9000, 5));
      torn += all ? 0 : 1;
      // Its place serves again.
      REQUIRE(save(life.small, kOne, {9, 1}, content(100)).ok());
      CHECK(pointsOf(Again(dir / "cut").small, kOne).back() == raft::LogPoint{9, 1});
    }
  }
  CHECK(torn == 6);
}

TEST_CASE(
    "store/small_snapshots: what cannot be written is told, and leaves the others as they were") {
  TempDirectory dir;
  store::SmallSnapshots small(dir / "small");
  REQUIRE(save(small, kOne, {4, 1}, content(300)).ok());
  REQUIRE(save(small, kOne, {5, 1}, content(300)).ok());
  REQUIRE(small.removeOlder(kOne, 5).ok());
  std::vector<bool> others;
  auto keep = [&](Result<store::SnapshotFile> end) { others.push_back(end.ok()); };
  small.stage(kOne, {8, 1}, content(400), keep);  // has the place of {4, 1}
  Result<store::SnapshotFile> told = Fault{};
  {
    SizeLimit limit(2 * kSlot);
    told = save(small, kOther, {6, 1}, content(5000));
  }
  CHECK(others == std::vector<bool>{true});
  CHECK(contentOf(small, kOne, {8, 1}) == content(400));

  REQUIRE(!told.ok());
  CHECK(told.fault().text.starts_with(dir / "small"));
  CHECK(small.list(kOther).empty());
  CHECK(contentOf(small, kOne, {5, 1}) == content(300));
  REQUIRE(save(small, kOther, {6, 1}, content(5000)).ok());
  CHECK(contentOf(Again(dir / "small").small, kOther, {6, 1}) == content(5000));
  CHECK(fs::file_size(dir / "small") <= 4 * kSlot);
}

TEST_CASE("store/small_snapshots: what could not be erased is erased when that is tried again") {
  TempDirectory dir;
  store::SmallSnapshots small(dir / "small");
  REQUIRE(save(small, kOne, {5, 1}, content(300)).ok());
  {
    SizeLimit none(0);
    CHECK(!small.removeReplica(kOne).ok());
    CHECK(!small.removeReplica(kOne).ok());
    CHECK(small.removeReplica(kOther).ok());  // nobody else's trouble
    CHECK(small.remove(kOne, {6, 1}).ok());
  }
  CHECK(pointsOf(Again(dir / "small").small, kOne) == Points{{5, 1}});  // a crash would show it
  CHECK(small.removeReplica(kOne).ok());
  CHECK(Again(dir / "small").small.replicas().empty());
}

TEST_CASE("store/small_snapshots: a file of a later version is left alone") {
  TempDirectory dir;
  {
    store::SmallSnapshots small(dir / "small");
    REQUIRE(save(small, kOne, {5, 1}, content(300)).ok());
  }
  std::string bytes = readFile(dir / "small");
  bytes[8] = 2;
  uint64_t sum = base::checksum(std::string_view(bytes).substr(0, 64));
  bytes.replace(64, 8, reinterpret_cast<const char*>(&sum), 8);
  writeFile(dir / "small", bytes);
  store::SmallSnapshots small(dir / "small");
  CHECK(small.open().fault().text ==
        "snapshots " + (dir / "small") + ": of version 2; start a newer flotilla-host");
}

// ---- beside files ------------------------------------------------------------------------------

namespace {

// The fault's text, or none.
std::string save(store::SnapshotFiles& files, raft::LogPoint point, const std::string& bytes,
                 bool small) {
  auto writer = small ? files.beginSmall(kOne, point) : files.begin(kOne, point);
  REQUIRE(writer.ok());
  for (size_t at = 0; at < bytes.size(); at += 1000) {
    REQUIRE((*writer)->write(std::string_view(bytes).substr(at, 1000)).ok());
  }
  std::string told = "not told";
  bool waits = files.finish(std::move(*writer), [&](Result<store::SnapshotFile> end) {
    told = end ? "" : end.fault().text;
  });
  CHECK(waits == (told == "not told"));
  if (waits) files.commit();
  return told;
}

std::string contentOf(store::SnapshotFiles& files, raft::LogPoint point) {
  auto reader = files.read(kOne, point);
  if (!reader) return "not read: " + reader.fault().text;
  std::string all((*reader)->file().bytes, '\0');
  REQUIRE((*reader)->readAt(0, all.data(), all.size()).value() == all.size());
  CHECK((*reader)->file().checksum == base::checksum(all));
  std::string piece(500, '\0');
  REQUIRE((*reader)->read(piece.data(), piece.size()).value() == std::min<size_t>(500, all.size()));
  CHECK(all.starts_with(piece.substr(0, std::min<size_t>(500, all.size()))));
  return all;
}

}  // namespace

TEST_CASE("store/snapshot_files: small ones lie together, larger ones become files") {
  TempDirectory dir;
  store::SnapshotFiles files(dir / "snapshots");
  REQUIRE(files.open().ok());
  CHECK(save(files, {5, 1}, content(9000), true).empty());
  CHECK(filesBelow(dir / "snapshots") == std::vector<std::string>{dir / "snapshots/small"});
  CHECK(save(files, {6, 1}, content(90'000), true).empty());
  CHECK(save(files, {7, 1}, content(900), false).empty());
  CHECK(save(files, {8, 1}, content(800), true).empty());
  CHECK(filesBelow(dir / "snapshots").size() == 3);
  {
    auto dropped = files.beginSmall(kOne, {9, 1});
    REQUIRE((*dropped)->write(content(100'000)).ok());
    auto held = files.beginSmall(kOne, {10, 1});
    REQUIRE((*held)->write(content(100)).ok());
  }
  CHECK(filesBelow(dir / "snapshots").size() == 3);
  auto judge = [](store::SnapshotFiles& at) {
    Points points;
    auto all = at.list(kOne);
    for (const store::SnapshotFile& each : *all) points.push_back(each.point);
    CHECK(points == Points{{5, 1}, {6, 1}, {7, 1}, {8, 1}});
    CHECK(at.newest(kOne)->value().point == raft::LogPoint{8, 1});
    CHECK(contentOf(at, {5, 1}) == content(9000));
    CHECK(contentOf(at, {6, 1}) == content(90'000));
    CHECK(contentOf(at, {7, 1}) == content(900));
    CHECK(contentOf(at, {8, 1}) == content(800));
    CHECK(*at.replicas() == std::vector<group::ReplicaKey>{kOne});
  };
  judge(files);
  store::SnapshotFiles later(dir / "snapshots");
  REQUIRE(later.open().ok());
  judge(later);

  SUBCASE("older ones go of both") {
    REQUIRE(later.removeOlder(kOne, 7).ok());
    CHECK(later.list(kOne)->size() == 2);
    CHECK(contentOf(later, {5, 1}) == "not read: snapshot " + (dir / "snapshots/7-2/5-1.snap") +
                                          ": open: No such file or directory; nor is it whole in " +
                                          (dir / "snapshots/small"));
    CHECK(contentOf(later, {7, 1}) == content(900));
  }
  SUBCASE("others than a file go of both") {
    REQUIRE(later.removeOthers(kOne, 6).ok());
    CHECK(later.list(kOne)->size() == 1);
    CHECK(contentOf(later, {6, 1}) == content(90'000));
  }
  SUBCASE("others than a small one go of both") {
    REQUIRE(later.removeOthers(kOne, 8).ok());
    CHECK(later.list(kOne)->size() == 1);
    CHECK(contentOf(later, {8, 1}) == content(800));
  }
  SUBCASE("all go") {
    REQUIRE(later.removeReplica(kOne).ok());
    CHECK(later.list(kOne)->empty());
    CHECK(later.replicas()->empty());
  }
  SUBCASE("one that is finished by itself is a file") {
    auto writer = later.beginSmall(kOne, {11, 1});
    REQUIRE((*writer)->write(content(100)).ok());
    REQUIRE((*writer)->finish().ok());
    CHECK(fs::exists(dir / "snapshots/7-2/11-1.snap"));
    CHECK(contentOf(later, {11, 1}) == content(100));
  }
}

// One that comes from a peer mends a machine here that is not to be believed, at the same point.
TEST_CASE("store/snapshot_files: a file takes the place of a small one of its point") {
  TempDirectory dir;
  store::SnapshotFiles files(dir / "snapshots");
  REQUIRE(files.open().ok());
  CHECK(save(files, {5, 1}, content(900), true).empty());
  SUBCASE("that arrives") {
    std::string staged = "not told";
    auto begun = files.beginSmall(kOne, {5, 1});
    REQUIRE((*begun)->write(content(900)).ok());
    auto writer = files.arrive(kOne, {5, 1});
    REQUIRE((*writer)->write(content(1000)).ok());
    files.finish(std::move(*begun),
                 [&](Result<store::SnapshotFile> end) { staged = end.fault().text; });
    REQUIRE((*writer)->finish().ok());
    CHECK(staged == "snapshot: its replica has another, or is gone");
  }
  SUBCASE("that is saved here, for the small one is damaged") {
    std::string bytes = readFile(dir / "snapshots/small");
    bytes[store::SmallSnapshots::kHeadBytes] ^= 1;
    writeFile(dir / "snapshots/small", bytes);
    CHECK(contentOf(files, {5, 1}).ends_with("fails its checksum"));
    CHECK(save(files, {5, 1}, content(1000), false).empty());
  }
  CHECK(contentOf(files, {5, 1}) == content(1000));
  store::SnapshotFiles later(dir / "snapshots");
  REQUIRE(later.open().ok());
  CHECK(later.list(kOne)->size() == 1);
  CHECK(contentOf(later, {5, 1}) == content(1000));
}
