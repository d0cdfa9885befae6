// What is known of a finished snapshot.
#pragma once

#include <cstdint>
#include <string>

#include "host/raft/types.h"

namespace flotilla::store {

// `bytes` and `checksum` (XXH3) are of its content. They lie beside it on disk under a checksum of
// their own, so a flipped bit or a cut is found before a byte is used.
struct SnapshotFile {
  raft::LogPoint point;
  uint64_t bytes = 0;
  uint64_t checksum = 0;
  std::string path;  // of a small one: what it is called
};

}  // namespace flotilla::store
