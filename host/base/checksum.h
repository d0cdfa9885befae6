// Checksums of what lies on disk and crosses the wire.
#pragma once

#include <cstdint>
#include <string_view>

namespace flotilla::base {

// XXH3, 64 bits, continued from `seed`.
uint64_t checksum(std::string_view bytes, uint64_t seed = 0);

}  // namespace flotilla::base
