// The applier with a machine on disk: what is durable, where a start goes on, what is refused.
#include <doctest/doctest.h>

#include "host/group/applier.h"
#include "host/group/memory_keys.h"
#include "tests/group/map_machine.h"

namespace flotilla::group {
namespace {

using test::kMapInterface;
using test::mapCall;
using test::MemoryFile;
using test::MemorySource;

// Counts, under each command's params, how often it was carried out, and tells of those that begin
// so. A version of another layout begins with 'l', one in memory with 'm', one that refuses what it
// finds with 'r'.
class CountingMachine final : public Machine {
public:
  explicit CountingMachine(std::string version) : version_(std::move(version)) {}

  ApplyEnd apply(const MachineCommand* commands, size_t count, Answers& answers) override {
    for (size_t i = 0; i < count; ++i) {
      std::string key(commands[i].params);
      while (!key.empty() && key.back() == '\0') key.pop_back();  // fills words
      if (key.starts_with("break")) return {i, Fault{ErrorCode::faulted, "broke", {}}};
      std::string held;
      auto found = store_->get(key, held);
      if (!found) return {i, found.fault()};
      store_->set(key, *found ? held + "+" : "1");
      ++commands_;
      if (key.starts_with("tell")) answers.emit(i, "told", key);
      answers.result(i, "done");
    }
    return {count, {}};
  }
  Result<void> query(const MachineCommand&, Answers& answers) override {
    answers.result(0, "");
    return {};
  }
  Result<std::unique_ptr<Capture>> capture() override { return store_->capture(stateVersion()); }
  Result<void> load(SnapshotSource& source) override {
    auto loaded = store_->load(source, stateVersion());
    return loaded ? open(store_) : loaded;
  }
  std::optional<uint64_t> digest() override { return commands_; }
  std::optional<MethodKind> kindOf(uint64_t, uint16_t) const override {
    return MethodKind::command;
  }
  bool onDisk() const override { return is('m') == false; }
  uint32_t stateVersion() const override { return is('l') ? 2 : 1; }
  Result<void> open(std::shared_ptr<MachineStore> store) override {
    if (is('r')) return Fault{ErrorCode::badRequest, "it takes nothing over", {}};
    store_ = std::move(store);
    std::string commands;
    auto found = store_->get("commands", commands);
    if (!found) return found.fault();
    commands_ = *found ? std::stoull(commands) : 0;
    return {};
  }
  Result<void> settle() override {
    store_->set("commands", std::to_string(commands_));
    return {};
  }
  std::shared_ptr<MachineStore> store() const override { return store_; }

private:
  bool is(char kind) const { return !version_.empty() && version_.front() == kind; }

  std::string version_;
  std::shared_ptr<MachineStore> store_;
  uint64_t commands_ = 0;
};

class CrowdedKeys final : public KeptKeys {
public:
  CrowdedKeys(std::shared_ptr<MemoryPlace> place, std::function<Result<void>()> refuses)
      : keys_(std::move(place), std::move(refuses)) {}
  const Kept& kept() const override { return keys_.kept(); }
  Result<bool> get(std::string_view key, std::string& value) override {
    return keys_.get(key, value);
  }
  std::unique_ptr<KeyWalk> walk(std::string_view from) override { return keys_.walk(from); }
  std::shared_ptr<const HeldKeys> hold() override { return keys_.hold(); }
  Result<void> write(const KeyChanges& changes, Kept kept) override {
    return keys_.write(changes, std::move(kept));
  }
  uint64_t memoryBytes() const override { return 0; }
  bool gathered(uint64_t) override { return true; }

private:
  MemoryKeys keys_;
};

struct Bench {
  Bench() { restart(); }

  // A process ends, and with it all that was not synced.
  void restart() {
    applier = std::make_unique<Applier>(
        ReplicaKey{7, 1},
        [this](const std::string& version) -> Result<std::unique_ptr<Machine>> {
          if (lacks) return Fault{ErrorCode::unavailable, "its file is not here", {}};
          return std::unique_ptr<Machine>(std::make_unique<CountingMachine>(version));
        },
        [this]() -> Result<std::shared_ptr<MachineStore>> {
          place = std::make_shared<MemoryPlace>();
          return storeAt(place);
        },
        events);
    Result<void> begun = place == nullptr || place->kept.at.index == 0
                             ? applier->begin()
                             : applier->resume(storeAt(place));
    REQUIRE(begun.ok());
  }
  std::shared_ptr<MachineStore> storeAt(std::shared_ptr<MemoryPlace> at) {
    auto refusal = [this]() -> Result<void> {
      if (refuses != ErrorCode::none) return Fault{refuses, "the disk says no", {}};
      return {};
    };
    if (crowded) {
      return std::make_shared<MachineStore>(
          std::make_unique<CrowdedKeys>(std::move(at), std::move(refusal)));
    }
    return std::make_shared<MachineStore>(
        std::make_unique<MemoryKeys>(std::move(at), std::move(refusal)));
  }
  Applied apply(std::vector<std::string> commands) {
    std::vector<Call> calls;
    for (const std::string& each : commands) calls.push_back(mapCall(0, each));
    log.push_back({log.size() + 1, 1, encodeCommands(1000, calls)});
    return applier->apply({0, {log.back()}, true});
  }
  Applied replayFrom(raft::Index durable) {
    return applier->apply({0, {log.begin() + static_cast<std::ptrdiff_t>(durable), log.end()}});
  }
  Applied switchTo(const std::string& version) {
    log.push_back({log.size() + 1, 1, encodeSwitchPlugin(1000, version)});
    return applier->apply({0, {log.back()}, true});
  }
  raft::LogShape shape() const {
    raft::LogShape shape({}, {{1, 2, 3}, {}, {}, {}, false});
    shape.append(log.size(), 1);
    return shape;
  }

  std::string told() const {
    auto seen = applier->state().events.read({}, "", 1000);
    std::string text;
    for (const Event& event : seen.events) text += std::string(event.message.view()) + " ";
    return text;
  }

  EventBounds events;
  std::shared_ptr<MemoryPlace> place;
  ErrorCode refuses = ErrorCode::none;
  bool lacks = false;    // the plugin's file
  bool crowded = false;  // the disk's machines hold much
  std::vector<LogEntry> log;
  std::unique_ptr<Applier> applier;
};

std::string versionOf(char kind) {
  return std::string(64, kind);
}

std::string bodyOf(const Applied& applied) {
  REQUIRE(applied.answers.size() == 1);
  return std::string(applied.answers[0].outcome.body.view());
}

}  // namespace

TEST_CASE("group/disk_machine: a start goes on from the last sync, and nothing runs twice") {
  Bench bench;
  CHECK(bench.apply({"a", "b"}).durable == raft::LogPoint{});
  REQUIRE(bench.applier->sync().ok());
  CHECK(bench.apply({"a"}).durable == raft::LogPoint{1, 1});
  bench.restart();
  CHECK(bench.applier->at() == raft::LogPoint{1, 1});
  CHECK(bench.place->rows.at("a") == "1");
  CHECK(bench.applier->machine()->digest() == 2);
  Applied replayed = bench.replayFrom(1);
  CHECK(replayed.index == 2);
  REQUIRE(bench.applier->sync().ok());
  CHECK(bench.place->rows.at("a") == "1+");
  CHECK(bench.place->rows.at("commands") == "3");
  CHECK(bench.applier->durable() == raft::LogPoint{2, 1});
}

TEST_CASE("group/disk_machine: events are kept with the rows, within the group's bounds") {
  Bench bench;
  bench.apply({"tell 1", "tell 2"});
  REQUIRE(bench.applier->sync().ok());
  bench.apply({"tell 3"});
  uint64_t digest = bench.applier->state().digest();
  bench.restart();
  CHECK(bench.told() == "tell 1 tell 2 ");
  bench.replayFrom(1);
  CHECK(bench.told() == "tell 1 tell 2 tell 3 ");
  CHECK(bench.applier->state().digest() == digest);
  bench.events = {.countMax = 1};
  bench.restart();
  CHECK(bench.told() == "tell 2 ");
}

TEST_CASE("group/disk_machine: rows and a group state of two entries are nothing to begin with") {
  Bench bench;
  bench.apply({"a"});
  REQUIRE(bench.applier->sync().ok());
  bench.place->kept.at.index = 2;
  auto resumed = bench.applier->resume(bench.storeAt(bench.place));
  REQUIRE(!resumed.ok());
  CHECK(resumed.fault().text == "machine: its place on disk stands at 2, its group state at 1");
}

TEST_CASE("group/disk_machine: much that was changed is written without being asked") {
  Bench bench;
  std::string large(size_t{1} << 20, 'x');
  CHECK(bench.apply({large + "1", large + "2"}).durable == raft::LogPoint{});
  CHECK(bench.apply({large + "3", large + "4"}).durable == raft::LogPoint{2, 1});
}

TEST_CASE("group/disk_machine: where all machines hold much, little is written as well") {
  for (bool crowded : {false, true}) {
    Bench bench;
    bench.crowded = crowded;
    bench.restart();
    std::string some(40'000, 'x');
    CHECK(bench.apply({some + "1"}).durable == raft::LogPoint{});
    CHECK(bench.apply({some + "2"}).durable == (crowded ? raft::LogPoint{2, 1} : raft::LogPoint{}));
  }
}

TEST_CASE("group/disk_machine: a fault takes back what was changed since the last sync") {
  Bench bench;
  bench.apply({"a"});
  REQUIRE(bench.applier->sync().ok());
  Applied stopped = bench.apply({"b", "break"});
  REQUIRE(stopped.fault.has_value());
  CHECK(stopped.faultAt == Position{2, 1});
  CHECK(!bench.applier->sync().ok());
  CHECK(!bench.place->rows.contains("b"));
  REQUIRE(bench.applier->resume(bench.applier->machine()->store()).ok());
  CHECK(bench.applier->at().index == 1);
  std::string value;
  CHECK(!*bench.applier->machine()->store()->get("b", value));
  CHECK(bench.applier->machine()->store()->gatheredBytes() == 0);
  CHECK(bench.replayFrom(1).faultAt == Position{2, 1});
}

TEST_CASE("group/disk_machine: one that could not go back is not written as it stood before") {
  Bench bench;
  bench.apply({"a"});
  REQUIRE(bench.applier->sync().ok());
  bench.apply({"b"});
  bench.lacks = true;
  CHECK(!bench.applier->resume(bench.applier->machine()->store()).ok());
  CHECK(!bench.applier->sync().ok());
  CHECK(bench.place->kept.at.index == 1);
  bench.lacks = false;
  REQUIRE(bench.applier->resume(bench.applier->machine()->store()).ok());
  CHECK(bench.replayFrom(1).index == 2);
  REQUIRE(bench.applier->sync().ok());
  CHECK(bench.place->rows.at("b") == "1");
}

TEST_CASE("group/disk_machine: without room it goes on, with a broken disk it stops") {
  Bench bench;
  bench.apply({"a"});
  bench.refuses = ErrorCode::diskFull;
  CHECK(bench.applier->sync().fault().code == ErrorCode::diskFull);
  CHECK(!bench.apply({"b"}).fault);
  bench.refuses = ErrorCode::none;
  REQUIRE(bench.applier->sync().ok());
  CHECK(bench.place->rows.at("b") == "1");
  bench.apply({"c"});
  bench.refuses = ErrorCode::io;
  CHECK(!bench.applier->sync().ok());
  Applied stopped = bench.apply({"d"});
  REQUIRE(stopped.fault.has_value());
  CHECK(stopped.fault->text == "the disk says no");
  CHECK(stopped.index == 3);
}

TEST_CASE("group/disk_machine: no room for long stops it before memory is full") {
  Bench bench;
  bench.refuses = ErrorCode::diskFull;
  std::string large(size_t{1} << 20, 'x');
  Applied applied;
  for (int i = 0; i < 100 && !applied.fault; ++i)
    applied = bench.apply({large + std::to_string(i)});
  REQUIRE(applied.fault.has_value());
  CHECK(applied.fault->code == ErrorCode::diskFull);
  CHECK(bench.applier->machine()->store()->gatheredBytes() < 2 * kUnsyncedBytesMax);
}

TEST_CASE("group/disk_machine: without room it holds little where all machines hold much") {
  Bench bench;
  bench.crowded = true;
  bench.restart();
  bench.refuses = ErrorCode::diskFull;
  CHECK(!bench.apply({"little"}).fault);
  CHECK(bench.applier->sync().fault().code == ErrorCode::diskFull);
  CHECK(!bench.apply({"more"}).fault);
  Applied applied = bench.apply({std::string(kSyncCrowdedBytes, 'x')});
  REQUIRE(applied.fault.has_value());
  CHECK(applied.fault->code == ErrorCode::diskFull);
  CHECK(applied.index == 3);
  CHECK(bench.applier->machine()->store()->gatheredBytes() == 0);
}

// It is opened anew for the next one, which finds no room either.
TEST_CASE("group/disk_machine: a write that came through after all leaves nothing gathered") {
  Bench bench;
  bench.apply({"a"});
  bench.refuses = ErrorCode::diskFull;
  CHECK(!bench.applier->sync().ok());
  bench.place->kept = {bench.applier->at(), bench.applier->state().encode(Sessions::Form::runs)};
  CHECK(!bench.applier->sync().ok());
  bench.refuses = ErrorCode::none;
  REQUIRE(bench.applier->sync().ok());
  CHECK(bench.applier->machine()->store()->gatheredBytes() == 0);
}

TEST_CASE("group/disk_machine: a snapshot is loaded into a fresh place, and durable there") {
  Bench bench;
  bench.apply({"a", "b"});
  auto capture = bench.applier->capture(bench.shape(), true);
  REQUIRE(capture.ok());
  CHECK(bench.applier->durable() == raft::LogPoint{1, 1});  // so its log may be cut off there
  MemoryFile file;
  REQUIRE((*capture)->save(file).ok());
  auto before = bench.place;
  bench.apply({"c"});
  MemorySource source(file.bytes);
  REQUIRE(bench.applier->install(source, raft::LogPoint{1, 1}).ok());
  CHECK(bench.place != before);
  CHECK(bench.place->kept.at == raft::LogPoint{1, 1});
  CHECK(bench.place->rows == before->rows);
  CHECK(bench.applier->machine()->digest() == 2);

  std::string damaged = file.bytes;
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
  MemorySource torn(damaged);
  CHECK(!bench.applier->install(torn, raft::LogPoint{1, 1}).ok());
  CHECK(bench.applier->machine()->digest() == 2);  // the one before goes on
}

TEST_CASE("group/disk_machine: one that stopped gives a snapshot of what it has kept") {
  Bench nothing;
  CHECK(nothing.apply({"break"}).fault.has_value());
  CHECK(!nothing.applier->capture(nothing.shape(), true).ok());

  Bench bench;
  bench.apply({"a"});
  REQUIRE(bench.applier->sync().ok());
  auto rows = bench.place->rows;
  CHECK(bench.apply({"b", "break"}).fault.has_value());
  auto capture = bench.applier->capture(bench.shape(), true);
  REQUIRE(capture.ok());
  CHECK((*capture)->point() == raft::LogPoint{1, 1});
  MemoryFile file;
  REQUIRE((*capture)->save(file).ok());
  MemorySource source(file.bytes);
  REQUIRE(bench.applier->install(source, raft::LogPoint{1, 1}).ok());
  CHECK(bench.place->rows == rows);
}

TEST_CASE("group/disk_machine: of one that its log does not cover there is no snapshot") {
  Bench bench;
  bench.apply({"a"});
  bench.apply({"b"});
  REQUIRE(bench.applier->sync().ok());
  raft::LogShape cutOff({5, 1}, {{1, 2, 3}, {}, {}, {}, false});
  raft::LogShape lost({}, {{1, 2, 3}, {}, {}, {}, false});
  lost.append(1, 1);
  for (const raft::LogShape& shape : {cutOff, lost}) {
    auto capture = bench.applier->capture(shape, true);
    REQUIRE(!capture.ok());
    CHECK(capture.fault().text ==
          "snapshot: the machine stands at 2, where the log here has nothing");
  }
  CHECK(!bench.apply({"c"}).fault);
  CHECK(bench.applier->capture(bench.shape(), true).ok());
}

TEST_CASE("group/disk_machine: another plugin goes on over the same rows") {
  Bench bench;
  bench.apply({"a"});
  REQUIRE(bench.applier->sync().ok());
  bench.apply({"b"});
  CHECK(bodyOf(bench.switchTo(versionOf('n'))).empty());
  CHECK(bench.applier->machine()->digest() == 2);
  bench.apply({"a"});
  CHECK(bench.applier->state().plugin == versionOf('n'));
  bench.restart();
  CHECK(bench.applier->at().index == 1);
  CHECK(bench.applier->state().plugin.empty());
  bench.replayFrom(1);
  REQUIRE(bench.applier->sync().ok());
  CHECK(bench.place->rows.at("a") == "1+");
  bench.restart();
  CHECK(bench.applier->state().plugin == versionOf('n'));
  CHECK(bench.applier->machine()->digest() == 3);
}

TEST_CASE("group/disk_machine: what cannot take the rows over leaves the one before") {
  Bench bench;
  bench.apply({"a"});
  CHECK(bodyOf(bench.switchTo(versionOf('l'))) ==
        "the plugin before goes on: its state version is 2, the state on disk has 1; what is on "
        "disk is not migrated");
  CHECK(bodyOf(bench.switchTo(versionOf('m'))) ==
        "the plugin before goes on: one keeps its state on disk and the other in memory; make a "
        "new group");
  CHECK(bodyOf(bench.switchTo(versionOf('r'))) ==
        "the plugin before goes on: it takes nothing over");
  CHECK(!bench.apply({"a"}).fault);
  CHECK(bench.applier->machine()->digest() == 2);
}

}  // namespace flotilla::group
