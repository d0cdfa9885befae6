// What happened in a simulated world: a hash of all of it, and lines for whoever wants to read.
#pragma once

#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <string>

namespace flotilla::sim {

// Owner:  whoever runs a seed.
// Thread: one.
// Errors: none.
class Trace {
public:
  explicit Trace(bool prints) : prints_(prints) {}

  // Mixes numbers that say what happened into the hash; `text` is called only where it is printed.
  template <typename Text>
  void note(int64_t nowUs, std::initializer_list<uint64_t> numbers, Text&& text) {
    mix(static_cast<uint64_t>(nowUs));
    for (uint64_t number : numbers) mix(number);
    if (!prints_) return;
    std::string line = text();
    std::printf("%4lld.%06lld %s\n", static_cast<long long>(nowUs / 1'000'000),
                static_cast<long long>(nowUs % 1'000'000), line.c_str());
  }

  bool prints() const { return prints_; }
  uint64_t hash() const { return hash_; }

private:
  void mix(uint64_t number) {
    hash_ = (hash_ ^ number) * 0x9e3779b97f4a7c15ULL;
    hash_ ^= hash_ >> 29;
  }

  bool prints_;
  uint64_t hash_ = 0x243f6a8885a308d3ULL;
};

}  // namespace flotilla::sim
