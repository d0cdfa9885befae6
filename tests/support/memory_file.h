// Snapshot files that lie in memory.
#pragma once

#include <string>
#include <string_view>

#include "host/base/assert.h"
#include "host/group/snapshot_collector.h"

namespace flotilla::test {

// Any part of it; `file` must outlive what is given.
inline group::ReadAt readerOf(const std::string& file) {
  return [&file](uint64_t offset, char* to, size_t size) -> Result<size_t> {
    return offset > file.size() ? 0 : std::string_view(file).substr(offset).copy(to, size);
  };
}

// From its beginning to its end.
//
// Owner: a test. Thread: one. Errors: none.
class MemorySource final : public group::SnapshotSource {
public:
  explicit MemorySource(std::string_view bytes) : left_(bytes) {}
  Result<size_t> read(char* to, size_t size) override {
    size_t given = left_.copy(to, size);
    left_.remove_prefix(given);
    return given;
  }

private:
  std::string_view left_;
};

// What has arrived of one.
//
// Owner: a test. Thread: one. Errors: none.
struct MemoryPart final : group::SnapshotPart {
  explicit MemoryPart(std::string& its) : bytes(its) {}
  Result<void> write(std::string_view piece) override {
    bytes += piece;
    return {};
  }
  Result<void> keepFirst(uint64_t size) override {
    ASSERT(size <= bytes.size());
    bytes.resize(size);
    return {};
  }
  std::string& bytes;
};

}  // namespace flotilla::test
