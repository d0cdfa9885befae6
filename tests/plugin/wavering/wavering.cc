// A machine that uses what no machine may, one thing at a time, chosen by a definition.
#include <chrono>
#include <cstdlib>
#include <flotilla/plugin.h>
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
// Which of some strings comes first where they lie in order of address.
uint64_t waver() {
  std::vector<std::unique_ptr<std::string>> strings;
  std::set<const std::string*> order;
  for (int i = 0; i < 8; ++i) order.insert(strings.emplace_back(new std::string).get());
  uint64_t place = 0;
  while (strings[place].get() != *order.begin()) ++place;
  return place;
}
#elif defined(WAVER_UNINITIALIZED)
uint64_t waver() {
  std::unique_ptr<uint64_t[]> numbers(new uint64_t[20]);
  uint64_t* unknown = numbers.get();
  asm volatile("" : "+r"(unknown) : : "memory");  // what the compiler cannot see it cannot warn of
  return unknown[10];
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
#elif !defined(WAVER_RESTORE_ORDER)
uint64_t waver() {
  return 7;
}
#endif

}  // namespace

#if defined(WAVER_RESTORE_ORDER)

// Keeps its keys in an order that depends on how they came.
class WaveringMachine {
public:
  void put(const flotilla::Entry&, Wavering::PutParams::Reader in, Wavering::PutResults::Builder) {
    keys_[std::string(bytes(in.getKey()))] = 1;
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
  uint64_t digest() const { return keys_.size(); }

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
