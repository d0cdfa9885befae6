// Where a section is cut into chunks: by what its bytes are, not by where they stand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flotilla::group {

// A chunk ends where the last 64 bytes hash to one of a few values. So what is inserted, changed or
// taken out moves the cuts around it only, and the chunks after it are the same as before.
//
// Owner:  whoever writes a section.
// Thread: one at a time.
// Errors: none.
class ChunkCuts {
public:
  static constexpr size_t kBytesMin = 32 << 10;
  static constexpr size_t kBytesMax = 256 << 10;
  static constexpr int kMeanBits = 16;  // 64 KiB beyond the least, in the mean

  struct Part {
    size_t size = 0;    // so many of the bytes belong to the chunk at hand
    bool ends = false;  // which ends with them
  };
  Part take(std::string_view bytes);

private:
  uint64_t roll_ = 0;
  size_t length_ = 0;  // of the chunk at hand
};

}  // namespace flotilla::group
