// Everything that can be found out about a plugin by trying it, in the process that may die of it.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "flotilla/result.h"
#include "host/plugin/machine.h"

namespace flotilla::plugin {

// What a machine must bear beside.
struct Trial {
  // It must be made of these as they are. Nothing, not even an empty list: one that needs some is
  // not made.
  std::optional<Settings> settings;
  std::string
      stateFile;  // what a machine of the plugin before has saved: to be loaded; empty: none
};

// Opens the file, checks its descriptor, makes a machine, takes an empty snapshot and loads it into
// another. `stage` is told, in words that follow "crashed while", what comes next. Gives what the
// plugin is as one JSON object. To be called where a crash or a hang harms nobody.
Result<std::string> checkHere(const std::string& file, const Trial& trial,
                              const std::function<void(const std::string&)>& stage);

}  // namespace flotilla::plugin
