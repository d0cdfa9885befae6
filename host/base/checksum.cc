// Checksums of what lies on disk and crosses the wire.
#include "host/base/checksum.h"

#include <xxhash.h>

// The same functions by the widest instructions that this processor has: twice as fast.
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#endif

namespace flotilla::base {

uint64_t checksum(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

struct RunningChecksum::State {
  XXH3_state_t* hash = XXH3_createState();
  State() { XXH3_64bits_reset(hash); }
  ~State() { XXH3_freeState(hash); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

RunningChecksum::RunningChecksum() : state_(std::make_unique<State>()) {}
RunningChecksum::RunningChecksum(RunningChecksum&&) noexcept = default;
RunningChecksum& RunningChecksum::operator=(RunningChecksum&&) noexcept = default;
RunningChecksum::~RunningChecksum() = default;

void RunningChecksum::add(std::string_view piece) {
  XXH3_64bits_update(state_->hash, piece.data(), piece.size());
}

uint64_t RunningChecksum::value() const {
  return XXH3_64bits_digest(state_->hash);
}

}  // namespace flotilla::base
