// Journals that are laid out ahead hold what was appended, and zeros behind it.
#include "host/store/journal_env.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "host/base/prng.h"
#include "tests/store/temp_directory.h"

using namespace flotilla;
using namespace flotilla::test;

namespace {

constexpr uint64_t kLaidOut = 3 << 20;

std::string readFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool holds(const std::string& path, const std::string& appended) {
  std::string bytes = readFile(path);
  return bytes.size() >= appended.size() && bytes.compare(0, appended.size(), appended) == 0 &&
         bytes.find_first_not_of('\0', appended.size()) == std::string::npos;
}

// Appends pieces of all sizes to a new journal, past what was laid out, and looks after each sync.
void writeJournal(const std::string& path, uint64_t laidOut) {
  store::JournalEnv env;
  env.layOut(laidOut);
  leveldb::WritableFile* raw = nullptr;
  REQUIRE(env.NewWritableFile(path, &raw).ok());
  std::unique_ptr<leveldb::WritableFile> file(raw);
  CHECK(std::filesystem::file_size(path) == laidOut);
  base::Prng prng(7);
  std::string appended;
  for (int i = 0; i < 120; ++i) {
    std::string piece(1 + prng.below(i % 20 == 0 ? 1'500'000 : 9000),
                      static_cast<char>('a' + i % 26));
    appended += piece;
    REQUIRE(file->Append(piece).ok());
    REQUIRE(file->Flush().ok());
    if (prng.chance(500)) continue;
    REQUIRE(file->Sync().ok());
    CHECK(holds(path, appended));
  }
  CHECK(appended.size() > kLaidOut);
  REQUIRE(file->Close().ok());
  CHECK(holds(path, appended));
  CHECK(std::filesystem::file_size(path) < std::max(laidOut, appended.size() + 4096));
}

}  // namespace

TEST_CASE(
    "store/journal_env: what is appended is there after a sync, wherever it begins and ends") {
  TempDirectory memory;
  // Direct writes are for disks; where /tmp is none, this is the same once more.
  char disk[] = "/tmp/flotilla-journal-XXXXXX";
  REQUIRE(::mkdtemp(disk) != nullptr);
  for (const std::string& place : {memory.path(), std::string(disk)}) {
    INFO(place);
    writeJournal(place + "/000003.log", kLaidOut);
    writeJournal(place + "/000004.log", 4096);
  }
  std::filesystem::remove_all(disk);
}

TEST_CASE("store/journal_env: other files, and journals that are not laid out, begin empty") {
  TempDirectory dir;
  store::JournalEnv env;
  for (const char* name : {"MANIFEST-000002", "000003.log"}) {
    leveldb::WritableFile* file = nullptr;
    REQUIRE(env.NewWritableFile(dir / name, &file).ok());
    REQUIRE(file->Append("abc").ok());
    REQUIRE(file->Close().ok());
    delete file;
    CHECK(readFile(dir / name) == "abc");
    env.layOut(kLaidOut);
    env.layOut(0);
  }
  leveldb::WritableFile* file = nullptr;
  env.layOut(kLaidOut);
  leveldb::Status status = env.NewWritableFile(dir / "no/such/000003.log", &file);
  CHECK(!status.ok());
  CHECK(status.ToString().find("000003.log") != std::string::npos);
}
