// Journals that are laid out ahead hold what was appended, and nothing else that reads as such.
#include "host/store/journal_env.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <leveldb/db.h>

#include "host/base/checksum.h"
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

// As LevelDB reads it, in pieces of any size.
std::string unmasked(store::JournalEnv& env, const std::string& path) {
  leveldb::SequentialFile* raw = nullptr;
  REQUIRE(env.NewSequentialFile(path, &raw).ok());
  std::unique_ptr<leveldb::SequentialFile> file(raw);
  std::string bytes;
  std::string room(40'001, 0);
  for (size_t count = 1;; count = count * 3 % room.size() + 1) {
    leveldb::Slice piece;
    REQUIRE(file->Read(count, &piece, room.data()).ok());
    if (piece.empty()) return bytes;
    bytes.append(piece.data(), piece.size());
  }
}

// What was appended, and behind it, on the disk, zeros.
bool holds(store::JournalEnv& env, const std::string& path, const std::string& appended) {
  std::string bytes = unmasked(env, path);
  return bytes.size() >= appended.size() && bytes.compare(0, appended.size(), appended) == 0 &&
         readFile(path).find_first_not_of('\0', appended.size()) == std::string::npos;
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
    CHECK(holds(env, path, appended));
  }
  CHECK(appended.size() > kLaidOut);
  REQUIRE(file->Close().ok());
  CHECK(holds(env, path, appended));
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

// What other builds have written must be read: byte by byte, whatever the pieces were.
TEST_CASE("store/journal_env: on the disk each byte is masked by its place and the file's name") {
  TempDirectory dir;
  store::JournalEnv env;
  std::filesystem::create_directory(dir / "volume");
  std::string path = dir / "volume/000003.log";
  uint64_t key = base::checksum("volume/000003.log");
  leveldb::WritableFile* raw = nullptr;
  env.layOut(kLaidOut);
  REQUIRE(env.NewWritableFile(path, &raw).ok());
  std::unique_ptr<leveldb::WritableFile> file(raw);
  std::string expected;
  for (size_t length = 0; length < 200; ++length) {
    std::string piece;
    for (size_t i = 0; i < length; ++i) piece.push_back(static_cast<char>(length * 7 + i));
    REQUIRE(file->Append(piece).ok());
    for (char byte : piece) {
      expected.push_back(
          static_cast<char>(byte ^ static_cast<char>(key >> expected.size() % 8 * 8)));
    }
  }
  REQUIRE(file->Sync().ok());
  CHECK(readFile(path).substr(0, expected.size()) == expected);
}

TEST_CASE("store/journal_env: other files, and journals that are not laid out, begin empty") {
  TempDirectory dir;
  store::JournalEnv env;
  for (const char* name : {"MANIFEST-000002", "000003.log"}) {
    leveldb::WritableFile* file = nullptr;
    REQUIRE(env.NewWritableFile(dir / name, &file).ok());
    REQUIRE(file->Append("abc").ok());
    REQUIRE(file->Sync().ok());
    REQUIRE(file->Close().ok());
    delete file;
    CHECK(unmasked(env, dir / name).substr(0, 3) == "abc");
    CHECK((readFile(dir / name) == "abc") == (std::string(name) != "000003.log"));
    env.layOut(kLaidOut);
    env.layOut(0);
  }
  leveldb::WritableFile* file = nullptr;
  env.layOut(kLaidOut);
  leveldb::Status status = env.NewWritableFile(dir / "no/such/000003.log", &file);
  CHECK(!status.ok());
  CHECK(status.ToString().find("000003.log") != std::string::npos);
}

TEST_CASE(
    "store/journal_env: whatever a spare held before, a database reads back what is its own") {
  // The same records again and again, of many sizes, so that old ones lie where new ones would; the
  // new journal is cut off anywhere, as a power cut does it, and goes on as it was before.
  TempDirectory dir;
  base::Prng prng(11);
  store::JournalEnv env;
  env.layOut(200'704);
  auto options = [&](bool create) {
    leveldb::Options made;
    made.env = &env;
    made.create_if_missing = create;
    made.reuse_logs = true;
    return made;
  };
  auto open = [&](const std::string& path, bool create) {
    leveldb::DB* raw = nullptr;
    REQUIRE(leveldb::DB::Open(options(create), path, &raw).ok());
    return std::unique_ptr<leveldb::DB>(raw);
  };
  std::string before;  // what the spare held
  for (int number = 1; number <= 12; ++number) {
    std::string path = dir / ("generation-" + std::to_string(number));
    std::string journal = path + "/000003.log";
    auto database = open(path, true);
    CHECK(readFile(journal).size() == 200'704);
    if (number > 1) CHECK(readFile(journal) == before);
    leveldb::WriteOptions synced;
    synced.sync = true;
    size_t bytes = std::vector<size_t>{3970, 100, 32'700, 40'000}[static_cast<size_t>(number) % 4];
    std::vector<std::string> values;
    for (size_t key = 0; key * bytes < 120'000 && key < 60; ++key) {
      values.push_back(std::to_string(number) + std::string(bytes, static_cast<char>('a' + key)));
      REQUIRE(database->Put(synced, std::to_string(key), values.back()).ok());
    }
    database.reset();
    std::string whole = readFile(journal);
    for (int cuts = 0; cuts < 12; ++cuts) {
      size_t cut = 512 * prng.below(whole.size() / 512);
      std::string torn = whole.substr(0, cut) +
                         (before.empty() ? std::string(whole.size(), '\0') : before).substr(cut);
      std::filesystem::remove_all(dir / "cut");
      std::filesystem::create_directories(dir / "cut");
      std::filesystem::copy(path, dir / ("cut/generation-" + std::to_string(number)),
                            std::filesystem::copy_options::recursive);
      std::string copy = dir / ("cut/generation-" + std::to_string(number));
      std::ofstream(copy + "/000003.log", std::ios::binary) << torn;
      auto again = open(copy, false);
      // A beginning of what was written, and nothing else.
      std::unique_ptr<leveldb::Iterator> at(again->NewIterator({}));
      size_t found = 0;
      for (at->SeekToFirst(); at->Valid(); at->Next()) ++found;
      CHECK(found <= values.size());
      for (size_t key = 0; key < found; ++key) {
        std::string value;
        REQUIRE(again->Get({}, std::to_string(key), &value).ok());
        CHECK(value == values[key]);
      }
      if (cut >= 150'000) CHECK(found == values.size());
    }
    before = whole.replace(0, 4096, 4096, '\0');  // a trial of the file is its first block
    store::keepJournals(path, 150'000);
    CHECK(std::filesystem::exists(dir / "spare-1.log"));
    std::filesystem::remove_all(path);
  }
}

TEST_CASE("store/journal_env: there are few spares, of the right length, and they go when told") {
  TempDirectory dir;
  auto journal = [&](const std::string& name, size_t bytes) {
    std::filesystem::create_directories(dir / name);
    std::ofstream(dir / (name + "/000003.log")) << std::string(bytes, 'x');
    std::ofstream(dir / (name + "/MANIFEST-000002")) << std::string(bytes, 'x');
    store::keepJournals(dir / name, 1000);
    return !std::filesystem::exists(dir / (name + "/000003.log"));
  };
  CHECK(!journal("short", 999));
  CHECK(!journal("long", 2000));
  for (uint64_t i = 1; i <= store::kSparesMax; ++i) CHECK(journal(std::to_string(i), 1000 + i));
  CHECK(!journal("one-too-many", 1000));
  store::keepJournals(dir / "no-such", 1000);
  leveldb::WritableFile* file = nullptr;
  store::JournalEnv env;
  env.layOut(8192);  // longer than all of them: made of zeros
  std::filesystem::create_directories(dir / "new");
  REQUIRE(env.NewWritableFile(dir / "new/000003.log", &file).ok());
  delete file;
  CHECK(readFile(dir / "new/000003.log") == std::string(8192, '\0'));
  REQUIRE(store::removeSpares(dir.path(), [] { return true; }).ok());
  for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
    CHECK(entry.path().filename().string().rfind("spare-", 0) != 0);
  }
}
