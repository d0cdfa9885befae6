// Checksums of what lies on disk and crosses the wire.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

namespace flotilla::base {

// XXH3, 64 bits, continued from `seed`.
uint64_t checksum(std::string_view bytes, uint64_t seed = 0);

// The same value for bytes that come in pieces.
//
// Owner:  anyone.
// Thread: one at a time.
// Errors: none.
class RunningChecksum {
public:
  RunningChecksum();
  RunningChecksum(RunningChecksum&&) noexcept;
  RunningChecksum& operator=(RunningChecksum&&) noexcept;
  ~RunningChecksum();

  void add(std::string_view piece);
  uint64_t value() const;  // of all pieces so far

private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace flotilla::base
