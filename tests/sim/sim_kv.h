// What a simulated group runs: the kv plugin's machine, and the alarms of timer tests.
#pragma once

#include "flotilla/abi.h"

namespace flotilla::sim {

// Of one machine that is both, over the C boundary as every plugin's.
const flotilla_descriptor* simDescriptor();
// The same with its state on disk.
const flotilla_descriptor* simDiskDescriptor();

}  // namespace flotilla::sim
