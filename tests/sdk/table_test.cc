// Tables against std::map, by seed.
#include "flotilla/table.h"

#include <map>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "flotilla/single.h"
#include "host/base/prng.h"
#include "tests/sdk/same_as_map.h"

using flotilla::Members;
using flotilla::Table;
using flotilla::base::Prng;
using flotilla::test::checkEqual;
using flotilla::test::Model;

namespace {

using Strings = Table<std::string, std::string>;

std::string keyOf(Prng& prng, uint64_t range) {
  return std::string("key of some length ").substr(prng.below(12)) +
         std::to_string(prng.below(range));
}

// One random change of both.
void change(Prng& prng, Strings& table, Model& model, uint64_t range) {
  std::string key = keyOf(prng, range);
  if (prng.chance(400)) {
    CHECK(table.erase(key) == (model.erase(key) == 1));
    return;
  }
  std::string value(prng.below(40), static_cast<char>('a' + prng.below(26)));
  table.set(key, value);
  model[key] = value;
}

uint64_t digestOf(const Model& model) {
  Strings table;
  for (auto it = model.rbegin(); it != model.rend(); ++it) table.set(it->first, it->second);
  return table.digest();
}

std::string saved(const flotilla::MemberCapture& capture) {
  std::string bytes;
  flotilla_writer writer = flotilla::writerTo(bytes);
  flotilla::SnapshotWriter out(writer);
  capture.save(out);
  out.flush();
  return bytes;
}

void load(flotilla::Member& member, std::string bytes) {
  std::string_view left = bytes;
  flotilla_reader reader = flotilla::readerOf(left);
  flotilla::SnapshotReader in(reader);
  member.load(in);
}

// A Table as a machine has it: with undo.
struct Machine {
  Machine() {
    Members::Construction signingUp(&members);
    table = std::make_unique<Strings>();
    members.startUndoing();
  }
  Members members;
  std::unique_ptr<Strings> table;
};

}  // namespace

TEST_CASE("sdk/table: behaves as std::map, whatever is done to it") {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    Prng prng(seed);
    uint64_t range = seed % 3 == 0 ? 20 : seed % 3 == 1 ? 400 : 20'000;
    Strings table;
    Model model;
    for (int step = 0; step < 6000; ++step) {
      change(prng, table, model, range);
      if (step % 1500 == 1499) checkEqual(table, model);
    }
    CHECK(table.digest() == digestOf(model));
    for (int i = 0; i < 500; ++i) {
      std::string key = keyOf(prng, range);
      const std::string* found = table.find(key);
      REQUIRE((found != nullptr) == (model.count(key) == 1));
      auto from = table.from(key).begin();
      auto bound = model.lower_bound(key);
      REQUIRE((from == table.end()) == (bound == model.end()));
      if (bound != model.end()) REQUIRE((*from).key == bound->first);
    }
    while (!model.empty()) {
      std::string key = model.begin()->first;
      REQUIRE(table.erase(key));
      model.erase(key);
    }
    CHECK(table.empty());
    CHECK(table.digest() == Strings().digest());
  }
}

TEST_CASE("sdk/table: keys of any bytes and lengths are in std::map's order") {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    CAPTURE(seed);
    Prng prng(seed);
    constexpr std::string_view kBytes("\0\1a\x7f\x80\xff", 6);
    std::string common(prng.below(18), 'c');
    Strings table;
    Model model;
    for (int step = 0; step < 4000; ++step) {
      std::string key = common.substr(0, prng.below(common.size() + 1));
      for (uint64_t left = prng.below(18); left > 0; --left)
        key += kBytes[prng.below(kBytes.size())];
      table.set(key, "v");
      model[key] = "v";
      REQUIRE(table.has(key));
    }
    checkEqual(table, model);
  }
}

TEST_CASE("sdk/table: keys in order, and in reverse order, are found again") {
  Table<uint64_t, uint64_t> up;
  Table<uint64_t, uint64_t> down;
  for (uint64_t i = 0; i < 100'000; ++i) {
    up.set(i, i * i);
    down.set(100'000 - i - 1, (100'000 - i - 1) * (100'000 - i - 1));
  }
  CHECK(up.digest() == down.digest());
  uint64_t next = 0;
  for (const auto& [key, value] : up) REQUIRE(key == next++);
  CHECK(*down.find(316) == 316 * 316);
  CHECK(down.find(100'000) == nullptr);
}

TEST_CASE("sdk/table: a capture keeps its moment, through any later change") {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    Prng prng(seed);
    Strings table;
    Model model;
    std::vector<std::pair<std::unique_ptr<flotilla::MemberCapture>, Model>> held;
    for (int step = 0; step < 4000; ++step) {
      change(prng, table, model, 1000);
      if (prng.chance(5)) held.emplace_back(table.captureMember(), model);
      if (prng.chance(3) && !held.empty()) held.erase(held.begin());
    }
    checkEqual(table, model);
    for (const auto& [capture, then] : held) {
      Strings loaded;
      load(loaded, saved(*capture));
      checkEqual(loaded, then);
      CHECK(loaded.digest() == digestOf(then));
    }
  }
}

TEST_CASE("sdk/table: a capture is saved on another thread while the table changes") {
  Prng prng(3);
  Strings table;
  Model model;
  for (int step = 0; step < 20'000; ++step) change(prng, table, model, 5000);
  for (int round = 0; round < 5; ++round) {
    auto capture = table.captureMember();
    Model then = model;
    std::string bytes;
    std::thread saver([&] {
      bytes = saved(*capture);
      capture.reset();
    });
    for (int step = 0; step < 5000; ++step) change(prng, table, model, 5000);
    saver.join();
    Strings loaded;
    load(loaded, bytes);
    checkEqual(loaded, then);
  }
  checkEqual(table, model);
}

// Runs of commands that say what they will write, some of which write something else.
TEST_CASE("sdk/table: what a run has found ahead is written to as if it had not been") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Prng prng(seed);
    // Small ones look ahead as well where a run is long.
    Machine machine;
    machine.members.expect(32);
    Strings& table = *machine.table;
    Model model;
    uint64_t size = seed % 2 == 0 ? 6000 : 1 + prng.below(300);
    for (uint64_t i = 0; i < size; ++i) table.set("key " + std::to_string(i), "first");
    machine.members.keep();
    for (const auto& [key, value] : table) model[key] = value;
    std::vector<std::pair<std::unique_ptr<flotilla::MemberCapture>, Model>> held;
    for (uint64_t run = 0; run < 60; ++run) {
      std::vector<std::string> keys(1 + prng.below(40));  // more than a run finds
      for (std::string& key : keys) key = "key " + std::to_string(prng.below(size + size / 10 + 1));
      for (const std::string& key : keys) table.prefetch(key);
      if (prng.chance(30)) held.emplace_back(table.captureMember(), model);
      table.prefetchRun();
      if (prng.chance(30)) held.emplace_back(table.captureMember(), model);
      for (const std::string& key : keys) {
        if (prng.chance(100)) continue;  // refused
        if (prng.chance(50)) change(prng, table, model, 50);
        if (prng.chance(30)) CHECK(table.erase(key) == (model.erase(key) == 1));
        std::string value = std::to_string(run);
        machine.members.keep();
        table.set(key, value);
        if (prng.chance(100)) {
          machine.members.undo();
          continue;
        }
        model[key] = value;
      }
      machine.members.keep();
      if (size >= 6000 || !prng.chance(100)) continue;
      for (const auto& [key, value] : model) CHECK(table.erase(key));
      machine.members.keep();
      model.clear();
    }
    checkEqual(table, model);
    CHECK(table.digest() == digestOf(model));
    for (const auto& [capture, then] : held) {
      Strings loaded;
      load(loaded, saved(*capture));
      checkEqual(loaded, then);
    }
  }
}

// What was found in its former leaves is no place any more, though a capture may still hold them;
// of a leaf that is gone AddressSanitizer sees it.
TEST_CASE("sdk/table: a table that was emptied finds nothing ahead") {
  Machine machine;
  machine.members.expect(32);
  Strings& table = *machine.table;
  std::unique_ptr<flotilla::MemberCapture> held;
  auto run = [&](const std::string& value) {
    for (int i = 0; i < 8; ++i) table.prefetch("a");
    table.prefetchRun();
    for (int i = 0; i < 8; ++i) {
      table.set("a", value);
      machine.members.keep();
    }
  };
  run("first");
  run("second");  // finds it
  SUBCASE("its leaf is gone") {}
  SUBCASE("its leaf is a capture's") {
    held = table.captureMember();
  }
  CHECK(table.erase("a"));
  machine.members.keep();
  run("third");
  checkEqual(table, {{"a", "third"}});
  CHECK(table.digest() == digestOf({{"a", "third"}}));
  if (held == nullptr) return;
  Strings then;
  load(then, saved(*held));
  checkEqual(then, {{"a", "second"}});
}

TEST_CASE("sdk/table: what was found ahead and is taken out, or moves, is not written to") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Prng prng(seed);
    Table<uint64_t, uint64_t> table;
    std::map<uint64_t, uint64_t> model;
    for (uint64_t i = 0; i < 12000; i += 2) table.set(i, model[i] = 0);
    for (uint64_t run = 1; run <= 400 && table.size() > 4200; ++run) {
      uint64_t first = prng.below(12000);
      bool erases = prng.chance(300);
      for (uint64_t i = 0; i < 32; ++i) table.prefetch(first + i);
      table.prefetchRun();
      for (uint64_t i = 0; i < 32; ++i) {
        for (uint64_t key = first + i; erases && key < first + 32 && prng.chance(300); ++key) {
          CHECK(table.erase(key) == (model.erase(key) == 1));
        }
        if (prng.chance(900)) table.set(first + i, model[first + i] = run);
      }
    }
    CHECK(table.size() == model.size());
    auto it = model.begin();
    for (const auto& [key, value] : table) {
      REQUIRE(key == it->first);
      REQUIRE(value == it->second);
      ++it;
    }
  }
}

TEST_CASE("sdk/table: a failed command leaves no trace, a kept one stays") {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    CAPTURE(seed);
    Prng prng(seed);
    Machine machine;
    Model model;
    for (int command = 0; command < 600; ++command) {
      Model before = model;
      uint64_t digest = machine.members.digest();
      for (uint64_t i = prng.below(12); i > 0; --i) change(prng, *machine.table, model, 300);
      if (prng.chance(400)) {
        machine.members.undo();
        model = before;
        REQUIRE(machine.members.digest() == digest);
      } else {
        machine.members.keep();
      }
      if (command % 50 == 0) checkEqual(*machine.table, model);
    }
    checkEqual(*machine.table, model);
    CHECK(machine.table->digest() == digestOf(model));
  }
}

TEST_CASE("sdk/table: a prefix's range begins and ends with it") {
  Strings table;
  for (const char* key : {"a", "ab", "ab1", "ab2", "abc", "ac", "b"}) table.set(key, "");
  std::string seen;
  for (const auto& item : table.withPrefix("ab")) seen += item.key + " ";
  CHECK(seen == "ab ab1 ab2 abc ");
  seen.clear();
  for (const auto& item : table.withPrefix("ab", "ab2")) seen += item.key + " ";
  CHECK(seen == "ab2 abc ");
  seen.clear();
  for (const auto& item : table.withPrefix("ab", "a")) seen += item.key + " ";
  CHECK(seen == "ab ab1 ab2 abc ");
  CHECK(table.withPrefix("zz").begin() == table.end());
}

TEST_CASE("sdk/table: values with embedded NULs, empty ones and enums are kept as they are") {
  enum class Colour : uint8_t { red, green };
  Strings table;
  table.set(std::string_view("a\0b", 3), std::string_view("\0", 1));
  table.set("", "");
  CHECK(table.find(std::string_view("a\0b", 3))->size() == 1);
  CHECK(table.has(""));
  CHECK_FALSE(table.has("a"));
  Table<uint32_t, Colour> colours;
  colours.set(5, Colour::green);
  CHECK(colours.getOr(5, Colour::red) == Colour::green);
  CHECK(colours.getOr(6, Colour::red) == Colour::red);
}

TEST_CASE("sdk/single: is undone, saved and digested like a Table") {
  Members members;
  std::unique_ptr<flotilla::Single<std::string>> mode;
  {
    Members::Construction signingUp(&members);
    mode = std::make_unique<flotilla::Single<std::string>>("first");
  }
  members.startUndoing();
  uint64_t digest = members.digest();
  mode->set("second");
  mode->set("third");
  members.undo();
  CHECK(**mode == "first");
  CHECK(members.digest() == digest);
  mode->set("fourth");
  members.keep();
  members.undo();
  CHECK(**mode == "fourth");
  auto captures = members.capture();
  mode->set("fifth");
  load(*mode, saved(*captures[0]));
  CHECK(**mode == "fourth");
}

TEST_CASE("sdk/stored: digests do not depend on the build") {
  CHECK(flotilla::hashOf("") == flotilla::hashOf(std::string_view()));
  CHECK(flotilla::hashOf("a") != flotilla::hashOf(std::string_view("a\0", 2)));
  CHECK(flotilla::hashOf("flotilla, sixteen bytes and more") == 8631764038308192316ULL);
}
