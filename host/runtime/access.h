// What a token opens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flotilla::runtime {

struct Access {
  enum class Role : uint8_t { client, operatorRole, peer };
  Role role = Role::client;
  std::vector<std::string> groups;  // a client's patterns: names, a trailing * stands for any rest

  // Operators and peers may use every group.
  bool mayUse(std::string_view group) const {
    if (role != Role::client) return true;
    for (const std::string& pattern : groups) {
      bool prefix = !pattern.empty() && pattern.back() == '*';
      std::string_view fixed(pattern.data(), pattern.size() - (prefix ? 1 : 0));
      if (prefix ? group.substr(0, fixed.size()) == fixed : group == fixed) return true;
    }
    return false;
  }
};

}  // namespace flotilla::runtime
