// A host's small records, through restarts, full disks and damage.
#include "host/store/meta_store.h"

#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>

#include "host/base/prng.h"
#include "tests/store/faulty_env.h"
#include "tests/store/temp_directory.h"

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

using Records = std::vector<std::pair<std::string, std::string>>;

}  // namespace

TEST_CASE("store/meta_store: what was put is there after a restart, what was erased is not") {
  TempDirectory dir;
  {
    auto store = store::MetaStore::open({dir / "meta", true, nullptr});
    REQUIRE(store.ok());
    CHECK((*store)->put("replica/1", "one").ok());
    CHECK((*store)->put("replica/2", std::string("t\0o", 3)).ok());
    CHECK((*store)->apply({{"replica/3", "three"}, {"replica/1", std::nullopt}, {"x", ""}}).ok());
    CHECK((*store)->erase("never there").ok());
    CHECK((*store)->put("", "v").fault().code == ErrorCode::badRequest);
    CHECK((*store)->put("big", std::string(2 << 20, 'x')).fault().code == ErrorCode::tooLarge);
  }
  for (int restart = 0; restart < 3; ++restart) {
    auto store = store::MetaStore::open({dir / "meta", false, nullptr});
    REQUIRE(store.ok());
    CHECK((*store)->scan("replica/") ==
          Records{{"replica/2", std::string("t\0o", 3)}, {"replica/3", "three"}});
    CHECK((*store)->scan().size() == 3);
    CHECK((*store)->get("x") == "");
    CHECK(!(*store)->get("replica/1").has_value());
  }
  auto twice = store::MetaStore::open({dir / "meta", true, nullptr});
  CHECK(twice.fault().text == "meta " + (dir / "meta") + ": holds records already");
}

TEST_CASE("store/meta_store: each file flipped or deleted is found, or touched nothing needed") {
  TempDirectory dir;
  Records expected;
  {
    auto store = store::MetaStore::open({dir / "good", true, nullptr});
    for (int i = 0; i < 30; ++i) {
      CHECK(
          (*store)
              ->put("k" + std::to_string(i % 10), std::string(50, static_cast<char>('a' + i % 26)))
              .ok());
    }
  }
  {
    auto store = store::MetaStore::open({dir / "good", false, nullptr});
    CHECK((*store)->put("late", "one").ok());
    CHECK((*store)->put("later", "two").ok());
    expected = (*store)->scan();
  }
  base::Prng prng(1);
  int found = 0;
  auto judge = [&](const std::string& what, bool mustRefuse) {
    INFO(what);
    auto store = store::MetaStore::open({dir / "bad", false, nullptr});
    if (store) {
      CHECK(!mustRefuse);
      CHECK((*store)->scan() == expected);
    } else {
      ++found;
      CHECK(store.fault().text.find("meta ") == 0);
      CHECK(store.fault().text.find("this host does not start: put back what is missing") !=
            std::string::npos);
    }
  };
  auto copy = [&] {
    fs::remove_all(dir / "bad");
    fs::copy(dir / "good", dir / "bad", fs::copy_options::recursive);
  };
  for (const std::string& file : filesBelow(dir / "good")) {
    std::string name = file.substr((dir / "good").size());
    if (name == "/LOCK" || fs::file_size(file) == 0) continue;
    copy();
    fs::remove(dir / "bad" + name);
    judge("without " + name, true);
    copy();
    if (name.substr(name.size() - 4) == ".log") {
      fs::resize_file(dir / "bad" + name, fs::file_size(file) - 1);
      judge("cut " + name, true);
    }
    size_t size = fs::file_size(file);
    for (size_t at = 0; at < size; at += 1 + size / 60) {
      copy();
      std::string bytes = readFile(file);
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << prng.below(8)));
      writeFile(dir / "bad" + name, bytes);
      judge("flip of byte " + std::to_string(at) + " in " + name,
            name.substr(name.size() - 4) == ".log");
    }
  }
  CHECK(found > 50);
  fs::remove_all(dir / "bad");
  judge("without the directory", true);
}

TEST_CASE("store/meta_store: a full disk refuses one change, and room takes the next") {
  TempDirectory dir;
  FaultyEnv env;
  auto store = store::MetaStore::open({dir / "meta", true, &env});
  REQUIRE(store.ok());
  CHECK((*store)->put("a", "1").ok());
  env.setFull(true);
  for (int i = 0; i < 3; ++i) CHECK((*store)->put("b", "2").fault().code == ErrorCode::diskFull);
  CHECK((*store)->get("a") == "1");
  env.setFull(false);
  CHECK((*store)->put("c", "3").ok());
  CHECK((*store)->get("a") == "1");
  CHECK((*store)->get("c") == "3");
  store->reset();
  env.cutPower(0);
  auto again = store::MetaStore::open({dir / "meta", false, nullptr});
  REQUIRE_MESSAGE(again.ok(), (again ? "" : again.fault().text));
  CHECK((*again)->get("a") == "1");
  CHECK((*again)->get("c") == "3");
}

TEST_CASE("store/meta_store: after a failed sync every change is refused") {
  TempDirectory dir;
  FaultyEnv env;
  {
    auto store = store::MetaStore::open({dir / "meta", true, &env});
    REQUIRE(store.ok());
    CHECK((*store)->put("a", "1").ok());
    env.failSyncAfter(1);
    auto failed = (*store)->put("b", "2");
    REQUIRE(!failed.ok());
    CHECK(failed.fault().code == ErrorCode::io);
    CHECK((*store)->put("c", "3").fault() == failed.fault());
    CHECK(!(*store)->get("b").has_value());
  }
  for (uint64_t torn : {0, 30}) {
    env.cutPower(torn);
    auto again = store::MetaStore::open({dir / "meta", false, nullptr});
    REQUIRE_MESSAGE(again.ok(), (again ? "" : again.fault().text));
    CHECK((*again)->get("a") == "1");
    CHECK(!(*again)->get("c").has_value());
  }
}
