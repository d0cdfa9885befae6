// LevelDB's checksum as we compute it, beside its definition.
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

#include <doctest/doctest.h>

namespace leveldb::crc32c {
uint32_t Extend(uint32_t init_crc, const char* data, size_t n);
}

namespace {

using leveldb::crc32c::Extend;

// CRC-32C bit by bit (RFC 3720, appendix B.4: polynomial 0x1edc6f41, reflected).
uint32_t plain(const std::string& bytes) {
  uint32_t crc = 0xffffffff;
  for (char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
  }
  return ~crc;
}

uint32_t whole(const std::string& bytes) {
  return Extend(0, bytes.data(), bytes.size());
}

}  // namespace

TEST_CASE("store/leveldb_crc32c: values that are known") {
  CHECK(whole("123456789") == 0xe3069283);
  CHECK(whole(std::string(32, '\0')) == 0x8a9136aa);
  CHECK(whole(std::string(32, '\xff')) == 0x62a8ab43);
  CHECK(whole("") == 0);
}

TEST_CASE("store/leveldb_crc32c: every length and every cut, as by its definition") {
  std::mt19937_64 random(1);
  std::string bytes;
  for (size_t size = 0; size <= 1'200; ++size) {
    CAPTURE(size);
    uint32_t sum = plain(bytes);
    REQUIRE(whole(bytes) == sum);
    size_t cut = size == 0 ? 0 : random() % size;
    uint32_t first = Extend(0, bytes.data(), cut);
    REQUIRE(Extend(first, bytes.data() + cut, size - cut) == sum);
    bytes.push_back(static_cast<char>(random()));
  }
  bytes.resize(300'007);
  for (char& byte : bytes) byte = static_cast<char>(random());
  CHECK(whole(bytes) == plain(bytes));
}
