// The groups that the bench calls, made where they are missing.
#pragma once

#include <kj/async-io.h>

#include "sdk/client/client.h"
#include "tests/bench/options.h"

namespace flotilla::bench {

// Makes those of bench-1 … bench-N that are not there, of plugin kv, which is pushed first where
// the cluster has none; gives how many. Rejected with a fault's text.
kj::Promise<uint32_t> ensureGroups(client::Client& client, const Options& options);

}  // namespace flotilla::bench
