// Packing by zstd, and names by content.
#include "host/base/packer.h"

#include <doctest/doctest.h>

#include "host/base/content_name.h"
#include "host/base/prng.h"

namespace flotilla::base {

TEST_CASE("base/packer: what is packed comes back, and only as what it was") {
  std::string bytes, packed, back;
  for (int i = 0; bytes.size() < 100'000; ++i) bytes += "row " + std::to_string(i % 100);
  REQUIRE(pack(bytes, packed));
  CHECK(packed.size() < bytes.size() / 10);
  REQUIRE(unpack(packed, bytes.size(), back));
  CHECK(back == bytes);
  CHECK_FALSE(unpack(packed, bytes.size() - 1, back));
  CHECK_FALSE(unpack(packed, bytes.size() + 1, back));
  CHECK_FALSE(unpack(packed.substr(0, packed.size() - 1), bytes.size(), back));
  CHECK_FALSE(unpack("not packed", 10, back));
}

TEST_CASE("base/packer: what does not become smaller is not packed") {
  Prng prng(1);
  std::string bytes(10'000, '\0'), packed;
  for (char& byte : bytes) byte = static_cast<char>(prng.next());
  CHECK_FALSE(pack(bytes, packed));
  CHECK_FALSE(pack("", packed));
}

TEST_CASE("base/content_name: SHA-256 of both parts") {
  ContentName name = contentName("ab", "c");
  CHECK(name == contentName("abc"));
  CHECK(name[0] == 0xba);
  CHECK(name[1] == 0x78);
  CHECK(name[31] == 0xad);
  CHECK(name != contentName("abd"));
}

}  // namespace flotilla::base
