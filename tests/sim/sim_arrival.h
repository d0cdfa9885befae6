// A snapshot on its way to a simulated host: chunk by chunk, broken off, damaged, gone on with.
#pragma once

#include "host/base/prng.h"
#include "host/group/ports.h"
#include "tests/sim/report.h"
#include "tests/sim/sim_disk.h"

namespace flotilla::sim {

// How one attempt ended.
enum class ArrivalEnd : uint8_t { whole, broke, refused };

// What goes wrong on the way, in thousandths for each chunk.
struct ArrivalRisks {
  uint64_t breaks = 0;
  uint64_t damages = 0;
};

// One attempt to bring `file` to the replica's shelf, over what has arrived of it before. What a
// real host does between host/net and the files is done here over strings; what is wanted, checked
// and kept is the shipped collector's to say.
ArrivalEnd arrive(SimDisk& disk, group::ReplicaKey replica, const SimDisk::File& file,
                  const ArrivalRisks& risks, base::Prng& dice, Report& report);

}  // namespace flotilla::sim
