// Whether a table of any kind holds what a std::map does, in its order.
#pragma once

#include <map>
#include <string>

#include <doctest/doctest.h>

namespace flotilla::test {

using Model = std::map<std::string, std::string>;

template <typename Strings>
void checkEqual(const Strings& table, const Model& model) {
  REQUIRE(table.size() == model.size());
  auto it = model.begin();
  for (const auto& [key, value] : table) {
    REQUIRE(it != model.end());
    REQUIRE(key == it->first);
    REQUIRE(value == it->second);
    ++it;
  }
  REQUIRE(it == model.end());
}

}  // namespace flotilla::test
