// Other programs of Flotilla, and how they are run.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "sdk/flotilla/result.h"

namespace flotilla::admin {

// A program of ours, which lies beside this one; a fault says where it was looked for.
Result<std::string> programBeside(const std::string& name);

// Runs a program to its end with our own output; answers its exit code, or a fault where it could
// not be started or was killed by a signal.
Result<int> runProgram(const std::vector<std::string>& words);

// The same with what it prints kept; `output` gets both streams.
Result<int> runQuietly(const std::vector<std::string>& words, std::string& output);

// Starts a program in a session of its own, its output added to `logFile`; answers its pid. It
// outlives us.
Result<pid_t> startDetached(const std::vector<std::string>& words, const std::string& logFile);

// True while that process lives and runs `program` with `argument` among its words: a pid alone may
// long be somebody else's.
bool runs(pid_t pid, const std::string& program, const std::string& argument);

}  // namespace flotilla::admin
