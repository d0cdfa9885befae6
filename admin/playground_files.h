// What a playground's folder is filled with.
#pragma once

#include <string>

#include "admin/playground_place.h"

namespace flotilla::admin {

// Makes the folder, its secrets (random, readable by us alone) and each host's config.toml. Refuses
// a folder that holds other things.
Result<void> makePlayground(const PlaygroundPlace& place);

// host.toml of one of its hosts.
std::string configOf(const PlaygroundPlace& place, uint64_t host);

// True once that host has been started for the first time.
bool hasBegun(const PlaygroundPlace& place, uint64_t host);

// The last line of its log, for those who ask why it is not there.
std::string lastLogLine(const PlaygroundPlace& place, uint64_t host);

}  // namespace flotilla::admin
