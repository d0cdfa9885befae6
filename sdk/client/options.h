// What a client is told at its start, with the limits it keeps to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace flotilla::client {

struct ClientOptions {
  std::vector<std::string> addresses;  // host:port of one or more hosts; others are learned
  std::string token;                   // the line of a token file

  uint64_t callTimeoutMs = 10'000;    // a call without an answer by then ends with `timeout`
  uint64_t attemptTimeoutMs = 2'500;  // a host that is silent so long is asked no more, another is
  bool sessions = true;               // stamp commands, so that they are retried and run once
  // How long a host is given for commands: what cannot be repeated is waited for to its end.
  uint64_t commandWaitMs() const { return sessions ? attemptTimeoutMs : callTimeoutMs; }

  // A group's commands under way are at most batches × commands; others wait. Queries likewise.
  uint32_t batchesInFlightMax = 4;
  uint32_t batchCommandsMax = 1'024;
  size_t batchBytesMax = 1 << 20;  // of parameters; a batch on the wire is at most 4 MiB
  size_t unansweredMax = 65'536;   // of one group; another call ends with `overloaded`
  size_t unansweredBytesMax = 64 << 20;
};

// The largest parameters that a command may carry: what fits the largest batch with its frame.
constexpr size_t kParamsBytesMax = (4 << 20) - 4096;

}  // namespace flotilla::client
