// Three replicas whose machines are compared.
#pragma once

#include <string>

#include <doctest/doctest.h>

#include "tests/group/trio.h"

namespace flotilla::test {

inline group::GroupOptions checksEvery(uint64_t entries) {
  group::GroupOptions options;
  options.digestEveryEntries = entries;
  options.digestEveryUs = 0;
  options.snapshotEveryEntries = 0;
  return options;
}

inline void putMany(Trio& trio, raft::ReplicaId leader, int count,
                    const std::string& prefix = "k") {
  for (int i = 0; i < count; ++i) {
    REQUIRE(
        trio.run(leader, mapCall(0, prefix + std::to_string(i) + "=" + std::to_string(i))).ok());
  }
}

inline raft::ReplicaId otherThan(raft::ReplicaId one) {
  return one == 1 ? 2 : 1;
}

inline size_t quarantined(Trio& trio) {
  size_t count = 0;
  for (auto& seat : trio.seats) {
    if (seat->group && seat->group->soundness() == group::Soundness::quarantined) ++count;
  }
  return count;
}

}  // namespace flotilla::test
