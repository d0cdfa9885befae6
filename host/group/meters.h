// What groups count as they work.
#pragma once

#include <cstdint>

#include "host/base/buckets.h"

namespace flotilla::group {

// Plain counters, of one group or of many together; they only rise. Latencies are taken an entry,
// by the leader that was given it: one look at the clock serves all its commands.
//
// Thread: the groups' loop.
// Errors: none.
struct Meters {
  uint64_t commands = 0;    // that went into an entry here
  uint64_t queries = 0;     // that were taken
  uint64_t overMemory = 0;  // calls that a quota has refused
  uint64_t overTime = 0;
  uint64_t overRate = 0;
  base::Buckets entryCommands;  // of each entry
  base::Buckets commitUs;       // from a command's entry made to that entry committed
  base::Buckets applyUs;        // and to its being applied here

  Meters& operator+=(const Meters& other) {
    commands += other.commands;
    queries += other.queries;
    overMemory += other.overMemory;
    overTime += other.overTime;
    overRate += other.overRate;
    entryCommands += other.entryCommands;
    commitUs += other.commitUs;
    applyUs += other.applyUs;
    return *this;
  }
};

// A moment, and what it is counted in; null: in nothing.
struct Metering {
  Meters* meters = nullptr;
  int64_t nowUs = 0;
};

}  // namespace flotilla::group
