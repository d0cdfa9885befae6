// Copies that share what they have in common.
#include "host/catalog/shared_map.h"

#include <map>
#include <string>

#include <doctest/doctest.h>

#include "host/base/prng.h"

namespace flotilla::catalog {

TEST_CASE("catalog/shared_map: a copy stays as it was while the other changes") {
  base::Prng random(7);
  SharedMap<uint64_t, uint64_t> map;
  std::map<uint64_t, uint64_t> model;
  SharedMap<uint64_t, uint64_t> held;
  std::map<uint64_t, uint64_t> heldModel;
  auto equal = [](const auto& left, const auto& right) {
    if (left.size() != right.size()) return false;
    size_t seen = 0;
    left.forEach([&](uint64_t key, uint64_t value) {
      auto at = right.find(key);
      if (at != right.end() && at->second == value) ++seen;
    });
    return seen == right.size();
  };
  for (int i = 0; i < 4000; ++i) {
    uint64_t key = random.below(700);
    if (random.chance(600)) {
      map.set(key, static_cast<uint64_t>(i));
      model[key] = static_cast<uint64_t>(i);
    } else {
      map.erase(key);
      model.erase(key);
    }
    if (i % 500 == 250) {
      held = map;
      heldModel = model;
    }
  }
  CHECK(equal(map, model));
  CHECK(equal(held, heldModel));
  CHECK(held.size() == heldModel.size());
}

TEST_CASE("catalog/shared_map: a string is found by a view of it") {
  SharedMap<std::string, int> map;
  map.set("one", 1);
  CHECK(*map.find(std::string_view("one")) == 1);
  CHECK(map.find(std::string_view("two")) == nullptr);
}

}  // namespace flotilla::catalog
