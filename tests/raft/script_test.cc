// Runs every history in tests/raft/scripts.
#include "tests/support/script.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/raft/raft_script.h"

namespace flotilla::test {

TEST_CASE("raft/core: each script's history gives the facts written in it") {
  std::vector<std::string> paths;
  for (const auto& file : std::filesystem::directory_iterator("tests/raft/scripts")) {
    if (file.path().extension() == ".txt") paths.push_back(file.path().string());
  }
  std::sort(paths.begin(), paths.end());
  CHECK(paths.size() >= 30);
  for (const std::string& path : paths) {
    CAPTURE(path);
    RaftScript script;
    runScript(path, [&](const Command& command) { return script.run(command); });
  }
}

}  // namespace flotilla::test
