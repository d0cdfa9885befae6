// What a group's creator said to its machine.
#pragma once

#include <charconv>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "flotilla/error.h"

namespace flotilla {

// The group's configuration, key=value. A machine that wants it has a constructor that takes a
// `const Config&` and asks for every key it knows; a key that it has not asked for is refused.
//
// Owner:  the SDK; dies with the constructor call.
// Thread: the constructor's.
// Errors: throws Error `badConfig`, which refuses the group.
class Config {
public:
  void add(std::string key, std::string value) {
    values_.insert_or_assign(std::move(key), std::move(value));
  }

  // Null where it was not given; known from now on either way.
  const std::string* given(const std::string& key) const {
    asked_.insert(key);
    auto it = values_.find(key);
    return it == values_.end() ? nullptr : &it->second;
  }
  std::string text(const std::string& key, std::string fallback) const {
    asked_.insert(key);
    auto it = values_.find(key);
    return it == values_.end() ? std::move(fallback) : it->second;
  }

  struct Range {
    uint64_t min = 0;
    uint64_t max = UINT64_MAX;
  };
  uint64_t number(const std::string& key, uint64_t fallback, Range range) const {
    std::string value = text(key, std::to_string(fallback));
    uint64_t number = 0;
    auto [end, fault] = std::from_chars(value.data(), value.data() + value.size(), number);
    bool whole = fault == std::errc() && end == value.data() + value.size();
    if (!whole || number < range.min || number > range.max) {
      throw Error("badConfig", "config " + key + " \"" + value + "\": needs a whole number from " +
                                   std::to_string(range.min) + " to " + std::to_string(range.max));
    }
    return number;
  }

  // Throws where a key was given that nobody has asked for.
  void refuseUnknown() const {
    for (const auto& [key, value] : values_) {
      if (asked_.count(key) > 0) continue;
      std::string known;
      for (const std::string& one : asked_) known += (known.empty() ? "" : ", ") + one;
      throw Error("badConfig", "config " + key + ": no such key; this plugin knows " +
                                   (known.empty() ? "none" : known));
    }
  }

private:
  std::map<std::string, std::string> values_;
  mutable std::set<std::string> asked_;
};

}  // namespace flotilla
