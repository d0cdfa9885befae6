// A Table beside std::map and abseil's btree_map: what a machine's state costs that replicates
// itself.
#include <absl/container/btree_map.h>
#include <benchmark/benchmark.h>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "flotilla/table.h"

namespace flotilla::bench {
namespace {

constexpr size_t kValueBytes = 128;
constexpr size_t kRun = 64;  // commands that a machine is handed at once

// Keys in an order that no cache guesses.
template <typename K>
K keyOf(uint64_t number);
template <>
uint64_t keyOf(uint64_t number) {
  return mixed(number, 7);
}
template <>
std::string keyOf(uint64_t number) {
  return "key-" + std::to_string(mixed(number, 7));
}
template <typename V>
V valueOf(uint64_t number);
template <>
uint64_t valueOf(uint64_t number) {
  return number;
}
template <>
std::string valueOf(uint64_t number) {
  return std::string(kValueBytes, static_cast<char>('a' + number % 26));
}

// A map as a machine would have to use it.
template <typename Map>
struct Plain {
  using Key = typename Map::key_type;
  using Value = typename Map::mapped_type;
  void set(const Key& key, const Value& value) { map.insert_or_assign(key, value); }
  const Value* find(const Key& key) const {
    auto at = map.find(key);
    return at == map.end() ? nullptr : &at->second;
  }
  void erase(const Key& key) { map.erase(key); }
  void prefetch(const Key&) {}
  void ahead() {}
  template <typename Each>
  void walk(Each&& each) const {
    for (const auto& [key, value] : map) each(value);
  }
  Map map;
};

// As the SDK drives it: in a machine, with every command kept, and a run's keys said ahead.
template <typename K, typename V>
struct Replicated {
  using Key = K;
  using Value = V;
  Replicated() {
    Members::Construction signingUp(&members);
    table = std::make_unique<Table<K, V>>();
    members.startUndoing();
    members.expect(kRun);
  }
  void set(const K& key, const V& value) {
    table->set(key, value);
    members.keep();
  }
  const V* find(const K& key) const { return table->find(key); }
  void erase(const K& key) {
    table->erase(key);
    members.keep();
  }
  void prefetch(const K& key) { table->prefetch(key); }
  void ahead() { members.prefetchRun(); }
  template <typename Each>
  void walk(Each&& each) const {
    for (const auto& [key, value] : *table) each(value);
  }
  Members members;
  std::unique_ptr<Table<K, V>> table;
};

template <typename Held>
struct Filled {
  explicit Filled(size_t count) {
    std::mt19937_64 order(42);
    for (uint64_t i = 0; i < count; ++i) {
      keys.push_back(keyOf<typename Held::Key>(i));
      values.push_back(valueOf<typename Held::Value>(i));
      held.set(keys.back(), values.back());
    }
    std::shuffle(keys.begin(), keys.end(), order);
  }
  Held held;
  std::vector<typename Held::Key> keys;
  std::vector<typename Held::Value> values;
};

template <typename Held>
void overwrite(benchmark::State& state) {
  Filled<Held> it(static_cast<size_t>(state.range(0)));
  size_t next = 0;
  size_t count = it.keys.size();
  while (state.KeepRunningBatch(kRun)) {
    for (size_t i = 0; i < kRun; ++i) it.held.prefetch(it.keys[(next + i) % count]);
    it.held.ahead();
    for (size_t i = 0; i < kRun; ++i) {
      it.held.set(it.keys[(next + i) % count], it.values[(next * 7 + i) % count]);
    }
    next += kRun;
  }
}

// A key goes and comes back: the tree's nodes thin and fill.
template <typename Held>
void eraseAndInsert(benchmark::State& state) {
  Filled<Held> it(static_cast<size_t>(state.range(0)));
  size_t next = 0;
  for (auto _ : state) {
    size_t at = next++ % it.keys.size();
    it.held.erase(it.keys[at]);
    it.held.set(it.keys[at], it.values[at]);
  }
}

template <typename Held>
void find(benchmark::State& state) {
  Filled<Held> it(static_cast<size_t>(state.range(0)));
  size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(it.held.find(it.keys[next++ % it.keys.size()]));
  }
}

template <typename Held>
void walk(benchmark::State& state) {
  Filled<Held> it(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    uint64_t seen = 0;
    it.held.walk([&](const auto& value) {
      benchmark::DoNotOptimize(&value);
      ++seen;
    });
    benchmark::DoNotOptimize(seen);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void sizes(benchmark::internal::Benchmark* it) {
  it->Arg(10'000)->Arg(100'000)->Arg(1'000'000);
}

template <typename K, typename V>
void registerAll(const std::string& what) {
  auto each = [&]<typename Held>(const std::string& name, std::type_identity<Held>) {
    auto add = [&](const std::string& does, void (*run)(benchmark::State&)) {
      benchmark::RegisterBenchmark((does + "/" + what + "/" + name).c_str(), run)->Apply(sizes);
    };
    add("overwrite", overwrite<Held>);
    add("eraseAndInsert", eraseAndInsert<Held>);
    add("find", find<Held>);
    add("walk", walk<Held>);
  };
  each("map", std::type_identity<Plain<std::map<K, V>>>());
  each("btree", std::type_identity<Plain<absl::btree_map<K, V>>>());
  each("Table", std::type_identity<Replicated<K, V>>());
}

}  // namespace
}  // namespace flotilla::bench

int main(int argc, char** argv) {
  flotilla::bench::registerAll<uint64_t, uint64_t>("numbers");
  flotilla::bench::registerAll<std::string, std::string>("texts");
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
