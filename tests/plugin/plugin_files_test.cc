// Plugin copies on disk.
#include "host/plugin/plugin_files.h"

#include <filesystem>
#include <fstream>
#include <sys/stat.h>

#include <doctest/doctest.h>

#include "tests/plugin/built.h"

using namespace flotilla;
using plugin::PluginFiles;
using plugin::TrustedPlugins;

namespace {

// SHA-256 of "abc", from FIPS 180-2.
const std::string kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

PluginFiles opened(const test::Scratch& scratch) {
  auto files = PluginFiles::open(scratch.file("plugins"));
  if (!files) FAIL(files.fault().text);
  return std::move(files).value();
}

}  // namespace

TEST_CASE("plugin/plugin_files: a copy is named by its hash, read-only, and there is one of it") {
  test::Scratch scratch;
  PluginFiles files = opened(scratch);
  for (int again = 0; again < 2; ++again) {
    auto added = files.add("abc");
    REQUIRE(added.ok());
    CHECK(*added == kAbc);
  }
  CHECK(files.list() == std::vector<std::string>{kAbc});
  CHECK(files.has(kAbc));
  CHECK(*files.read(kAbc) == "abc");
  CHECK(*files.verifiedPath(kAbc) == scratch.file("plugins/" + kAbc + ".so"));
  struct stat status {};
  REQUIRE(stat(files.pathOf(kAbc).c_str(), &status) == 0);
  CHECK((status.st_mode & 0222) == 0);
}

TEST_CASE(
    "plugin/plugin_files: a flipped bit is found before the file is used, and can be mended") {
  test::Scratch scratch;
  PluginFiles files = opened(scratch);
  REQUIRE(files.add("abc").ok());
  std::filesystem::permissions(files.pathOf(kAbc), std::filesystem::perms::owner_all);
  std::ofstream(files.pathOf(kAbc)) << "abd";
  auto path = files.verifiedPath(kAbc);
  REQUIRE_FALSE(path.ok());
  CHECK(path.fault().code == ErrorCode::corrupt);
  CHECK(path.fault().text.find("is damaged, its content has SHA-256 ") != std::string::npos);
  CHECK_FALSE(files.has(kAbc));  // so that it is fetched again
  CHECK(std::filesystem::exists(files.pathOf(kAbc) + ".damaged"));
  REQUIRE(files.add("abc").ok());
  CHECK(files.verifiedPath(kAbc).ok());
}

TEST_CASE("plugin/plugin_files: what a crash left half written is swept") {
  test::Scratch scratch;
  std::filesystem::create_directories(scratch.file("plugins"));
  std::ofstream(scratch.file("plugins/" + kAbc + ".so.writing")) << "ab";
  PluginFiles files = opened(scratch);
  CHECK(std::filesystem::is_empty(scratch.file("plugins")));
  CHECK(files.list().empty());
}

TEST_CASE("plugin/plugin_files: an unknown hash and a path in its place are refused") {
  test::Scratch scratch;
  PluginFiles files = opened(scratch);
  CHECK(files.read(kAbc).fault().text ==
        "plugin " + kAbc +
            ": its file is not on this host; it is fetched from one that has it, or push it");
  CHECK_FALSE(files.has("../../etc/passwd"));
  CHECK_FALSE(files.read("../host.id").ok());
}

TEST_CASE("plugin/plugin_files: the allow-list lets in what it names and nothing else") {
  auto none = TrustedPlugins::parse({});
  REQUIRE(none.ok());
  CHECK_FALSE(none->allows(kAbc, true));
  auto operators = TrustedPlugins::parse({"operators"});
  CHECK(operators->allows(kAbc, true));
  CHECK_FALSE(operators->allows(kAbc, false));
  auto hash = TrustedPlugins::parse({kAbc});
  CHECK(hash->allows(kAbc, false));
  CHECK_FALSE(hash->allows(std::string(64, 'a'), true));
  auto wrong = TrustedPlugins::parse({"operator"});
  REQUIRE_FALSE(wrong.ok());
  CHECK(wrong.fault().text ==
        "plugins.trusted \"operator\": neither \"operators\" nor a SHA-256 of 64 lower-case hex "
        "digits");
}
