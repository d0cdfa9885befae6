// A new plugin's folder.
#pragma once

#include <string>
#include <vector>

#include "sdk/flotilla/result.h"

namespace flotilla::admin {

// Why a plugin cannot be called so; it names a CMake target, a file and an interface as well.
Result<void> checkNewPluginName(const std::string& name);

// `red-apples` as an interface: RedApples.
std::string interfaceNameOf(const std::string& plugin);

// Makes the folder, which must not be there yet, and writes a plugin that builds and passes its own
// test against the installed SDK. Answers the files' paths.
Result<std::vector<std::string>> writeNewPlugin(const std::string& name, const std::string& folder);

}  // namespace flotilla::admin
