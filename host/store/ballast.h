// A file of no content that is given up when the disk is full.
#pragma once

#include <cstdint>
#include <string>

#include "flotilla/result.h"

namespace flotilla::store {

// Owner:  VolumeWriter.
// Thread: one at a time.
// Errors: hold answers diskFull where there is no room for it.
class Ballast {
public:
  Ballast(std::string path, uint64_t bytes) : path_(std::move(path)), bytes_(bytes) {}

  uint64_t bytes() const { return bytes_; }
  Result<void> hold();     // it is there, in full; leaves none where it cannot be
  Result<void> release();  // it is gone

private:
  std::string path_;
  uint64_t bytes_;
};

}  // namespace flotilla::store
