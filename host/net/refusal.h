// Faults as Cap'n Proto exceptions between hosts: "flotilla/<code>: <text>".
#pragma once

#include <string>

#include <kj/exception.h>

#include "flotilla/result.h"

namespace flotilla::net {

// What a call between hosts fails with: OVERLOADED for overloaded, UNIMPLEMENTED for noSuchMethod,
// FAILED for the rest.
kj::Exception refusal(ErrorCode code, const std::string& text);
inline kj::Exception refusal(const Fault& fault) {
  return refusal(fault.code, fault.text);
}

// A dead connection, or one that never came to be: DISCONNECTED, with this reason.
kj::Exception gone(const std::string& reason);

// The fault that such an exception carries, also after a trip over the wire. Any other exception
// is `unavailable` where the connection died and `unknown` otherwise, with its own description.
Fault faultOf(const kj::Exception& exception);

}  // namespace flotilla::net
