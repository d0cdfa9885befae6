// Places of machines on disk: what was synced is there, what was torn is not, what is damaged is
// said.
#include "host/store/machine_places.h"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <sys/resource.h>
#include <thread>

#include <doctest/doctest.h>
#include <leveldb/db.h>
#include <leveldb/write_batch.h>

#include "host/base/prng.h"
#include "host/store/machine_keys.h"
#include "tests/store/temp_directory.h"

using namespace flotilla;
using namespace flotilla::test;
namespace fs = std::filesystem;

namespace {

constexpr group::ReplicaKey kReplica{7, 2};
using Model = std::map<std::string, std::string>;

std::string textOf(group::MachineStore& store) {
  std::string text;
  auto walk = store.walk({});
  std::string_view key;
  std::string_view value;
  while (true) {
    auto more = walk->next(key, value);
    if (!more) return more.fault().text;
    if (!*more) return text;
    text += std::string(key) + "=" + std::string(value) + " ";
  }
}

std::string textOf(const Model& model) {
  std::string text;
  for (const auto& [key, value] : model) text += key + "=" + value + " ";
  return text;
}

struct Bench {
  Bench() { REQUIRE(places.open().ok()); }

  std::shared_ptr<group::MachineStore> fresh(uint64_t generation = 0) {
    auto made = places.make(kReplica, generation);
    if (!made) FAIL(made.fault().text);
    return *made;
  }
  Result<std::shared_ptr<group::MachineStore>> found(uint64_t generation = 0) {
    return places.find(kReplica, generation);
  }
  // The newest journal of the place.
  fs::path journal() const {
    fs::path newest;
    for (const auto& file : fs::directory_iterator(dir / "machines/7-2/0")) {
      if (file.path().extension() == ".log" && file.path() > newest) newest = file.path();
    }
    return newest;
  }

  TempDirectory dir;
  store::MachinePlaces places{dir / "machines"};
};

void putRows(group::MachineStore& store, uint64_t batch, size_t valueBytes = 10) {
  for (int i = 0; i < 5; ++i) {
    store.set("row " + std::to_string(batch) + "." + std::to_string(i),
              std::string(valueBytes, 'v'));
  }
  REQUIRE(store.sync({batch, 1}, Bytes::copyOf("state " + std::to_string(batch))).ok());
}

void flip(const fs::path& path, uint64_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(at));
  char byte = static_cast<char>(file.get() ^ 1);
  file.seekp(static_cast<std::streamoff>(at));
  file.put(byte);
}

}  // namespace

TEST_CASE("store/machine_places: rows and group state come back as the last sync left them") {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Bench bench;
    base::Prng dice(seed);
    Model model;
    Model kept;
    auto store = bench.fresh();
    CHECK(store->kept().at.index == 0);
    uint64_t synced = 0;
    for (uint64_t step = 1; step <= 400; ++step) {
      std::string key = "k" + std::to_string(dice.below(80));
      if (dice.chance(300)) {
        store->erase(key);
        model.erase(key);
      } else {
        model[key] = std::string(dice.below(2000), 'x');
        store->set(key, model[key]);
      }
      if (dice.chance(100)) {
        REQUIRE(store->sync({step, 3}, Bytes::copyOf("at " + std::to_string(step))).ok());
        kept = model;
        synced = step;
      }
      if (dice.chance(20)) {  // a new process
        store.reset();
        auto again = bench.found();
        if (!again) FAIL(again.fault().text);
        store = *again;
        model = kept;
        CHECK(store->kept().at.index == synced);
        if (synced != 0) CHECK(store->kept().groupState.view() == "at " + std::to_string(synced));
        CHECK(textOf(*store) == textOf(model));
      }
    }
  }
}

TEST_CASE("store/machine_places: a torn end was never synced, and is left behind") {
  Bench bench;
  for (uint64_t cut : {1, 20, 60}) {
    auto store = bench.fresh();
    putRows(*store, 1);
    putRows(*store, 2);
    std::string before = textOf(*store);
    uint64_t whole = fs::file_size(bench.journal());
    putRows(*store, 3);
    store.reset();
    fs::resize_file(bench.journal(), fs::file_size(bench.journal()) - cut);
    REQUIRE(fs::file_size(bench.journal()) > whole);
    {
      auto again = bench.found();
      if (!again) FAIL(again.fault().text);
      CHECK((*again)->kept().at.index == 2);
      CHECK(textOf(**again) == before);
      putRows(**again, 3);
    }
    CHECK((*bench.found())->kept().at.index == 3);
  }
}

TEST_CASE("store/machine_places: a torn end of spoilt bytes is left behind, too") {
  Bench bench;
  auto store = bench.fresh();
  putRows(*store, 1);
  putRows(*store, 2);
  store.reset();
  flip(bench.journal(), fs::file_size(bench.journal()) - 3);
  auto again = bench.found();
  if (!again) FAIL(again.fault().text);
  CHECK((*again)->kept().at.index == 1);
}

TEST_CASE("store/machine_places: a write that is lost in the middle is no torn end") {
  Bench bench;
  auto store = bench.fresh();
  // LevelDB gives up a block of 32 KiB at a time and goes on with the next.
  for (uint64_t batch = 1; batch <= 20; ++batch) putRows(*store, batch, 2000);
  store.reset();
  flip(bench.journal(), 40'000);
  auto again = bench.found();
  REQUIRE(!again.ok());
  CHECK(again.fault().code == ErrorCode::corrupt);
  CHECK(
      again.fault().text.find("machines/7-2/0: a write in its middle is lost, before number 20") !=
      std::string::npos);
}

// Nothing before them tells that they are lost: no batch took the place of another.
TEST_CASE("store/machine_places: the first writes of a place are not lost in silence either") {
  Bench bench;
  auto store = bench.fresh();
  for (uint64_t batch = 1; batch <= 20; ++batch) putRows(*store, batch, 2000);
  store.reset();
  flip(bench.journal(), 100);
  auto again = bench.found();
  REQUIRE(!again.ok());
  CHECK(again.fault().code == ErrorCode::corrupt);
  CHECK(again.fault().text.find("its first write is lost") != std::string::npos);
}

// Places of builds that did not mark their first write.
TEST_CASE("store/machine_places: a place of version 1 is read, and written on") {
  Bench bench;
  auto number = [](uint64_t of, size_t bytes) {
    return std::string(reinterpret_cast<const char*>(&of), bytes);
  };
  putRows(*bench.fresh(), 1);
  {
    leveldb::DB* opened = nullptr;
    REQUIRE(leveldb::DB::Open({}, bench.dir / "machines/7-2/0", &opened).ok());
    std::unique_ptr<leveldb::DB> database(opened);
    leveldb::WriteBatch batch;
    batch.Put("h", number(1, 4) + number(1, 8) + number(1, 8) + number(1, 8) + "state 1");
    batch.Delete("f");
    REQUIRE(database->Write({}, &batch).ok());
  }
  {
    auto again = bench.found();
    if (!again) FAIL(again.fault().text);
    CHECK((*again)->kept().groupState.view() == "state 1");
    putRows(**again, 2);
  }
  auto again = bench.found();
  if (!again) FAIL(again.fault().text);
  CHECK((*again)->kept().at.index == 2);
}

TEST_CASE("store/machine_places: damaged tables are said where they are read") {
  Bench bench;
  auto store = bench.fresh();
  for (uint64_t batch = 1; batch <= 20; ++batch) putRows(*store, batch, 2000);
  store.reset();
  REQUIRE(bench.found().ok());  // opening moves the journal into a table
  for (const auto& file : fs::directory_iterator(bench.dir / "machines/7-2/0")) {
    if (file.path().extension() == ".ldb") flip(file.path(), fs::file_size(file.path()) / 2);
  }
  auto again = bench.found();
  std::string text = again ? textOf(**again) : again.fault().text;
  CHECK(text.find("machines/7-2/0") != std::string::npos);
  CHECK(text.find("Corruption") != std::string::npos);
}

TEST_CASE("store/machine_places: what is gone is told apart from what never was") {
  auto benchWith = [](const std::string& ending) {
    auto bench = std::make_unique<Bench>();
    auto store = bench->fresh();
    for (uint64_t batch = 1; batch <= 20; ++batch) putRows(*store, batch, 2000);
    store.reset();
    REQUIRE(bench->found().ok());  // opening moves the journal into a table
    size_t gone = 0;
    for (const auto& file : fs::directory_iterator(bench->dir / "machines/7-2/0")) {
      if (!file.path().filename().string().ends_with(ending)) continue;
      fs::remove(file.path());
      ++gone;
    }
    CHECK(gone == 1);
    return bench;
  };
  auto current = benchWith("CURRENT")->found();
  CHECK(current.fault().code == ErrorCode::corrupt);
  CHECK(current.fault().text.ends_with("machines/7-2/0: CURRENT is missing"));
  auto table = benchWith(".ldb")->found();
  CHECK(table.fault().code == ErrorCode::corrupt);
  CHECK(table.fault().text.find("missing file") != std::string::npos);

  // A whole journal that is gone is a state of long ago, never another one: an empty place says so.
  Bench bench;
  auto store = bench.fresh();
  putRows(*store, 1);
  store.reset();
  fs::remove(bench.journal());
  auto before = bench.found();
  REQUIRE(before.ok());
  CHECK((*before)->kept().at.index == 0);
}

// LevelDB hands on what a table's opening says as what it knows of the row.
TEST_CASE("store/machine_places: a table that has gone is no row that never was") {
  TempDirectory dir;
  store::MachineShared shared(1 << 20);
  leveldb::RandomAccessFile* file = nullptr;
  leveldb::Status opened = shared.env.NewRandomAccessFile(dir / "000007.ldb", &file);
  CHECK(!opened.ok());
  CHECK(!opened.IsNotFound());
  CHECK(opened.ToString().find("000007.ldb") != std::string::npos);
}

TEST_CASE("store/machine_places: what a removal has left that was cut off is nobody's place") {
  Bench bench;
  putRows(*bench.fresh(0), 1);
  putRows(*bench.fresh(3), 2);
  fs::path room = bench.dir / "machines/7-2";
  fs::rename(room / "0", room / "0.going");
  fs::remove(room / "0.going/CURRENT");
  CHECK(*bench.places.generations(kReplica) == std::vector<uint64_t>{3});
  CHECK(bench.found(0).fault().code == ErrorCode::unavailable);
  SUBCASE("swept with what is older") {
    CHECK(bench.places.removeBelow(kReplica, 3).ok());
    CHECK(!fs::exists(room / "0.going"));
    CHECK((*bench.found(3))->kept().at.index == 2);
  }
  SUBCASE("in nobody's way") {
    putRows(*bench.fresh(0), 4);
    CHECK(!fs::exists(room / "0.going"));
    CHECK(bench.places.remove(kReplica, 0).ok());
    CHECK(*bench.places.generations(kReplica) == std::vector<uint64_t>{3});
    CHECK(!fs::exists(room / "0.going"));
  }
}

TEST_CASE("store/machine_places: a place that could not be made leaves nothing") {
  Bench bench;
  fs::create_directories(bench.dir / "machines/7-2");
  store::MachinePlaces places{bench.dir / "machines"};
  struct rlimit before;
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  struct rlimit none = {0, before.rlim_max};
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &none) == 0);
  auto made = places.make(kReplica, 4);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  CHECK(!made.ok());
  CHECK(places.generations(kReplica)->empty());
  CHECK(fs::is_empty(bench.dir / "machines/7-2"));
  CHECK(places.make(kReplica, 4).ok());
}

TEST_CASE("store/machine_places: all machines of a disk have one bound for what they gather") {
  TempDirectory dir;
  store::MachinePlaces places{dir / "machines", 1 << 20, 1 << 20};
  REQUIRE(places.open().ok());
  auto one = *places.make({7, 2}, 0);
  auto other = *places.make({8, 3}, 0);
  one->set("a", std::string(300'000, 'x'));
  CHECK(!one->isCrowded());
  other->set("a", std::string(300'000, 'x'));
  CHECK(other->isCrowded());
  CHECK(one->isCrowded());
  REQUIRE(one->sync({1, 1}, {}).ok());
  CHECK(!other->isCrowded());
  one->set("b", std::string(300'000, 'x'));
  CHECK(one->isCrowded());
  one.reset();  // what went with it counts no more
  CHECK(!other->isCrowded());
}

TEST_CASE("store/machine_places: a machine that rests gives its buffer back") {
  Bench bench;
  auto store = bench.fresh();
  putRows(*store, 1, 300'000);
  CHECK(store->memoryBytes() > 1'500'000);
  store->rest();
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (store->memoryBytes() > 200'000 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();  // LevelDB's own thread writes it
  }
  CHECK(store->memoryBytes() < 200'000);
  putRows(*store, 2, 10);
  store.reset();
  CHECK((*bench.found())->kept().at.index == 2);
}

TEST_CASE("store/machine_places: what was opened ahead is found, and the rest closed") {
  TempDirectory dir;
  std::vector<group::ReplicaKey> keys;
  {
    store::MachinePlaces places{dir / "machines"};
    REQUIRE(places.open().ok());
    for (uint64_t group = 1; group <= 40; ++group) {
      keys.push_back({group, 1});
      if (group == 40) continue;  // in memory
      putRows(**places.make(keys.back(), 2), group);
      putRows(**places.make(keys.back(), 5), group + 100);
    }
  }
  fs::remove(dir / "machines/3-1/5/CURRENT");
  store::MachinePlaces places{dir / "machines"};
  places.openAhead(keys);
  for (uint64_t group : {1, 2, 39}) {
    auto found = places.find({group, 1}, 5);
    REQUIRE(found.ok());
    CHECK((*found)->kept().at.index == group + 100);
  }
  CHECK(places.find({3, 1}, 5).fault().text.ends_with("CURRENT is missing"));
  CHECK((*places.find({3, 1}, 2))->kept().at.index == 3);
  places.closeAhead();
  CHECK((*places.find({4, 1}, 5))->kept().at.index == 104);  // it is locked where it is open
  places.openAhead(keys);
  CHECK((*places.find({4, 1}, 5))->kept().at.index == 104);
}

TEST_CASE("store/machine_places: what is held stays as it was beside later writes") {
  Bench bench;
  auto store = bench.fresh();
  putRows(*store, 1);
  struct Sink final : group::SnapshotSink {
    std::string bytes;
    Result<void> write(std::string_view piece) override {
      bytes += piece;
      return {};
    }
  } first, second;
  auto capture = store->capture(1);
  REQUIRE(capture->save(first).ok());
  putRows(*store, 2);
  store.reset();
  REQUIRE(capture->save(second).ok());
  CHECK(first.bytes == second.bytes);
}

TEST_CASE("store/machine_places: generations come and go, and a fresh one begins empty") {
  Bench bench;
  putRows(*bench.fresh(0), 1);
  putRows(*bench.fresh(4), 2);
  putRows(*bench.fresh(11), 3);
  CHECK(*bench.places.generations(kReplica) == std::vector<uint64_t>{0, 4, 11});
  CHECK(bench.places.removeBelow(kReplica, 11).ok());
  CHECK(*bench.places.generations(kReplica) == std::vector<uint64_t>{11});
  CHECK(textOf(*bench.fresh(11)).empty());
  CHECK((*bench.found(11))->kept().at.index == 0);
  CHECK(bench.found(4).fault().code == ErrorCode::unavailable);
  CHECK(*bench.places.replicas() == std::vector<group::ReplicaKey>{kReplica});
  CHECK(bench.places.removeReplica(kReplica).ok());
  CHECK(bench.places.replicas()->empty());
  CHECK(bench.places.generations(kReplica)->empty());
}
