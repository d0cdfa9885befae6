// Runs the real `flotilla`, as a shell would.
#pragma once

#include <string>
#include <vector>

#include <kj/async-io.h>

namespace flotilla::test {

struct Ran {
  int exit = -1;
  std::string out;
  std::string err;
};

// Runs it to its end with `input` on its standard input, while `io`'s loop goes on. HOME and the
// working directory are an empty folder, FLOTILLA_* are not set.
Ran runFlotilla(kj::AsyncIoContext& io, const std::vector<std::string>& words,
                const std::string& input = "");
Ran runFlotilla(const std::vector<std::string>& words, const std::string& input = "");

// A folder of this test program's own, removed at its end.
const std::string& scratch();

// The program that is tested, as built.
std::string flotillaProgram();

}  // namespace flotilla::test
