// What the host replicates beside the machine: the applier's, durable at the machine's index.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "flotilla/bytes.h"
#include "flotilla/result.h"
#include "host/group/events.h"
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
  Events events;
  uint64_t unchecked = 0;  // entries that may have changed something, since the last digest check
  uint64_t answers = 0;    // rolling digest of the machine's answers, since then
  std::string plugin;      // what wrote the machine's section, since a switch; empty: the first
  raft::Index switchedAt = 0;  // by that entry
  bool counted = true;  // both are: false where an older version saved this, up to the next check

  // schemas/log.capnp GroupState, as a message with its segment table.
  Bytes encode(Sessions::Form form) const;
  // A Fault `corrupt` where the bytes are no group state.
  Result<void> decode(const Bytes& from);
  // Equal on all replicas that stand at one entry. Not of `at`, which moves at a request's end, nor
  // of the configuration, which a replica that has not yet captured may not know.
  uint64_t digest() const;

private:
  Bytes encodeWith(const raft::LogPoint& point, const raft::ConfigurationAt& its,
                   Sessions::Form form) const;
};

}  // namespace flotilla::group
