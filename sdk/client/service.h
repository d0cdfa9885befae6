// A group as a capability of its plugin's interface.
#pragma once

#include <capnp/capability.h>

#include "sdk/client/group_client.h"

namespace flotilla::client {

// Any typed client may be made of it (castAs). Each call becomes a command or a query of the group,
// as the plugin declares the method; a fault becomes an exception that faultOf reads.
capnp::Capability::Client newService(kj::Own<GroupClient> group);

}  // namespace flotilla::client
