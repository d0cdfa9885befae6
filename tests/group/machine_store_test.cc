// What a machine on disk gathers over what it has kept, against one map.
#include "host/group/machine_store.h"

#include <map>
#include <string>

#include <doctest/doctest.h>

#include "host/base/prng.h"
#include "host/group/memory_keys.h"
#include "tests/group/map_machine.h"

namespace flotilla::group {
namespace {

using test::MemoryFile;
using test::MemorySource;
using Model = std::map<std::string, std::string>;

struct Bench {
  std::shared_ptr<MemoryPlace> place = std::make_shared<MemoryPlace>();
  bool full = false;
  MachineStore store{std::make_unique<MemoryKeys>(place, [this]() -> Result<void> {
    if (full) return Fault{ErrorCode::diskFull, "no room", {}};
    return {};
  })};
};

std::string textOf(MachineStore& store, std::string_view from = {}) {
  std::string text;
  auto walk = store.walk(from);
  std::string_view key;
  std::string_view value;
  while (true) {
    auto more = walk->next(key, value);
    REQUIRE(more.ok());
    if (!*more) return text;
    text += std::string(key) + "=" + std::string(value) + " ";
  }
}

std::string textOf(const Model& model, const std::string& from = {}) {
  std::string text;
  for (auto it = model.lower_bound(from); it != model.end(); ++it) {
    text += it->first + "=" + it->second + " ";
  }
  return text;
}

}  // namespace

TEST_CASE("group/machine_store: what was changed is seen at once, wherever it lies") {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    base::Prng dice(seed);
    Bench bench;
    Model model;
    Model kept;
    for (uint64_t step = 1; step <= 300; ++step) {
      std::string key = "k" + std::to_string(dice.below(40));
      if (dice.chance(400)) {
        bench.store.erase(key);
        model.erase(key);
      } else {
        std::string value = std::to_string(dice.below(100));
        bench.store.set(key, value);
        model[key] = value;
      }
      std::string value;
      auto found = bench.store.get(key, value);
      REQUIRE(found.ok());
      CHECK(*found == model.contains(key));
      if (dice.chance(60)) {
        REQUIRE(bench.store.sync({step, 1}, Bytes::copyOf("state " + std::to_string(step))).ok());
        kept = model;
        CHECK(bench.store.kept().at.index == step);
        CHECK(bench.place->kept.groupState.view() == "state " + std::to_string(step));
      } else if (dice.chance(30)) {
        REQUIRE(bench.store.revert().ok());
        model = kept;
      }
      if (dice.chance(100)) {
        std::string from = "k" + std::to_string(dice.below(40));
        CHECK(textOf(bench.store, from) == textOf(model, from));
      }
    }
    CHECK(textOf(bench.store) == textOf(model));
    CHECK(Model(bench.place->rows.begin(), bench.place->rows.end()) == kept);
  }
}

TEST_CASE("group/machine_store: a walk sees the same changes, gathered or kept") {
  for (bool kept : {false, true}) {
    CAPTURE(kept);
    Bench bench;
    for (const char* key : {"b", "d", "f", "h"}) bench.store.set(key, "1");
    if (kept) REQUIRE(bench.store.sync({1, 1}, {}).ok());
    auto walk = bench.store.walk("b");
    std::string_view key;
    std::string_view value;
    REQUIRE(*walk->next(key, value));
    CHECK(key == "b");
    bench.store.set("a", "2");  // behind it
    bench.store.set("c", "2");  // before it
    bench.store.erase("d");
    bench.store.set("f", "2");
    std::string seen;
    while (*walk->next(key, value)) seen += std::string(key) + std::string(value) + " ";
    CHECK(seen == "c2 f2 h1 ");
  }
}

TEST_CASE("group/machine_store: a write that finds no room leaves all as it was") {
  Bench bench;
  bench.store.set("a", "1");
  REQUIRE(bench.store.sync({1, 1}, Bytes::copyOf("one")).ok());
  bench.store.set("a", "2");
  bench.full = true;
  auto refused = bench.store.sync({2, 1}, Bytes::copyOf("two"));
  REQUIRE(!refused.ok());
  CHECK(refused.fault().code == ErrorCode::diskFull);
  CHECK(bench.place->rows.at("a") == "1");
  CHECK(bench.store.kept().at.index == 1);
  CHECK(textOf(bench.store) == "a=2 ");
  bench.full = false;
  REQUIRE(bench.store.sync({2, 1}, Bytes::copyOf("two")).ok());
  CHECK(bench.place->rows.at("a") == "2");
  CHECK(bench.store.gatheredBytes() == 0);
}

TEST_CASE("group/machine_store: a capture is held still, and loads into an empty store") {
  Bench bench;
  Model model;
  for (int i = 0; i < 5000; ++i) {
    std::string key = "key " + std::to_string(i);
    model[key] = std::string(static_cast<size_t>(i % 300), 'v');
    bench.store.set(key, model[key]);
  }
  REQUIRE(bench.store.sync({9, 2}, Bytes::copyOf("nine")).ok());
  auto capture = bench.store.capture(3);
  bench.store.erase("key 7");
  REQUIRE(bench.store.sync({10, 2}, {}).ok());
  MemoryFile file;
  REQUIRE(capture->save(file).ok());

  MemoryFile bounded;
  CHECK(bench.store.capture(3, 1000)->save(bounded).fault().code == ErrorCode::tooLarge);

  Bench other;
  MemorySource source(file.bytes);
  REQUIRE(other.store.load(source, 3).ok());
  CHECK(other.store.kept().at.index == 0);  // not before its own sync
  CHECK(textOf(other.store) == textOf(model));

  MemorySource again(file.bytes);
  auto otherVersion = Bench().store.load(again, 4);
  CHECK(otherVersion.fault().code == ErrorCode::badRequest);
  CHECK(otherVersion.fault().text == "snapshot: of state version 3, this machine has 4");
  for (size_t cut : {size_t{3}, size_t{20}, file.bytes.size() / 2, file.bytes.size() - 1}) {
    std::string part = file.bytes.substr(0, cut);
    MemorySource torn(part);
    CHECK(Bench().store.load(torn, 3).fault().text == "snapshot: its rows end too early");
  }
}

}  // namespace flotilla::group
