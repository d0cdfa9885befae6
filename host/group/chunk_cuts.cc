// Where a section is cut into chunks.
#include "host/group/chunk_cuts.h"

#include <algorithm>
#include <array>

namespace flotilla::group {
namespace {

constexpr size_t kWindow = 64;  // a byte leaves the hash by being shifted out of it

// A number for each byte: splitmix64, for the cuts are to be the same in every build.
constexpr std::array<uint64_t, 256> makeGears() {
  std::array<uint64_t, 256> gears{};
  uint64_t state = 0x666c6f74696c6c61ULL;
  for (uint64_t& gear : gears) {
    state += 0x9e3779b97f4a7c15ULL;
    uint64_t mixed = state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
    gear = mixed ^ (mixed >> 31);
  }
  return gears;
}
constexpr std::array<uint64_t, 256> kGears = makeGears();

}  // namespace

ChunkCuts::Part ChunkCuts::take(std::string_view bytes) {
  size_t at = 0;
  size_t unhashed = kBytesMin - kWindow;  // no cut can depend on those before
  if (length_ < unhashed) at = std::min(bytes.size(), unhashed - length_);
  size_t room = std::min(bytes.size(), kBytesMax - length_);
  for (; at < room; ++at) {
    roll_ = (roll_ << 1) + kGears[static_cast<uint8_t>(bytes[at])];
    bool cut = roll_ >> (64 - kMeanBits) == 0 && length_ + at + 1 >= kBytesMin;
    if (!cut) continue;
    length_ = 0;
    roll_ = 0;
    return {at + 1, true};
  }
  length_ += room;
  if (length_ < kBytesMax) return {room, false};
  length_ = 0;
  roll_ = 0;
  return {room, true};
}

}  // namespace flotilla::group
