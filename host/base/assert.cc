// What must hold or the process has a bug.
#include "host/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace flotilla::base {

void assertFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "flotilla: %s:%d: this must hold and does not: %s\n", file, line, condition);
  std::abort();
}

}  // namespace flotilla::base
