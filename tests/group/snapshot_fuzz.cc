// Snapshot files of any bytes, and what a peer says of chunks: judged, never trusted.
#include <cstdint>
#include <string>

#include "host/base/assert.h"
#include "host/group/snapshot_collector.h"

namespace flotilla::group {
namespace {

class Text final : public SnapshotSource {
public:
  explicit Text(std::string_view bytes) : left_(bytes) {}
  Result<size_t> read(char* to, size_t size) override {
    size_t given = left_.copy(to, size);
    left_.remove_prefix(given);
    return given;
  }

private:
  std::string_view left_;
};

struct Part final : SnapshotPart {
  std::string bytes;
  Result<void> write(std::string_view piece) override {
    bytes += piece;
    return {};
  }
  Result<void> keepFirst(uint64_t size) override {
    ASSERT(size <= bytes.size());
    bytes.resize(size);
    return {};
  }
};

struct Nothing final : ChunkDonors {
  bool has(const base::ContentName&) override { return false; }
  bool take(const base::ContentName&, ChunkHead&, std::string&) override { return false; }
};

ReadAt readerOf(std::string_view file) {
  return [file](uint64_t offset, char* to, size_t size) -> Result<size_t> {
    return offset > file.size() ? 0 : file.substr(offset).copy(to, size);
  };
}

// Its first byte says how much of it a part holds before the rest comes.
void judge(std::string_view bytes) {
  Text text(bytes);
  (void)verifySnapshot(text).ok();
  size_t had = bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]);
  Part part;
  part.bytes = std::string(snapshotPrefix()) + std::string(bytes.substr(0, had));
  Nothing none;
  SnapshotCollector collector(part, none, {7, {1, 1}});
  std::string before = part.bytes;
  if (!collector.begin(readerOf(before))) return;
  std::string_view rest = bytes.substr(std::min(had, bytes.size()));
  if (!collector.ask(rest.substr(0, rest.size() / kChunkHeadBytes * kChunkHeadBytes))) return;
  (void)collector.give(rest).ok();
  // Nothing but a head that is ours can have been taken, and nobody here makes one.
  ASSERT(!collector.done() || part.bytes.size() > kSnapshotPrefixBytes);
}

}  // namespace
}  // namespace flotilla::group

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  flotilla::group::judge({reinterpret_cast<const char*>(bytes), size});
  return 0;
}
