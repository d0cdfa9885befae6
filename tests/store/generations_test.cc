// Generations come and go, and what idle replicas need goes with them.
#include <filesystem>

#include <doctest/doctest.h>

#include "host/base/prng.h"
#include "host/store/journal_env.h"
#include "tests/store/temp_directory.h"
#include "tests/store/volume_model.h"

using namespace flotilla;
using namespace flotilla::test;

namespace {

constexpr uint64_t kGenerationBytes = 40'000;
constexpr uint64_t kBytesMax = 160'000;

store::VolumeOptions smallGenerations(const std::string& path, bool create) {
  store::VolumeOptions options = volumeOptions(path, create);
  options.generationBytes = kGenerationBytes;
  options.generationsBytesMax = kBytesMax;
  return options;
}

uint64_t directorySize(const std::string& path) {
  uint64_t bytes = 0;
  for (const std::string& file : filesBelow(path)) bytes += std::filesystem::file_size(file);
  return bytes;
}

}  // namespace

TEST_CASE(
    "store/generations: a busy replica's old generations go, an idle one's records are copied") {
  TempDirectory dir;
  ReplicaModel busy({1, 1});
  std::vector<ReplicaModel> idle;
  for (uint64_t i = 0; i < 50; ++i) idle.emplace_back(group::ReplicaKey{100 + i, 3});
  uint64_t bytesMax = 0;
  {
    Reports reports;
    auto volume = store::LogVolume::open(smallGenerations(dir / "log", true), reports);
    REQUIRE(volume.ok());
    store::LogVolume& log = **volume;
    log.start();
    for (ReplicaModel& model : idle) log.write(model.key, model.append(3, 100));
    for (int i = 0; i < 1500; ++i) {
      log.write(busy.key, busy.append(2, 500));
      if (i % 5 == 4) log.write(busy.key, busy.compact(busy.state.shape.lastIndex() - 3));
      if (i % 10 == 9) {
        REQUIRE(reports.waitPersisted(busy.key, busy.lastWrite));
        bytesMax = std::max(bytesMax, log.status().bytes);
      }
    }
    REQUIRE(reports.waitPersisted(busy.key, busy.lastWrite));
    CHECK(compareLog(log, reports, busy) == "");
    for (const ReplicaModel& model : idle) CHECK(compareLog(log, reports, model) == "");
    log.stop();
    store::VolumeStatus status = log.status();
    CHECK(status.bytesWritten > 1'500'000);
    CHECK(status.bytesCopied > 50 * 300);           // the idle ones moved
    CHECK(status.bytesCopied < 4 * 50 * 600 * 50);  // and not with every frame
    CHECK(bytesMax < kBytesMax + 2 * kGenerationBytes);
    CHECK(status.liveBytes < 100'000);
    CHECK(directorySize(dir / "log") < 2 * (kBytesMax + 2 * kGenerationBytes));
  }
  CHECK(!std::filesystem::exists(dir / "log/generation-000001"));
  Reports reports;
  auto volume = store::LogVolume::open(smallGenerations(dir / "log", false), reports);
  REQUIRE_MESSAGE(volume.ok(), (volume ? "" : volume.fault().text));
  auto recovered = (*volume)->recovered();
  CHECK(recovered.size() == 51);
  (*volume)->start();
  CHECK(compare(**volume, reports, recovered, busy) == "");
  for (const ReplicaModel& model : idle) CHECK(compare(**volume, reports, recovered, model) == "");
}

TEST_CASE(
    "store/generations: where more is alive than fits, nothing is lost and nothing copied in "
    "vain") {
  TempDirectory dir;
  ReplicaModel model({1, 1});
  {
    Reports reports;
    auto volume = store::LogVolume::open(smallGenerations(dir / "log", true), reports);
    (*volume)->start();
    for (int i = 0; i < 100; ++i) {
      (*volume)->write(model.key, model.append(10, 500));
      REQUIRE(reports.waitPersisted(model.key, model.lastWrite));
    }
    (*volume)->stop();
    CHECK((*volume)->status().bytes > 2 * kBytesMax);
    CHECK((*volume)->status().bytesCopied == 0);
  }
  Reports reports;
  auto volume = store::LogVolume::open(smallGenerations(dir / "log", false), reports);
  auto recovered = (*volume)->recovered();
  (*volume)->start();
  CHECK(compare(**volume, reports, recovered, model) == "");
  // A compaction, and the next generation lets the old ones go.
  (*volume)->write(model.key, model.compact(model.state.shape.lastIndex() - 1));
  for (int i = 0; i < 20; ++i) {
    (*volume)->write(model.key, model.append(10, 500));
    REQUIRE(reports.waitPersisted(model.key, model.lastWrite));
  }
  CHECK((*volume)->status().bytes < kBytesMax);
  CHECK(compareLog(**volume, reports, model) == "");
}

TEST_CASE(
    "store/generations: many small logs that together are too much are named, not copied on") {
  TempDirectory dir;
  ReplicaModel idle({99, 1});
  std::vector<ReplicaModel> models;
  for (uint64_t i = 0; i < 20; ++i) models.emplace_back(group::ReplicaKey{100 + i, 3});
  Reports reports;
  auto volume = store::LogVolume::open(smallGenerations(dir / "log", true), reports);
  REQUIRE(volume.ok());
  store::LogVolume& log = **volume;
  log.start();
  log.write(idle.key, idle.append(2, 50));
  auto writeAll = [&](int rounds) {
    for (int i = 0; i < rounds; ++i) {
      for (ReplicaModel& model : models) log.write(model.key, model.append(2, 500));
      REQUIRE(reports.waitPersisted(models.back().key, models.back().lastWrite));
    }
  };
  writeAll(4);  // 80 KB of 160
  CHECK(reports.wait([](const Reports& it) { return it.crowding.empty(); }));
  writeAll(76);  // in more generations than there are to be
  CHECK(reports.wait([&](const Reports& it) { return it.crowding.size() == models.size(); }));
  CHECK(log.status().bytesCopied < 4 * kGenerationBytes);
  CHECK(log.status().generations > 24);
  for (ReplicaModel& model : models) {
    log.write(model.key, model.compact(model.state.shape.lastIndex() - 2));
  }
  writeAll(8);
  // More than half of what is left lives, and in ten kilobytes and more of each generation: none is
  // emptied into another.
  CHECK(log.status().liveBytes > kBytesMax);
  CHECK(log.status().bytes < 2 * kBytesMax);
  CHECK(log.status().generations <= 8);
  CHECK(compareLog(log, reports, idle) == "");
  for (const ReplicaModel& model : models) CHECK(compareLog(log, reports, model) == "");
  log.stop();
}

TEST_CASE("store/generations: restarts do not pile up generations") {
  TempDirectory dir;
  ReplicaModel model({1, 1});
  ReplicaModel idle({2, 1});
  for (int restart = 0; restart < 60; ++restart) {
    Reports reports;
    auto volume = store::LogVolume::open(smallGenerations(dir / "log", restart == 0), reports);
    REQUIRE_MESSAGE(volume.ok(), (volume ? "" : volume.fault().text));
    auto recovered = (*volume)->recovered();
    (*volume)->start();
    if (restart > 0) {
      CHECK(compare(**volume, reports, recovered, model) == "");
      CHECK(compare(**volume, reports, recovered, idle) == "");
    } else {
      (*volume)->write(idle.key, idle.append(2, 50));
    }
    (*volume)->write(model.key, model.append(1, 50));
    REQUIRE(reports.waitPersisted(model.key, model.lastWrite));
    (*volume)->stop();
    CHECK((*volume)->status().generations <= 26);
  }
}

TEST_CASE("store/generations: random histories of many replicas read back, laid out or not") {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    INFO("seed ", seed);
    base::Prng prng(seed);
    TempDirectory dir;
    std::vector<ReplicaModel> models;
    for (uint64_t i = 1; i <= 20; ++i) models.emplace_back(group::ReplicaKey{i, 1});
    for (int round = 0; round < 5; ++round) {
      Reports reports;
      store::VolumeOptions options = smallGenerations(dir / "log", round == 0);
      options.layOutJournals = (seed + static_cast<uint64_t>(round)) % 2 == 0;
      auto volume = store::LogVolume::open(options, reports);
      REQUIRE_MESSAGE(volume.ok(), (volume ? "" : volume.fault().text));
      auto recovered = (*volume)->recovered();
      (*volume)->start();
      for (const ReplicaModel& model : models) {
        if (model.lastWrite > 0) CHECK(compare(**volume, reports, recovered, model) == "");
      }
      for (int i = 0; i < 400; ++i) {
        // A few busy ones, the rest seldom.
        ReplicaModel& model = models[prng.chance(900) ? prng.below(3) : prng.below(models.size())];
        const raft::LogShape& shape = model.state.shape;
        auto held = shape.lastIndex() + 1 - shape.firstIndex();
        if (held > 30) {
          (*volume)->write(model.key, model.compact(shape.lastIndex() - 5));
        } else if (held > 5 && prng.chance(100)) {
          (*volume)->write(model.key, model.overwrite(shape.lastIndex() - 2, 2, 300));
        } else {
          (*volume)->write(model.key, model.append(3, prng.below(600)));
        }
        if (prng.chance(200)) REQUIRE(reports.waitPersisted(model.key, model.lastWrite));
      }
      (*volume)->stop();
      CHECK(!reports.failure.has_value());
      CHECK(reports.damages.empty());
    }
  }
}

TEST_CASE("store/generations: old ones go with what is compacted, and none stays for little") {
  TempDirectory dir;
  ReplicaModel catalog({1, 1});  // has a few entries in the oldest
  ReplicaModel busy({2, 1});
  {
    Reports reports;
    auto volume = store::LogVolume::open(smallGenerations(dir / "log", true), reports);
    REQUIRE(volume.ok());
    store::LogVolume& log = **volume;
    log.start();
    log.write(catalog.key, catalog.append(3, 100));
    for (int i = 0; i < 24; ++i) {  // in several generations, of less than the row may have
      log.write(busy.key, busy.append(10, 500));
      REQUIRE(reports.waitPersisted(busy.key, busy.lastWrite));
    }
    CHECK(log.status().generations > 3);
    CHECK(log.status().bytesCopied == 0);
    // Nothing more is written, so no generation begins.
    log.write(busy.key, busy.compact(busy.state.shape.lastIndex() - 1));
    REQUIRE(reports.waitPersisted(busy.key, busy.lastWrite));
    for (int i = 0; i < 20 && log.status().generations > 2; ++i) {  // moved beside small writes
      log.write(catalog.key, catalog.append(1, 10));
      REQUIRE(reports.waitPersisted(catalog.key, catalog.lastWrite));
    }
    CHECK(log.status().generations <= 2);
    CHECK(log.status().bytesCopied > 3 * 100);
    CHECK(log.status().bytesCopied < kGenerationBytes / 4);
    CHECK(compareLog(log, reports, catalog) == "");
    CHECK(compareLog(log, reports, busy) == "");
  }
  Reports reports;
  auto volume = store::LogVolume::open(smallGenerations(dir / "log", false), reports);
  REQUIRE(volume.ok());
  auto recovered = (*volume)->recovered();
  (*volume)->start();
  CHECK(compare(**volume, reports, recovered, catalog) == "");
  CHECK(compare(**volume, reports, recovered, busy) == "");
}

TEST_CASE("store/generations: old journals are written over; none is left by a stop, or a start") {
  TempDirectory dir;
  ReplicaModel model({1, 1});
  auto spares = [&]() {
    uint64_t count = 0;
    for (uint64_t place = 1; place <= store::kSparesMax; ++place) {
      count += std::filesystem::exists(dir / ("log/spare-" + std::to_string(place) + ".log"));
    }
    return count;
  };
  auto live = [&](bool create, bool laidOut, int writes) {
    Reports reports;
    store::VolumeOptions options = smallGenerations(dir / "log", create);
    options.layOutJournals = laidOut;
    auto volume = store::LogVolume::open(options, reports);
    REQUIRE_MESSAGE(volume.ok(), (volume ? "" : volume.fault().text));
    CHECK(spares() == 0);
    auto recovered = (*volume)->recovered();
    (*volume)->start();
    if (!create) CHECK(compare(**volume, reports, recovered, model) == "");
    uint64_t most = 0;
    for (int i = 0; i < writes; ++i) {
      (*volume)->write(model.key, model.append(4, 250));
      (*volume)->write(model.key, model.compact(model.state.shape.lastIndex() - 3));
      REQUIRE(reports.waitPersisted(model.key, model.lastWrite));
      if (i % 10 == 9) most = std::max(most, spares());
    }
    (*volume)->stop();
    return most;
  };
  // Without journals that are laid out; their files end in zeros, as they do that older hosts made.
  CHECK(live(true, false, 100) == 0);
  for (const std::string& file : filesBelow(dir / "log")) {
    if (!file.ends_with(".log")) continue;
    std::filesystem::resize_file(file, std::filesystem::file_size(file) + 2'000'000);
  }
  uint64_t most = live(false, true, 400);
  CHECK(most >= 1);
  CHECK(most <= store::kSparesMax);
  CHECK(spares() == 0);
  std::filesystem::copy_file(dir / "log/mark", dir / "log/spare-3.log");
  live(false, true, 1);
}
