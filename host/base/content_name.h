// A name for bytes that follows from them alone: their SHA-256.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace flotilla::base {

using ContentName = std::array<uint8_t, 32>;

// Of both, one after the other.
ContentName contentName(std::string_view bytes, std::string_view more = {});

}  // namespace flotilla::base
