// A volume's logs in ordinary times.
#include <thread>

#include <doctest/doctest.h>

#include "tests/store/temp_directory.h"
#include "tests/store/volume_model.h"

using namespace flotilla;
using namespace flotilla::test;

namespace {

struct Volume {
  explicit Volume(const std::string& path, bool create = true)
      : Volume(volumeOptions(path, create)) {}
  explicit Volume(store::VolumeOptions options) {
    auto opened = store::LogVolume::open(std::move(options), reports);
    REQUIRE_MESSAGE(opened.ok(), (opened ? "" : opened.fault().text));
    log = std::move(*opened);
    recovered = log->recovered();
  }
  bool put(ReplicaModel& model, group::DiskWrite write) {
    raft::WriteId id = write.id;
    log->write(model.key, std::move(write));
    return reports.waitPersisted(model.key, id);
  }
  Reports reports;
  std::unique_ptr<store::LogVolume> log;
  std::vector<store::RecoveredReplica> recovered;
};

}  // namespace

TEST_CASE("store/log_volume: what waits for the disk becomes one frame and one sync") {
  TempDirectory dir;
  Volume volume(dir / "log");
  std::vector<ReplicaModel> models;
  for (uint64_t group = 1; group <= 1000; ++group) models.emplace_back(group::ReplicaKey{group, 1});
  for (ReplicaModel& model : models) {
    volume.log->write(model.key, model.append(1, 100));
    volume.log->write(model.key, model.append(2, 50));
  }
  CHECK(volume.log->queuedBytes() > 1000 * 200);
  volume.log->start();
  CHECK(volume.reports.wait([](const Reports& it) { return it.safe.size() == 1000; }));
  volume.log->stop();
  CHECK(volume.log->queuedBytes() == 0);
  CHECK(volume.log->status().frames == 1);
  CHECK(volume.log->status().syncs == 1);
  CHECK(volume.reports.persistedCalls == 1);
  CHECK(volume.reports.safe[{7, 1}] == 2);
  volume.log.reset();

  Volume again(dir / "log", false);
  CHECK(again.recovered.size() == 1000);
  again.log->start();
  for (const ReplicaModel& model : models) {
    CHECK(compare(*again.log, again.reports, again.recovered, model) == "");
  }
  again.log->stop();
}

TEST_CASE("store/log_volume: entries that are not on disk yet are fetched as last submitted") {
  TempDirectory dir;
  Volume volume(dir / "log");
  ReplicaModel model({7, 2});
  volume.log->write(model.key, model.append(5, 10));
  volume.log->fetch(model.key, {1, 0, 5, 1 << 20});
  volume.log->write(model.key, model.overwrite(3, 4, 12));
  volume.log->fetch(model.key, {2, 1, 6, 1 << 20});
  volume.log->fetch(model.key, {3, 0, 6, 1});
  volume.log->fetch(model.key, {4, 6, 9, 1 << 20});
  volume.log->fetch({8, 1}, {5, 0, 1, 1 << 20});
  volume.log->start();
  CHECK(volume.reports.wait([](const Reports& it) { return it.fetches.size() == 5; }));
  auto& fetches = volume.reports.fetches;
  REQUIRE(fetches.at(2).ok());
  CHECK(fetches.at(2)->size() == 5);
  CHECK(fetches.at(2)->at(1).term == 2);
  REQUIRE(fetches.at(3).ok());
  CHECK(fetches.at(3)->size() == 1);
  REQUIRE(!fetches.at(4).ok());
  CHECK(fetches.at(4).fault().code == ErrorCode::unavailable);
  CHECK(fetches.at(4).fault().text ==
        "group 7 replica 2: log: entry 7 is not in the log (any more)");
  CHECK(fetches.at(5).fault().code == ErrorCode::unavailable);
  CHECK(compareLog(*volume.log, volume.reports, model) == "");
  volume.log->stop();
}

TEST_CASE("store/log_volume: overwrite, compaction, reset and forgetting survive a restart") {
  TempDirectory dir;
  std::vector<ReplicaModel> models;
  for (uint64_t i = 1; i <= 5; ++i) models.emplace_back(group::ReplicaKey{i, i});
  {
    Volume volume(dir / "log");
    volume.log->start();
    for (ReplicaModel& model : models) CHECK(volume.put(model, model.append(20, 30)));
    CHECK(volume.put(models[0], models[0].overwrite(8, 3, 40)));
    CHECK(volume.put(models[1], models[1].compact(12)));
    CHECK(volume.put(models[1], models[1].append(3, 9)));
    CHECK(volume.put(models[2], models[2].reset({100, 4})));
    CHECK(volume.put(models[2], models[2].append(2, 0)));
    CHECK(volume.put(models[3], models[3].vote(3)));
    volume.log->forget(models[4].key);
    CHECK(volume.reports.wait([](const Reports& it) { return it.gone.size() == 1; }));
    auto dead = fetchNow(*volume.log, volume.reports, models[1].key, {0, 11, 12, 100});
    CHECK(dead.fault().code == ErrorCode::unavailable);
    for (size_t i = 0; i < 4; ++i) CHECK(compareLog(*volume.log, volume.reports, models[i]) == "");
    volume.log->stop();
  }
  for (int restart = 0; restart < 3; ++restart) {
    Volume volume(dir / "log", false);
    CHECK(volume.recovered.size() == 4);
    volume.log->start();
    for (size_t i = 0; i < 4; ++i) {
      CHECK(compare(*volume.log, volume.reports, volume.recovered, models[i]) == "");
    }
    volume.log->stop();
  }
}

TEST_CASE("store/log_volume: a new volume is made only where it is asked for, and there is none") {
  TempDirectory dir;
  Reports reports;
  auto missing = store::LogVolume::open(volumeOptions(dir / "log", false), reports);
  REQUIRE(!missing.ok());
  CHECK(missing.fault().code == ErrorCode::corrupt);
  CHECK(missing.fault().text.find("volume main: " + (dir / "log/generations")) == 0);
  CHECK(store::LogVolume::open(volumeOptions(dir / "log", true), reports).ok());
  auto twice = store::LogVolume::open(volumeOptions(dir / "log", true), reports);
  REQUIRE(!twice.ok());
  CHECK(twice.fault().text == "volume main: " + (dir / "log") + " holds a log already");
}

TEST_CASE("store/log_volume: several threads write while others fetch") {
  TempDirectory dir;
  store::VolumeOptions options = volumeOptions(dir / "log", true);
  options.generationBytes = 200'000;
  options.generationsBytesMax = 1'000'000;
  Volume volume(options);
  volume.log->start();
  std::vector<ReplicaModel> models;
  for (uint64_t i = 1; i <= 4; ++i) models.emplace_back(group::ReplicaKey{i, 1});
  std::vector<std::thread> threads;
  for (ReplicaModel& model : models) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        volume.log->write(model.key, model.append(1 + i % 3, 200));
        if (i % 10 == 0)
          volume.log->fetch(model.key,
                            {model.key.group * 1000 + static_cast<uint64_t>(i), 0, 5, 100});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (ReplicaModel& model : models) {
    CHECK(volume.reports.waitPersisted(model.key, model.lastWrite));
    CHECK(compareLog(*volume.log, volume.reports, model) == "");
  }
  volume.log->stop();
  CHECK(volume.reports.fetches.size() >= 80);
}
