// A child process whose words are read until it ends, or until time is up.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "flotilla/result.h"

namespace flotilla::plugin {

// How a child ended, and what it wrote.
struct ChildEnd {
  bool timedOut = false;  // then it was killed, with its process group
  int exitCode = -1;      // -1: a signal ended it
  int signal = 0;
  std::string out;
  std::string err;
};

constexpr size_t kChildBytesMax = size_t{4} << 20;  // of each stream; the rest is dropped

// Reads `outFd` and `errFd` (-1: none) until both end, then waits for the child; closes them.
ChildEnd awaitChild(pid_t child, int outFd, int errFd, int timeoutMs);

// Starts a program in a process group of its own, with nothing open but its three streams, and
// awaits it. `io` where it cannot be started.
Result<ChildEnd> runChild(const std::vector<std::string>& command, int timeoutMs);

// "SIGSEGV" for 11.
std::string signalName(int signal);

}  // namespace flotilla::plugin
