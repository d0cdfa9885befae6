// A plugin's machine on disk, over the C boundary: archive from its shared object.
#include <cstring>

#include <doctest/doctest.h>

#include "host/group/machine_store.h"
#include "host/group/memory_keys.h"
#include "host/plugin/machine.h"
#include "host/plugin/storage.h"
#include "tests/plugin/built.h"
#include "tests/plugin/kv_calls.h"

using namespace flotilla;
using flotilla::test::commandAt;
using flotilla::test::Heard;
using flotilla::test::putParams;

namespace {

std::unique_ptr<group::Machine> made(const std::string& name) {
  auto library = plugin::Library::open(test::pluginFile(name));
  if (!library) FAIL(library.fault().text);
  auto machine = plugin::makeMachine(library->descriptor(), {}, nullptr, {1, 1});
  if (!machine) FAIL(machine.fault().text);
  return std::move(machine).value();
}

// A disk that fails at one key.
class FailingKeys final : public group::KeptKeys {
public:
  const group::Kept& kept() const override { return kept_; }
  Result<bool> get(std::string_view key, std::string&) override {
    if (key.find("bad") != std::string_view::npos) return Fault{ErrorCode::io, "bad sector", {}};
    return false;
  }
  std::unique_ptr<group::KeyWalk> walk(std::string_view) override {
    struct None final : group::KeyWalk {
      Result<bool> next(std::string_view&, std::string_view&) override { return false; }
    };
    return std::make_unique<None>();
  }
  std::shared_ptr<const group::HeldKeys> hold() override { return nullptr; }
  Result<void> write(const group::KeyChanges&, group::Kept) override { return {}; }
  uint64_t memoryBytes() const override { return 0; }

private:
  group::Kept kept_;
};

struct OnDisk {
  OnDisk() { REQUIRE(machine->open(store()).ok()); }
  std::shared_ptr<group::MachineStore> store() const {
    return std::make_shared<group::MachineStore>(std::make_unique<group::MemoryKeys>(place));
  }

  std::shared_ptr<group::MemoryPlace> place = std::make_shared<group::MemoryPlace>();
  std::unique_ptr<group::Machine> machine = made("archive");
};

group::Machine::ApplyEnd put(group::Machine& machine, const std::vector<std::string>& keys,
                             Heard& heard) {
  std::vector<Bytes> params;
  for (const std::string& key : keys) params.push_back(putParams(key, "value of " + key));
  std::vector<group::MachineCommand> run;
  for (size_t i = 0; i < keys.size(); ++i) {
    run.push_back(commandAt(1, static_cast<uint32_t>(i), 0, params[i]));
  }
  return machine.apply(run.data(), run.size(), heard);
}

struct Memory final : group::SnapshotSink, group::SnapshotSource {
  Result<void> write(std::string_view piece) override {
    bytes.append(piece);
    return {};
  }
  Result<size_t> read(char* to, size_t size) override {
    size_t part = std::string_view(bytes).substr(next).copy(to, size);
    next += part;
    return part;
  }
  std::string bytes;
  size_t next = 0;
};

}  // namespace

TEST_CASE("plugin/on_disk: what was settled and synced is what the next machine opens") {
  OnDisk first;
  CHECK(first.machine->onDisk());
  Heard heard;
  put(*first.machine, {"a", "b", "c"}, heard);
  CHECK(heard.all.size() == 3);
  CHECK(first.place->rows.empty());
  REQUIRE(first.machine->settle().ok());
  REQUIRE(first.machine->store()->sync({5, 1}, {}).ok());
  put(*first.machine, {"d"}, heard);  // and the process ends

  auto second = made("archive");
  REQUIRE(second->open(first.store()).ok());
  auto inMemory = made("kv");
  put(*inMemory, {"c", "a", "b"}, heard);
  CHECK(second->digest() == inMemory->digest());
  CHECK(second->digest() != first.machine->digest());
}

TEST_CASE("plugin/on_disk: a command that fails leaves nothing behind") {
  OnDisk bench;
  Heard heard;
  put(*bench.machine, {"a"}, heard);
  auto before = bench.machine->digest();
  put(*bench.machine, {std::string(5000, 'k'), ""}, heard);
  CHECK(heard.all[0].code == "keyTooLong");
  CHECK(heard.all[1].code == "emptyKey");
  CHECK(bench.machine->digest() == before);
}

TEST_CASE("plugin/on_disk: a snapshot is the host's work, row by row") {
  OnDisk bench;
  Heard heard;
  put(*bench.machine, {"a", "b"}, heard);
  auto capture = bench.machine->capture();
  REQUIRE(capture.ok());
  put(*bench.machine, {"c"}, heard);
  Memory memory;
  REQUIRE((*capture)->save(memory).ok());
  OnDisk other;
  REQUIRE(other.machine->load(memory).ok());
  auto two = made("kv");
  put(*two, {"a", "b"}, heard);
  CHECK(other.machine->digest() == two->digest());

  Memory inMemory;
  REQUIRE((*two->capture())->save(inMemory).ok());
  auto refused = OnDisk().machine->load(inMemory);
  REQUIRE(!refused.ok());
  CHECK(refused.fault().text ==
        "snapshot: a machine in memory wrote it, which one on disk cannot take over");
}

TEST_CASE("plugin/on_disk: a disk that cannot be read stops it there, whatever the plugin does") {
  auto machine = made("archive");
  REQUIRE(
      machine->open(std::make_shared<group::MachineStore>(std::make_unique<FailingKeys>())).ok());
  Heard heard;
  auto end = put(*machine, {"a", "bad", "c"}, heard);
  CHECK(end.applied == 1);
  REQUIRE(end.fault.has_value());
  CHECK(end.fault->code == ErrorCode::io);
  CHECK(
      end.fault->text ==
      "machine archive 1.0.0: bad sector; once its disk is well, flotilla group retry goes back to "
      "what it has kept, and flotilla group rebuild makes it anew");
  CHECK(heard.all.size() == 1);
  CHECK(put(*machine, {"d"}, heard).fault.has_value());
}

TEST_CASE("plugin/on_disk: a walk that is not left is a fault, and ends with its call") {
  using Use = plugin::PluginStorage::Use;
  OnDisk bench;
  auto keys = bench.store();
  keys->set("a", "1");
  plugin::PluginStorage storage(keys);
  const flotilla_storage* table = storage.table();
  flotilla_bytes key{};
  flotilla_bytes value{};
  void* walk = nullptr;
  {
    Use use(&storage, Use::May::read);
    walk = table->walk(table->context, {"", 0});
    REQUIRE(walk != nullptr);
    CHECK(table->next(walk, &key, &value) == 1);
    table->leave(walk);
  }
  CHECK(!storage.fault().has_value());
  {
    Use use(&storage, Use::May::read);
    walk = table->walk(table->context, {"", 0});
  }
  REQUIRE(storage.fault().has_value());
  CHECK(storage.fault()->text ==
        "storage: a walk was begun and not left; leave each before the call returns");
  CHECK(table->next(walk, &key, &value) == -1);
  table->leave(walk);
  CHECK(table->walk(table->context, {"", 0}) == nullptr);
}

TEST_CASE("plugin/on_disk: what is changed where nothing may be is a fault") {
  using Use = plugin::PluginStorage::Use;
  OnDisk bench;
  plugin::PluginStorage storage(bench.store());
  {
    Use use(&storage, Use::May::write);
    CHECK(storage.table()->set(storage.table()->context, {"a", 1}, {"1", 1}) == 0);
  }
  CHECK(storage.table()->set(storage.table()->context, {"a", 1}, {"2", 1}) == -1);
  REQUIRE(storage.fault().has_value());
  CHECK(storage.fault()->text.find("only commands change it") != std::string::npos);
}

TEST_CASE("plugin/on_disk: without a storage it does nothing") {
  auto machine = made("archive");
  Heard heard;
  auto end = put(*machine, {"a"}, heard);
  REQUIRE(end.fault.has_value());
  CHECK(end.fault->text.find("it was given no storage") != std::string::npos);
}
