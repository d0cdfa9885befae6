// Whether one plugin can take another one's place before its clients.
#pragma once

#include "flotilla/result.h"
#include "schemas/client.capnp.h"

namespace flotilla::plugin {

// By Cap'n Proto's rules: methods and fields may be added, or, on the way back, be gone; what both
// have must mean the same. A method must not turn from command to query or back. `badRequest` says
// what does not fit.
Result<void> interfacesFit(schema::PluginDescription::Reader before,
                           schema::PluginDescription::Reader after);

}  // namespace flotilla::plugin
