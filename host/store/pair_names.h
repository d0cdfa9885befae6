// Names of two numbers: "<group>-<replica>" for directories, "<index>-<term>.snap" for files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flotilla/result.h"
#include "host/group/ports.h"

namespace flotilla::store {

std::string pairName(uint64_t first, uint64_t second);
// Nothing where the name is no such one with that suffix.
std::optional<std::pair<uint64_t, uint64_t>> parsePair(std::string_view name,
                                                       std::string_view suffix);
// Of which replicas something lies in there; other names are passed over.
Result<std::vector<group::ReplicaKey>> replicasIn(const std::string& directory);

}  // namespace flotilla::store
