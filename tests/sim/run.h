// One seed from its first moment to its last.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tests/sim/options.h"
#include "tests/sim/report.h"

namespace flotilla::sim {

struct SeedEnd {
  Report report;
  uint64_t traceHash = 0;
  std::optional<std::string> violation;
};

// A storm with faults, then calm: all must come to rest, be equal everywhere, and fit what clients
// saw. `prints`: the trace goes to stdout.
SeedEnd runSeed(const Options& options, bool prints);

}  // namespace flotilla::sim
