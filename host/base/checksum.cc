// Checksums of what lies on disk and crosses the wire.
#include "host/base/checksum.h"

#include <xxhash.h>

namespace flotilla::base {

uint64_t checksum(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace flotilla::base
