// Snapshot files of any bytes, and what a peer says of chunks: judged, never trusted.
#include <cstdint>
#include <string>

#include "host/base/assert.h"
#include "host/group/snapshot_collector.h"
#include "tests/support/memory_file.h"

namespace flotilla::group {
namespace {

struct Nothing final : ChunkDonors {
  bool has(const base::ContentName&) override { return false; }
  bool take(const base::ContentName&, ChunkHead&, std::string&) override { return false; }
};

// Its first byte says how much of it a part holds before the rest comes.
void judge(std::string_view bytes) {
  test::MemorySource text(bytes);
  (void)verifySnapshot(text).ok();
  size_t had = bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]);
  std::string held = std::string(snapshotPrefix()) + std::string(bytes.substr(0, had));
  Nothing none;
  test::MemoryPart part(held);
  SnapshotCollector collector(part, none, {7, {1, 1}});
  std::string before = part.bytes;
  if (!collector.begin(test::readerOf(before))) return;
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
