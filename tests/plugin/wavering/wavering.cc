// A machine that uses what no machine may, one thing at a time, chosen by a definition.
#include <chrono>
#include <cstdlib>
#include <flotilla/plugin.h>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>
#include <unordered_map>

#include "wavering.capnp.h"

using flotilla::bytes;

namespace {

#if defined(WAVER_CLOCK)
uint64_t waver() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}
#elif defined(WAVER_RANDOM)
uint64_t waver() {
  return std::random_device()();
}
#elif defined(WAVER_POINTER_ORDER)
// In which order some strings lie in a table that has its rows by address, as hash tables do.
uint64_t waver() {
  constexpr uint64_t kRows = 1009;
  std::vector<std::unique_ptr<std::string>> strings;
  std::map<uint64_t, uint64_t> rows;
  for (uint64_t i = 0; i < 64; ++i) {
    const auto& one = strings.emplace_back(new std::string);
    rows.emplace(reinterpret_cast<uintptr_t>(one.get()) % kRows, i);
  }
  uint64_t order = 0;
  for (const auto& [row, string] : rows) order = order * 67 + string;
  return order;
}
#elif defined(WAVER_UNINITIALIZED)
// What lies in pieces of many sizes that nobody has written to yet.
uint64_t waver() {
  std::vector<std::unique_ptr<uint64_t[]>> pieces;
  uint64_t sum = 0;
  for (size_t words = 2; words <= 64; ++words) {
    uint64_t* unknown = pieces.emplace_back(new uint64_t[words]).get();
    asm volatile(""
                 : "+r"(unknown)
                 :
                 : "memory");  // what the compiler cannot see it cannot warn of
    for (size_t i = 0; i < words; ++i) sum = sum * 31 + unknown[i];
  }
  return sum;
}
#elif defined(WAVER_GLOBAL)
uint64_t waver() {
  static uint64_t calls = 0;
  return ++calls;
}
#elif defined(WAVER_FAULT)
uint64_t waver() {
  throw std::logic_error("not thought of");
}
#elif defined(WAVER_CRASH)
uint64_t waver() {
  std::abort();
}
#elif !defined(WAVER_RESTORE_ORDER) && !defined(WAVER_ANSWERED_ORDER)
uint64_t waver() {
  return 7;
}
#endif

}  // namespace

#if defined(WAVER_RESTORE_ORDER) || defined(WAVER_ANSWERED_ORDER)

// Keeps its keys in an order that depends on how they came; queries alone show it, or commands too.
class WaveringMachine {
public:
  void put(const flotilla::Entry&, Wavering::PutParams::Reader in,
           [[maybe_unused]] Wavering::PutResults::Builder out) {
    keys_[std::string(bytes(in.getKey()))] = 1;
#if defined(WAVER_ANSWERED_ORDER)
    uint64_t order = 0;
    for (const auto& [key, value] : keys_) order = order * 31 + std::hash<std::string>()(key);
    out.setValue(order);
#endif
  }
  void first(const flotilla::View&, Wavering::FirstParams::Reader,
             Wavering::FirstResults::Builder out) const {
    if (!keys_.empty()) out.setKey(keys_.begin()->first);
  }

  struct Held {
    void save(flotilla::SnapshotWriter& out) const {
      out.number<uint64_t>(keys.size());
      for (const std::string& key : keys) out.string(key);
    }
    std::set<std::string> keys;
  };
  Held capture() const {
    Held held;
    for (const auto& [key, value] : keys_) held.keys.insert(key);
    return held;
  }
  void load(flotilla::SnapshotReader& in) {
    for (auto left = in.number<uint64_t>(); left > 0; --left) keys_[in.string()] = 1;
  }
  uint64_t digest() const {
    return keys_.size();
  }

private:
  std::unordered_map<std::string, int> keys_;
};

#else

class WaveringMachine {
public:
  void put(const flotilla::Entry& entry, Wavering::PutParams::Reader in,
           Wavering::PutResults::Builder out) {
    if (entry.index() % 2 == 0) {
      keys_.set(bytes(in.getKey()), waver());
#if defined(WAVER_TIMER) || defined(WAVER_TIMER_FAULT)
      entry.wakeAt(entry.timeUs() + 3'000'000, entry.index());
#endif
    } else {
      out.setValue(keys_.getOr(bytes(in.getKey()), 0));
    }
  }
  void first(const flotilla::View&, Wavering::FirstParams::Reader,
             Wavering::FirstResults::Builder out) const {
    if (!keys_.empty()) out.setKey((*keys_.begin()).key);
  }
#if defined(WAVER_TIMER)
  // The first token that a process sees is kept outside of the state, and so lost with a restore.
  void wake(const flotilla::Entry&, uint64_t token) {
    static uint64_t first = token;
    keys_.set("woken", token - first);
  }
#elif defined(WAVER_TIMER_FAULT)
  void wake(const flotilla::Entry&, uint64_t) {
    throw std::logic_error("woken too early");
  }
#endif

private:
  flotilla::Table<std::string, uint64_t> keys_;
};

#endif

FLOTILLA_PLUGIN(WaveringMachine, Wavering, "1.0.0", put, first)
