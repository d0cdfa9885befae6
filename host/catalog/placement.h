// Which hosts get a new group's replicas.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "host/catalog/view.h"

namespace flotilla::catalog {

// What a host carries already, by what is wanted of it.
struct HostLoad {
  uint32_t replicas = 0;
  uint32_t leaders = 0;  // groups that prefer it as their leader
};

// The replicas of a new group, voters first, the preferred leader before all: as many replicas and
// as many leaders for each host as for any other, the lowest id where several would do. `spec` has
// passed checkSpec. A pure function: equal on every host.
//
// Errors: badRequest for an unknown host, and for more replicas than hosts.
Result<std::vector<ReplicaRecord>> place(const SpecRecord& spec,
                                         const std::map<uint64_t, HostLoad>& hosts);

}  // namespace flotilla::catalog
