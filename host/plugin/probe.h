// A first look at a plugin, in a process that may die of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flotilla/result.h"
#include "host/plugin/check.h"
#include "host/plugin/machine.h"

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
// makes a machine (of `settings`, where they are given), takes it through an empty snapshot. Prints
// what the plugin is on stdout, or one line on stderr, and gives the exit code: 0 fit, 1 unfit, 2
// no such file.
int checkPluginMain(const std::string& file, bool json, const Trial& trial = {});

// KEY=VALUE, as a checker's command line has it; nothing where there is no key.
std::optional<Settings::value_type> settingFrom(const std::string& text);

// Has `checker` (flotilla-host, or flotilla-plugin-check) do that and reads what it says. A file
// that is unfit, crashes or hangs is badRequest with the checker's line; so is one whose machine
// does not bear the trial. Blocks for up to `timeoutMs`.
Result<PluginFacts> probe(const std::string& checker, const std::string& file, int timeoutMs,
                          const Trial& trial = {});

}  // namespace flotilla::plugin
