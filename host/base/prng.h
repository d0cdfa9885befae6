// Random numbers that a seed determines.
#pragma once

#include <cstdint>

namespace flotilla::base {

// splitmix64: small, fast, and the same on every machine. Not for secrets.
//
// Thread: one at a time.
// Errors: none.
class Prng {
public:
  explicit Prng(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

  // In [0, limit); 0 where limit is 0.
  uint64_t below(uint64_t limit) { return limit == 0 ? 0 : next() % limit; }

  // True `permille` times in a thousand.
  bool chance(uint64_t permille) { return below(1000) < permille; }

private:
  uint64_t state_;
};

}  // namespace flotilla::base
