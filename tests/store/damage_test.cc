// Every file of a volume flipped, cut and deleted: found, never a silent loss.
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>

#include <doctest/doctest.h>
#include <leveldb/db.h>

#include "host/base/prng.h"
#include "host/store/frame.h"
#include "tests/store/temp_directory.h"
#include "tests/store/volume_model.h"

using namespace flotilla;
using namespace flotilla::test;
namespace fs = std::filesystem;

namespace {

std::string readFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void writeFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// A volume with three generations and three replicas, stopped in good order.
struct Written {
  TempDirectory dir;
  std::vector<ReplicaModel> models;
  uint64_t writeBufferBytes;
  bool laidOut;  // journals are, ahead

  explicit Written(uint64_t buffer, bool layOut = false)
      : writeBufferBytes(buffer), laidOut(layOut) {
    for (uint64_t i = 1; i <= 3; ++i) models.emplace_back(group::ReplicaKey{i, i});
    Reports reports;
    auto volume = store::LogVolume::open(options("good", true), reports);
    REQUIRE(volume.ok());
    (*volume)->start();
    for (int i = 0; i < 60; ++i) {
      ReplicaModel& model = models[static_cast<size_t>(i) % 3];
      (*volume)->write(model.key, model.append(2, tables() ? 4000 : 300));
      REQUIRE(reports.waitPersisted(model.key, model.lastWrite));
    }
    (*volume)->stop();
    CHECK((*volume)->status().generations >= 3);
  }

  store::VolumeOptions options(const std::string& name, bool create) {
    store::VolumeOptions made = volumeOptions(dir / name, create);
    made.generationBytes = tables() ? 200'000 : 16'000;
    made.writeBufferBytes = writeBufferBytes;
    made.layOutJournals = laidOut;
    return made;
  }

  bool tables() const { return writeBufferBytes != 0; }

  // A copy to be damaged.
  std::string copy() {
    fs::remove_all(dir / "bad");
    fs::copy(dir / "good", dir / "bad", fs::copy_options::recursive);
    return dir / "bad";
  }

  // What became of the damage: "refused: …", "replica: …", or "whole".
  std::string outcome() {
    Reports reports;
    auto volume = store::LogVolume::open(options("bad", false), reports);
    if (!volume) return "refused: " + volume.fault().text;
    auto recovered = (*volume)->recovered();
    (*volume)->start();
    for (const store::RecoveredReplica& replica : recovered) {
      if (replica.fault) return "replica: " + replica.fault->text;
    }
    for (const ReplicaModel& model : models) {
      std::string difference = compare(**volume, reports, recovered, model);
      // A table's index may hide a frame from a search that a walk has seen: then the read finds
      // it.
      bool stopped = difference.find("; the replica is stopped") != std::string::npos;
      if (!difference.empty()) return (stopped ? "replica: " : "lost: ") + difference;
    }
    return "whole";
  }
};

// Changes one frame behind the volume's back, so that LevelDB's own checksums are right.
void changeFrame(const std::string& generation, uint64_t frame,
                 const std::function<std::optional<std::string>(std::string)>& change) {
  leveldb::Options options;
  options.reuse_logs = true;
  leveldb::DB* raw = nullptr;
  REQUIRE(leveldb::DB::Open(options, generation, &raw).ok());
  std::unique_ptr<leveldb::DB> database(raw);
  std::string bytes;
  REQUIRE(database->Get({}, store::frameKey(frame), &bytes).ok());
  if (auto changed = change(bytes)) {
    REQUIRE(database->Put({}, store::frameKey(frame), *changed).ok());
  } else {
    REQUIRE(database->Delete({}, store::frameKey(frame)).ok());
  }
}

// Flips a byte of the body of the frame's `place`th record.
std::string flipBody(std::string bytes, uint32_t place, uint32_t at) {
  auto line = store::FrameView::lineAt(bytes, place);
  REQUIRE(line.has_value());
  REQUIRE(at < line->length);
  bytes[line->offset + at] = static_cast<char>(bytes[line->offset + at] ^ 4);
  return bytes;
}

bool endsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// A table that LevelDB does not count among its own: begun when the volume was stopped, or no more
// in use. `file` lies in a copy, which is opened.
bool isLeftover(const fs::path& file) {
  leveldb::Options options;
  options.reuse_logs = true;
  auto written = fs::last_write_time(file);
  leveldb::DB* raw = nullptr;
  REQUIRE(leveldb::DB::Open(options, file.parent_path().string(), &raw).ok());
  std::unique_ptr<leveldb::DB> database(raw);
  std::string tables;
  REQUIRE(database->GetProperty("leveldb.sstables", &tables));
  // The open itself may have made a table, and given it the number of one that nobody knows of.
  if (!fs::exists(file) || fs::last_write_time(file) != written) return true;
  return tables.find("\n " + std::to_string(std::stoull(file.stem().string())) + ":") ==
         std::string::npos;
}

// How much of a file is in use: a journal that was laid out ahead ends in zeros.
size_t usedOf(const std::string& file) {
  std::string bytes = readFile(file);
  size_t last = endsWith(file, ".log") ? bytes.find_last_not_of('\0') : bytes.size() - 1;
  return last == std::string::npos ? 0 : last + 1;
}

// Files whose bytes say nothing that is needed.
bool saysNothing(const std::string& file) {
  return endsWith(file, "/LOCK") || endsWith(file, "/ballast") || usedOf(file) == 0;
}

}  // namespace

TEST_CASE("store/damage: a flipped bit in any file is found, or touched nothing that is needed") {
  struct Way {
    uint64_t buffer;
    bool laidOut;
  };
  for (Way way : {Way{0, false}, Way{66'000, false}, Way{0, true}}) {
    INFO("LevelDB's buffer: ", way.buffer, ", journals laid out: ", way.laidOut);
    Written written(way.buffer, way.laidOut);
    base::Prng prng(way.buffer + 1);
    int found = 0;
    for (const std::string& file : filesBelow(written.dir / "good")) {
      if (saysNothing(file)) continue;
      std::string name = file.substr((written.dir / "good").size());
      size_t size = usedOf(file);
      size_t step = 1 + size / 24;
      for (size_t at = 0; at < size; at += step) {
        size_t place = std::min(size - 1, at + prng.below(step));
        std::string path = written.copy() + name;
        std::string bytes = readFile(path);
        bytes[place] = static_cast<char>(bytes[place] ^ (1 << prng.below(8)));
        writeFile(path, bytes);
        std::string outcome = written.outcome();
        INFO(name, " byte ", place, " of ", size, ": ", outcome);
        CHECK(outcome.substr(0, 5) != "lost:");
        bool journal = endsWith(name, ".log");
        if (journal || endsWith(name, "/generations")) CHECK(outcome != "whole");
        if (outcome != "whole") {
          ++found;
          CHECK(outcome.find('\n') == std::string::npos);
        }
      }
    }
    CHECK(found > 100);
  }
}

TEST_CASE("store/damage: the end of the newest journal is missed, however little is cut off") {
  for (bool laidOut : {false, true}) {
    Written written(0, laidOut);
    std::vector<std::string> journals;
    for (const std::string& file : filesBelow(written.dir / "good")) {
      if (endsWith(file, ".log")) journals.push_back(file);
    }
    for (const std::string& journal : journals) {
      std::string name = journal.substr((written.dir / "good").size());
      size_t size = fs::file_size(journal);
      size_t used = laidOut ? usedOf(journal) : size;
      CHECK((size > used) == laidOut);
      for (size_t cut : {size_t{1}, size_t{100}, size_t{700}, used / 2, used}) {
        std::string path = written.copy() + name;
        fs::resize_file(path, used - cut);
        if (laidOut) fs::resize_file(path, size);
        std::string outcome = written.outcome();
        INFO(name, " less ", cut, ": ", outcome);
        CHECK(outcome.find("refused: volume main: generation ") == 0);
        CHECK(outcome.find(" is missing") != std::string::npos);
      }
    }
  }
}

TEST_CASE("store/damage: every deleted file is named or missed") {
  for (uint64_t buffer : {0, 66'000}) {
    Written written(buffer);
    bool tables = false;  // seen
    for (const std::string& file : filesBelow(written.dir / "good")) {
      if (saysNothing(file)) continue;
      std::string name = file.substr((written.dir / "good").size());
      if (endsWith(name, ".ldb") && isLeftover(written.copy() + name)) continue;
      fs::remove(written.copy() + name);
      std::string outcome = written.outcome();
      INFO(name, ": ", outcome);
      tables = tables || endsWith(name, ".ldb");
      CHECK(outcome.find("refused: volume main: ") == 0);
      CHECK(
          outcome.find("this host does not start: put back what is missing, or replace the host") !=
          std::string::npos);
    }
    CHECK(tables == written.tables());
    for (const auto& entry : fs::directory_iterator(written.dir / "good")) {
      if (!entry.is_directory()) continue;
      fs::remove_all(written.copy() + "/" + entry.path().filename().string());
      std::string outcome = written.outcome();
      INFO(entry.path().string(), ": ", outcome);
      CHECK(outcome.find("its directory is missing") != std::string::npos);
    }
  }
}

TEST_CASE("store/damage: a frame that is missing or misplaced among others stops the host") {
  Written written(0);
  std::string generation = written.copy() + "/generation-000001";
  changeFrame(generation, 3, [](const std::string&) { return std::nullopt; });
  CHECK(
      written.outcome() ==
      "refused: volume main: generation 1: frame 3 is missing, and frame 4 follows; this host does "
      "not start: put back what is missing, or replace the host");
  generation = written.copy() + "/generation-000001";
  changeFrame(generation, 3, [](std::string bytes) {
    bytes.at(20) = static_cast<char>(bytes.at(20) ^ 1);
    return bytes;
  });
  CHECK(
      written.outcome() ==
      "refused: volume main: generation 1: frame 3 is damaged: frame head: it fails its checksum; "
      "this host does not start: put back what is missing, or replace the host");
}

TEST_CASE(
    "store/damage: a damaged record stops its replica alone, whatever restarts and copying come") {
  // Frame 4 is replica 1-1's second write: a run and a state. Its state is overruled by later ones,
  // frame 58's is not.
  for (bool state : {false, true}) {
    INFO("state: ", state);
    Written written(0);
    written.copy();
    std::string generation = written.dir / "bad/generation-000001";
    uint64_t frame = 4;
    if (state) {
      frame = 58;
      for (const auto& entry : fs::directory_iterator(written.dir / "bad")) {
        if (entry.is_directory()) generation = std::max(generation, entry.path().string());
      }
    }
    changeFrame(generation, frame,
                [&](std::string bytes) { return flipBody(std::move(bytes), state ? 1 : 0, 30); });
    for (int restart = 0; restart < 30; ++restart) {
      Reports reports;
      store::VolumeOptions options = written.options("bad", false);
      options.generationsBytesMax = 20'000;
      auto volume = store::LogVolume::open(options, reports);
      REQUIRE_MESSAGE(volume.ok(), (volume ? "" : volume.fault().text));
      auto recovered = (*volume)->recovered();
      REQUIRE(recovered.size() == 3);
      REQUIRE(recovered[0].fault.has_value());
      CHECK(recovered[0].fault->code == ErrorCode::corrupt);
      CHECK(recovered[0].fault->text.find("group 1 replica 1: log: ") == 0);
      CHECK(recovered[0].fault->text.find("; the replica is stopped, others go on") !=
            std::string::npos);
      (*volume)->start();
      for (size_t i : {size_t{1}, size_t{2}}) {
        CHECK(compare(**volume, reports, recovered, written.models[i]) == "");
        (*volume)->write(written.models[i].key, written.models[i].append(1, 100));
        CHECK(reports.waitPersisted(written.models[i].key, written.models[i].lastWrite));
      }
      (*volume)->stop();
    }
    CHECK(!fs::exists(written.dir / "bad/generation-000001"));
  }
}

TEST_CASE("store/damage: a replica that was rebuilt by a snapshot is whole again") {
  Written written(0);
  written.copy();
  changeFrame(written.dir / "bad/generation-000001", 4,
              [](std::string bytes) { return flipBody(std::move(bytes), 0, 30); });
  CHECK(written.outcome().find("replica: group 1 replica 1: log: entries of ") == 0);
  ReplicaModel& model = written.models[0];
  {
    Reports reports;
    auto volume = store::LogVolume::open(written.options("bad", false), reports);
    REQUIRE(volume.ok());
    (*volume)->start();
    auto damaged = fetchNow(**volume, reports, model.key, {0, 2, 4, 1000});
    REQUIRE(!damaged.ok());
    CHECK(damaged.fault().code == ErrorCode::corrupt);
    CHECK(reports.wait([](const Reports& it) { return it.damages.size() == 1; }));
    (*volume)->write(model.key, model.reset({90, 2}));
    (*volume)->write(model.key, model.append(3, 100));
    CHECK(reports.waitPersisted(model.key, model.lastWrite));
  }
  CHECK(written.outcome() == "whole");
}

TEST_CASE("store/damage: an older copy of a generation is not taken for the newer") {
  TempDirectory dir;
  ReplicaModel model({1, 1});
  for (int life = 0; life < 2; ++life) {
    Reports reports;
    auto volume = store::LogVolume::open(volumeOptions(dir / "log", life == 0), reports);
    REQUIRE(volume.ok());
    (*volume)->start();
    for (int i = 0; i < 3; ++i) (*volume)->write(model.key, model.append(1, 100));
    (*volume)->stop();
    if (life == 0) fs::copy(dir / "log", dir / "old", fs::copy_options::recursive);
  }
  fs::remove_all(dir / "log/generation-000002");
  fs::copy(dir / "old/generation-000001", dir / "log/generation-000002");
  Reports reports;
  auto volume = store::LogVolume::open(volumeOptions(dir / "log", false), reports);
  REQUIRE(!volume.ok());
  CHECK(volume.fault().text.find("generation 2: frame 1 has no business here") !=
        std::string::npos);
}
