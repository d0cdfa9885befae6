// A replica's state as it lies in a frame.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "host/group/ports.h"

namespace flotilla::store {

// first index u64, last index u64, version, then varints: hard state, base, term runs (as
// differences), configurations, snapshot, generation. About 40 bytes where a log has one term and
// three voters.
std::string encodeState(const group::ReplicaState& state);

// Nothing where the bytes make no sense.
std::optional<group::ReplicaState> decodeState(std::string_view bytes);

// What is needed of a state to keep the index of its log.
struct StateBounds {
  raft::Index first = 0;
  raft::Index last = 0;  // first - 1: an empty log
};
std::optional<StateBounds> boundsOf(std::string_view bytes);

}  // namespace flotilla::store
