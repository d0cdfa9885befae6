// What flotilla-bench is asked for.
#pragma once

#include <cstdint>
#include <string>

#include "admin/command.h"

namespace flotilla::bench {

struct Options {
  admin::Options cluster;  // --connect, --token, --json
  uint32_t groups = 1;
  std::string name = "bench";  // of the groups: NAME-1 and so on
  uint32_t valueBytes = 128;
  uint32_t inFlight = 1000;
  uint32_t connections = 1;
  double seconds = 10;
  double warmupSeconds = 1;  // before what is measured
  uint32_t keys = 100'000;   // over all groups
  uint64_t rate = 0;         // calls a second; 0: closed loop
  bool stay = false;         // closed loop: who is answered asks the same group again
  std::string op = "put";    // put, get, mixed
  std::string road = "sdk";  // sdk, raw
  bool typed = false;        // sdk: through the generated client, a promise a call
  uint32_t replicas = 3;     // of groups that are made

  std::string groupName(uint32_t group) const { return name + "-" + std::to_string(group + 1); }
  uint32_t keysEach() const { return keys / groups == 0 ? 1 : keys / groups; }
};

}  // namespace flotilla::bench
