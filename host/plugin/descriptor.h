// Whether what a plugin says of itself can be relied upon.
#pragma once

#include <string>
#include <vector>

#include "flotilla/abi.h"
#include "flotilla/result.h"
#include "schemas/client.capnp.h"

namespace flotilla::plugin {

// Refuses, with badRequest, a descriptor of another ABI, another Cap'n Proto or another C++
// library, one whose method table and schema do not fit, and methods that cannot be replicated:
// capabilities, AnyPointer, generics, streams. `who` names the plugin in the text, "plugin kv.so".
Result<void> checkDescriptor(const std::string& who, const flotilla_descriptor* descriptor);

// FLOTILLA_FREES and such; none of a row from before there were any.
uint64_t flagsOf(const flotilla_method& row);

// Null where the machine cannot be frozen.
decltype(flotilla_descriptor::freeze) freezeOf(const flotilla_descriptor& descriptor);

// The method table, whatever stride its rows have.
std::vector<flotilla_method> methodRows(const flotilla_descriptor& descriptor);

// Whether its machines keep their state in a storage.
bool isOnDisk(const flotilla_descriptor& descriptor);

// What clients are told. `descriptor` must have passed checkDescriptor.
void describe(const flotilla_descriptor& descriptor, const std::string& sha256,
              schema::PluginDescription::Builder out);

}  // namespace flotilla::plugin
