// A first look at a plugin, in a process that may die of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flotilla/result.h"

namespace flotilla::plugin {

struct PluginFacts {
  struct Method {
    uint64_t interfaceId = 0;
    uint32_t method = 0;
    std::string name;
    bool query = false;
  };
  std::string name;
  std::string version;
  uint64_t interfaceId = 0;
  uint32_t stateVersion = 0;
  std::vector<Method> methods;
};

// What `flotilla-host --check-plugin FILE [--json]` does: opens the file in a child, checks it,
// makes a machine, takes it through an empty snapshot. Prints what the plugin is on stdout, or one
// line on stderr, and gives the exit code: 0 fit, 1 unfit, 2 no such file.
int checkPluginMain(const std::string& file, bool json);

// Has `checker` (flotilla-host, or flotilla-plugin-check) do that and reads what it says. A file
// that is unfit, crashes or hangs is badRequest with the checker's line. Blocks for up to
// `timeoutMs`.
Result<PluginFacts> probe(const std::string& checker, const std::string& file, int timeoutMs);

}  // namespace flotilla::plugin
