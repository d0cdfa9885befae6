// The door between Faults, as values, and what they are on the wire.
#pragma once

#include <string_view>

#include <kj/exception.h>

#include "flotilla/result.h"
#include "host/runtime/router.h"
#include "schemas/types.capnp.h"

namespace flotilla::api {

// `flotilla/<code>[/<author's code>]: <text>`; OVERLOADED for overloaded, UNIMPLEMENTED for
// noSuchMethod, FAILED for the rest.
kj::Exception exceptionOf(const Fault& fault);
inline kj::Exception exceptionOf(ErrorCode code, std::string text) {
  return exceptionOf(Fault{code, std::move(text), ""});
}

// The fault that such an exception carries, also after a trip over the wire. Any other one is
// `unavailable` where a connection died, and `unknown` with its own words otherwise.
Fault faultOf(const kj::Exception& exception);

// What an outcome that is not ok() says. An answer of the catalog's machine spells the ErrorCode it
// stands for as its author's code: `ofCatalog` turns it back into that.
Fault faultOf(const group::Outcome& outcome);
Fault faultOfCatalog(const group::Outcome& outcome);

void write(const Fault& fault, schema::Fault::Builder to);
Fault read(schema::Fault::Reader from);

}  // namespace flotilla::api
