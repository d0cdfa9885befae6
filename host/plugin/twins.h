// Whether two replicas of a machine would come to the same.
#pragma once

#include <cstdint>
#include <string>

#include "flotilla/result.h"
#include "host/plugin/machine.h"

namespace flotilla::plugin {

struct TwinSetup {
  std::string program;  // one that plays twin parts: flotilla-plugin-check
  std::string file;
  uint64_t seed = 1;
  uint64_t calls = 2000;
  Settings settings;
  int timeoutMs = 60'000;  // of each process
};

struct TwinFacts {
  uint64_t calls = 0;
  uint64_t restores = 0;
  bool digests = false;  // the machine has one, and they were compared
};

// Makes up calls by the plugin's schema and carries them out twice: in one process from beginning
// to end, one call at a time; and in a row of processes whose memory is laid out otherwise, in
// runs, each of which begins with the snapshot that the one before has saved. Answers and digests
// must be equal. badRequest with one line that names the call, what was found and what to do. To be
// called for a file that checkHere has found fit; blocks until it is done.
Result<TwinFacts> compareTwins(const TwinSetup& setup);

}  // namespace flotilla::plugin
