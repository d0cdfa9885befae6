// What `flotilla plugin new` writes; that it builds and passes its test is
// tests/process/install_test.py's.
#include "admin/new_plugin.h"

#include <fstream>
#include <iterator>

#include <doctest/doctest.h>

#include "tests/plugin/built.h"

using namespace flotilla;

namespace {

std::string contentOf(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string schemaIdIn(const std::string& text) {
  size_t at = text.find("@0x");
  return at == std::string::npos ? "" : text.substr(at, text.find(';', at) - at);
}

}  // namespace

TEST_CASE("admin/new_plugin: the example that is built here, under another name and schema id") {
  test::Scratch scratch;
  auto files = admin::writeNewPlugin("starter", scratch.file("starter"));
  REQUIRE(files.ok());
  CHECK(files->size() == 6);
  for (const std::string& path : *files) {
    std::string example = contentOf("examples/starter/" + path.substr(path.rfind('/') + 1));
    std::string written = contentOf(path);
    CHECK_FALSE(example.empty());
    std::string id = schemaIdIn(example);
    if (!id.empty()) {
      CHECK(schemaIdIn(written) != id);
      CHECK(schemaIdIn(written).size() == id.size());
      written.replace(written.find("@0x"), id.size(), id);
    }
    CHECK(written == example);
  }
}

TEST_CASE("admin/new_plugin: a name of several words is an interface of one") {
  CHECK(admin::interfaceNameOf("red-apples_2") == "RedApples2");
  test::Scratch scratch;
  auto files = admin::writeNewPlugin("red-apples", scratch.file("red-apples"));
  REQUIRE(files.ok());
  std::string source = contentOf(scratch.file("red-apples/red-apples.cc"));
  CHECK(source.find("#include \"red-apples.capnp.h\"") != std::string::npos);
  CHECK(source.find("FLOTILLA_PLUGIN(RedApplesMachine, RedApples, \"1.0.0\"") != std::string::npos);
  CHECK(source.find("tarter") == std::string::npos);
}

TEST_CASE("admin/new_plugin: a folder that is there already is left alone") {
  test::Scratch scratch;
  REQUIRE(admin::writeNewPlugin("tally", scratch.file("tally")).ok());
  std::string before = contentOf(scratch.file("tally/tally.capnp"));
  auto again = admin::writeNewPlugin("tally", scratch.file("tally"));
  REQUIRE_FALSE(again.ok());
  CHECK(again.fault().text ==
        scratch.file("tally") + ": is there already; a new plugin gets a folder of its own");
  CHECK(contentOf(scratch.file("tally/tally.capnp")) == before);
}

TEST_CASE("admin/new_plugin: names that could not be built are refused") {
  for (const char* name : {"", "Tally", "9lives", "-a", "a.b", "a b", "test", "all", "text", "list",
                           "any-pointer", "../tally"}) {
    CAPTURE(name);
    CHECK_FALSE(admin::checkNewPluginName(name).ok());
  }
  CHECK(admin::checkNewPluginName(std::string(63, 'a')).ok());
  CHECK_FALSE(admin::checkNewPluginName(std::string(64, 'a')).ok());
}
