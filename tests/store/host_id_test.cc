// Who a data directory belongs to.
#include "host/store/host_id.h"

#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/store/temp_directory.h"

using namespace flotilla;
using namespace flotilla::test;

TEST_CASE("store/host_id: the first start is explicit, and done once") {
  TempDirectory dir;
  std::string data = dir / "host-1";
  auto none = store::readHostId(data);
  REQUIRE(!none.ok());
  CHECK(
      none.fault().text ==
      "data_dir " + data +
          ": no host.id; a new host starts once with --init, one that lost its disk joins under a "
          "new id");
  auto made = store::newHostId(data, 4, "demo");
  REQUIRE(made.ok());
  CHECK(made->birth.size() == 32);
  CHECK(!store::readHostId(data).ok());
  REQUIRE(store::keepHostId(data, *made).ok());
  CHECK(*store::readHostId(data) == *made);
  auto twice = store::newHostId(data, 4, "demo");
  REQUIRE(!twice.ok());
  CHECK(twice.fault().text ==
        "data_dir " + data +
            ": host.id is there already (host 4, cluster demo); start without "
            "--init");
  CHECK(*store::readHostId(data) == *made);
  CHECK(store::newHostId(dir / "host-2", 5, "demo")->birth != made->birth);
}

TEST_CASE("store/host_id: a directory that lost its host.id is not begun anew") {
  TempDirectory dir;
  REQUIRE(store::newHostId(dir.path(), 4, "demo").ok());
  std::filesystem::create_directory(dir / "meta");
  auto again = store::newHostId(dir.path(), 4, "demo");
  REQUIRE(!again.ok());
  CHECK(again.fault().text.find("meta/ is there without host.id; where this host has never "
                                "served") != std::string::npos);
}

TEST_CASE("store/host_id: the cluster's id is added later, another host's never taken") {
  TempDirectory dir;
  auto made = store::newHostId(dir / "d", 4, "demo with blanks");
  REQUIRE(made.ok());
  REQUIRE(store::keepHostId(dir / "d", *made).ok());
  made->clusterId = "00ff";
  CHECK(store::updateHostId(dir / "d", *made).ok());
  CHECK(*store::readHostId(dir / "d") == *made);
  store::HostId other = *made;
  other.host = 5;
  auto refused = store::updateHostId(dir / "d", other);
  REQUIRE(!refused.ok());
  CHECK(refused.fault().text.find("host.id is host 4's of birth") != std::string::npos);
  CHECK(*store::readHostId(dir / "d") == *made);
}

TEST_CASE("store/host_id: a newer format is kept, and one that is not known is refused") {
  TempDirectory dir;
  auto made = store::newHostId(dir / "d", 4, "demo");
  REQUIRE(made.ok());
  CHECK(made->format == 1);
  REQUIRE(store::keepHostId(dir / "d", *made).ok());
  made->format = store::HostId::kFormat;
  REQUIRE(store::updateHostId(dir / "d", *made).ok());
  CHECK(*store::readHostId(dir / "d") == *made);
  made->format = store::HostId::kFormat + 1;
  REQUIRE(store::updateHostId(dir / "d", *made).ok());
  auto refused = store::readHostId(dir / "d");
  REQUIRE(!refused.ok());
  CHECK(refused.fault().text == "data_dir " + (dir / "d") +
                                    ": host.id: format 3, this host reads up to 2; start a newer "
                                    "flotilla-host");
}

TEST_CASE("store/host_id: every flipped bit is found") {
  TempDirectory dir;
  auto made = store::newHostId(dir / "d", 4, "demo");
  REQUIRE(made.ok());
  REQUIRE(store::keepHostId(dir / "d", *made).ok());
  std::string path = dir / "d/host.id";
  auto text = store::readWhole(path, 4096);
  REQUIRE(text.ok());
  for (size_t bit = 0; bit < text->size() * 8; ++bit) {
    std::string bad = *text;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bad;
    auto read = store::readHostId(dir / "d");
    REQUIRE(!read.ok());
    CHECK(read.fault().text.find("host.id fails its checksum; put the file back") !=
          std::string::npos);
  }
}

TEST_CASE("store/host_id: boots count up, and a damaged or missing count is refused") {
  TempDirectory dir;
  REQUIRE(store::newHostId(dir.path(), 4, "demo").ok());
  for (uint64_t boot = 1; boot <= 3; ++boot) CHECK(*store::nextBoot(dir.path()) == boot);
  std::ofstream(dir / "boots") << "boots 1\nchecksum 0000000000000000\n";
  CHECK(store::nextBoot(dir.path()).fault().text.find("boots fails its checksum") !=
        std::string::npos);
  std::filesystem::remove(dir / "boots");
  CHECK(store::nextBoot(dir.path()).fault().text ==
        "data_dir " + std::string(dir.path()) +
            ": boots is missing; put the file back from a copy, with a number that is not lower");
}

TEST_CASE("store/host_id: one process alone has a data directory") {
  TempDirectory dir;
  {
    auto mine = store::DataLock::take(dir.path());
    REQUIRE(mine.ok());
    auto other = store::DataLock::take(dir.path());
    REQUIRE(!other.ok());
    CHECK(other.fault().code == ErrorCode::denied);
    CHECK(other.fault().text ==
          "data_dir " + dir.path() + ": in use by another flotilla-host (pid " +
              std::to_string(::getpid()) + "); stop it, or give this host its own host.data_dir");
  }
  CHECK(store::DataLock::take(dir.path()).ok());
  CHECK(!store::DataLock::take(dir / "missing").ok());
}
