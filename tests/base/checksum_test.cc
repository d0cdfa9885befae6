// Checksums are XXH3's own, by whatever instructions: they lie on disk and cross the wire.
#include "host/base/checksum.h"

#include <algorithm>
#include <random>
#include <string>
#include <xxhash.h>

#include <doctest/doctest.h>

namespace flotilla::base {

TEST_CASE("base/checksum: of every length, with a seed and in pieces, it is what xxhash.h says") {
  std::mt19937_64 random(7);
  std::string bytes(1 << 20, 0);
  for (char& byte : bytes) byte = static_cast<char>(random());
  for (size_t size : {0, 1, 3, 16, 17, 128, 240, 241, 1'024, 1'025, 70'001, 1 << 20}) {
    CAPTURE(size);
    std::string_view view(bytes.data(), size);
    CHECK(checksum(view, 0) == XXH3_64bits(view.data(), view.size()));
    CHECK(checksum(view, 42) == XXH3_64bits_withSeed(view.data(), view.size(), 42));
    RunningChecksum running;
    for (size_t at = 0; at < size;) {
      size_t piece = std::min<size_t>(1 + random() % 999, size - at);
      running.add(view.substr(at, piece));
      at += piece;
    }
    CHECK(running.value() == checksum(view, 0));
  }
}

}  // namespace flotilla::base
