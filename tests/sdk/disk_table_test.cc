// DiskTables against std::map, by seed, and against Tables.
#include "flotilla/disk_table.h"

#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "flotilla/harness.h"
#include "flotilla/memory_storage.h"
#include "flotilla/single.h"
#include "flotilla/table.h"
#include "host/base/prng.h"
#include "tests/plugin/alarms/alarm_machine.h"
#include "tests/sdk/same_as_map.h"

using flotilla::DiskTable;
using flotilla::Members;
using flotilla::Storage;
using flotilla::Table;
using flotilla::base::Prng;
using flotilla::test::checkEqual;
using flotilla::test::Model;
using flotilla::testing::MemoryStorage;

namespace {

using Strings = DiskTable<std::string, std::string>;

// A machine's members, given their storage.
struct Bench {
  Bench() : storage(memory.storage()) {
    Members::Construction signingUp(&members);
    table = std::make_unique<Strings>();
    numbers = std::make_unique<DiskTable<int32_t, uint64_t>>();
    members.attach(&storage);
    members.startUndoing();
  }

  MemoryStorage memory;
  Storage storage;
  Members members;
  std::unique_ptr<Strings> table;
  std::unique_ptr<DiskTable<int32_t, uint64_t>> numbers;
};

void change(Prng& prng, Strings& table, Model& model) {
  std::string key = "key" + std::to_string(prng.below(60));
  if (prng.chance(350)) {
    CHECK(table.erase(key) == (model.erase(key) == 1));
    return;
  }
  std::string value(prng.below(12), static_cast<char>('a' + prng.below(3)));
  table.set(key, value);
  model[key] = value;
}

template <typename Range>
std::string keysOf(const Range& range) {
  std::string keys;
  for (const auto& [key, value] : range) keys += key + " ";
  return keys;
}

}  // namespace

TEST_CASE("sdk/disk_table: does what std::map does, undone or not, and its digest is a Table's") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Prng prng(seed);
    Bench bench;
    Model model;
    for (int command = 0; command < 120; ++command) {
      Model before = model;
      uint64_t digest = bench.members.digest();
      for (uint64_t i = prng.below(6); i > 0; --i) change(prng, *bench.table, model);
      if (prng.chance(300)) {
        bench.members.undo();
        model = before;
        CHECK(bench.members.digest() == digest);
      } else {
        bench.members.keep();
      }
    }
    checkEqual(*bench.table, model);
    Table<std::string, std::string> same;
    for (auto it = model.rbegin(); it != model.rend(); ++it) same.set(it->first, it->second);
    CHECK(bench.table->digest() == same.digest());
    for (const auto& [key, value] : model) CHECK(bench.table->find(key) == value);
    CHECK(!bench.table->find("none"));
    CHECK(bench.memory.rows.size() == model.size());
  }
}

TEST_CASE("sdk/disk_table: ranges are what a Table's are") {
  Bench bench;
  for (const char* key : {"a", "ab", "abc", "b", "ba", "c"}) bench.table->set(key, key);
  bench.numbers->set(1, 1);  // the next member's, in the same storage
  CHECK(keysOf(*bench.table) == "a ab abc b ba c ");
  CHECK(keysOf(bench.table->from("abb")) == "abc b ba c ");
  CHECK(keysOf(bench.table->withPrefix("ab")) == "ab abc ");
  CHECK(keysOf(bench.table->withPrefix("ab", "abb")) == "abc ");
  CHECK(keysOf(bench.table->withPrefix("zz")) == "");
}

TEST_CASE("sdk/disk_table: whole numbers come in their order, negative ones first") {
  Bench bench;
  std::vector<int32_t> wanted{INT32_MIN, -70'000, -1, 0, 1, 255, 256, 70'000, INT32_MAX};
  for (auto it = wanted.rbegin(); it != wanted.rend(); ++it) bench.numbers->set(*it, 7);
  std::vector<int32_t> found;
  for (const auto& [key, value] : *bench.numbers) found.push_back(key);
  CHECK(found == wanted);
  CHECK(bench.numbers->getOr(-1, 0) == 7);
  CHECK(bench.numbers->getOr(2, 9) == 9);
}

TEST_CASE("sdk/disk_table: what is too large is an author's error and changes nothing") {
  Bench bench;
  std::string code;
  auto tried = [&](const std::string& key, const std::string& value) {
    try {
      bench.table->set(key, value);
    } catch (const flotilla::Error& error) {
      code = error.code();
    }
    return code;
  };
  CHECK(tried(std::string(Strings::kKeyBytesMax, 'k'), "v") == "keyTooLong");
  CHECK(tried("k", std::string(Strings::kValueBytesMax + 1, 'v')) == "valueTooLarge");
  CHECK(bench.memory.rows.empty());
  CHECK(bench.table->empty());
}

TEST_CASE("sdk/disk_table: before it is opened a table says so") {
  DiskTable<std::string, std::string> alone;
  CHECK_THROWS_WITH_AS(alone.set("a", "b"),
                       "a DiskTable is used before its machine was given its storage",
                       std::logic_error);
}

namespace {

// Each finds its last one for the test: an Instance shows its machine to nobody.
struct Before {
  Before() { last = this; }
  inline static Before* last = nullptr;
  DiskTable<std::string, uint64_t> counts;
  flotilla::Single<uint64_t> all;
};
struct After {
  After() { last = this; }
  inline static After* last = nullptr;
  DiskTable<std::string, uint64_t> counts;
  flotilla::Single<uint64_t> all;
  DiskTable<uint64_t, std::string> names;
  flotilla::Single<uint64_t> limit{7};
};

// A machine of the class over those rows, as an upgrade's, and what it leaves there.
template <typename Machine>
struct Over {
  explicit Over(const MemoryStorage& memory) { instance.open(memory.storage()); }
  Machine& machine() { return *Machine::last; }
  flotilla::Instance<Machine> instance{{}, flotilla::Config{}};
};

}  // namespace

TEST_CASE("sdk/disk_table: a version with members added at the end goes on from the rows") {
  MemoryStorage memory;
  {
    Over<Before> before(memory);
    before.machine().counts.set("a", 3);
    before.machine().all.set(3);
    before.instance.sync();
  }
  {
    Over<After> after(memory);
    CHECK(after.machine().counts.getOr("a", 0) == 3);
    CHECK(after.machine().counts.size() == 1);
    CHECK(*after.machine().all == 3);
    CHECK(after.machine().names.empty());
    CHECK(*after.machine().limit == 7);
    after.machine().names.set(5, "five");
    after.machine().limit.set(8);
    after.instance.sync();
  }
  Over<After> again(memory);
  CHECK(again.machine().names.getOr(5, "") == "five");
  CHECK(*again.machine().limit == 8);
  // The one before knows nothing of them, and must not leave them behind.
  CHECK_THROWS_WITH_AS(Over<Before>{memory},
                       "the storage holds members that this version has not; only one with all of "
                       "them can go on from it",
                       flotilla::Error);
}

TEST_CASE("sdk/harness: a machine on disk is one as any other, restarted and undone") {
  using OnDisk = flotilla::test::AlarmMachineOf<DiskTable>;
  struct Clock : flotilla::testing::Harness<OnDisk> {
    Clock() : Harness({FLOTILLA_HANDLERS(OnDisk, set, setMany, tally)}) {}
    auto set(uint64_t alarm, Fails fails = Fails::NEVER) {
      return call<&OnDisk::set>([&](auto in) {
        in.setAlarm(alarm);
        in.setInUs(10);
        in.setFails(fails);
      });
    }
    uint64_t pending() {
      return call<&OnDisk::tally>([](auto) {}).result().getPending();
    }
  } clock, other;
  CHECK(clock.set(1).ok());
  CHECK(clock.set(2, Fails::SETTING).code() == "asked");
  CHECK(clock.pending() == 1);
  uint64_t digest = clock.digest();
  clock.restart();
  CHECK(clock.digest() == digest);
  other.restore(clock.snapshot());
  CHECK(other.pending() == 1);
  CHECK(other.digest() == digest);
  CHECK(clock.advance(10) == 1);
  CHECK(clock.pending() == 0);
  CHECK(clock.digest() != other.digest());
}
