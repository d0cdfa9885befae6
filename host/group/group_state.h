// What the host replicates beside the machine: the applier's, durable at the machine's index.
#pragma once

#include <cstdint>
#include <string_view>

#include "flotilla/bytes.h"
#include "flotilla/result.h"
#include "host/group/sessions.h"
#include "host/group/timers.h"
#include "host/raft/types.h"

namespace flotilla::group {

// Owner:  Applier.
// Thread: the applier's.
// Errors: none but those of `decode`.
struct GroupState {
  raft::LogPoint at;                    // the last entry applied
  int64_t timeUs = 0;                   // log time there
  raft::ConfigurationAt configuration;  // the last one applied
  Sessions sessions;
  Timers timers;

  // schemas/log.capnp GroupState, as a message with its segment table.
  Bytes encode() const;
  // A Fault `corrupt` where the bytes are no group state.
  Result<void> decode(const Bytes& from);
};

}  // namespace flotilla::group
