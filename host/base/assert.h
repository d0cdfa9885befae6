// What must hold or the process has a bug.
#pragma once

namespace flotilla::base {

// Prints the condition and where it stands, and aborts. Kept out of line so that ASSERT costs a
// compare and a jump.
[[noreturn]] void assertFailed(const char* condition, const char* file, int line);

}  // namespace flotilla::base

// One condition of our own code, checked in release builds too. Never for what came from outside.
#define ASSERT(condition)                                             \
  do {                                                                \
    if (!(condition)) [[unlikely]] {                                  \
      ::flotilla::base::assertFailed(#condition, __FILE__, __LINE__); \
    }                                                                 \
  } while (false)
