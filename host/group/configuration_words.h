// A configuration in Cap'n Proto words, as entries, group states and snapshots carry it.
#pragma once

#include "host/raft/types.h"
#include "schemas/peer.capnp.h"

namespace flotilla::group {

// The words that `write` needs beside the struct itself: its four lists.
uint64_t listWordsOf(const raft::Configuration& configuration);
void writeConfiguration(const raft::Configuration& from, schema::Configuration::Builder to);
// False where a list is longer than kConfigurationMembersMax.
bool readConfiguration(schema::Configuration::Reader from, raft::Configuration& to);

}  // namespace flotilla::group
