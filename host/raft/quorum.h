// What majorities of a configuration agree on.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "host/base/assert.h"
#include "host/raft/membership.h"
#include "host/raft/types.h"

namespace flotilla::raft {

// True where `agrees(replica)` holds for a majority of the voters, and of the outgoing ones of a
// joint configuration. A configuration without voters agrees to nothing.
template <typename Agrees>
bool quorumAgrees(const Configuration& configuration, Agrees agrees) {
  auto majority = [&](const std::vector<ReplicaId>& voters) {
    auto count = std::count_if(voters.begin(), voters.end(), agrees);
    return static_cast<size_t>(count) > voters.size() / 2;
  };
  return majority(configuration.voters) &&
         (!configuration.joint() || majority(configuration.outgoing));
}

// The largest number that `valueOf(replica)` reaches in a quorum; 0 without voters.
template <typename ValueOf>
uint64_t quorumValue(const Configuration& configuration, ValueOf valueOf) {
  auto held = [&](const std::vector<ReplicaId>& voters) -> uint64_t {
    ASSERT(voters.size() <= kMembersMax);
    if (voters.empty()) return 0;
    std::array<uint64_t, kMembersMax> values{};
    std::transform(voters.begin(), voters.end(), values.begin(), valueOf);
    auto last = values.begin() + static_cast<std::ptrdiff_t>(voters.size());
    std::sort(values.begin(), last);
    return values[(voters.size() - 1) / 2];
  };
  uint64_t value = held(configuration.voters);
  return configuration.joint() ? std::min(value, held(configuration.outgoing)) : value;
}

}  // namespace flotilla::raft
