// Faults as the text of a failed call: `flotilla/<code>[/<author's code>]: <text>`.
#pragma once

#include <string>
#include <string_view>

#include <kj/exception.h>

#include "flotilla/result.h"
#include "schemas/types.capnp.h"

namespace flotilla::client {

// The code that the schema spells so; ErrorCode::unknown for a word this build has not heard of.
ErrorCode codeNamed(std::string_view name);

// `flotilla/<code>[/<author's code>]: <text>`.
std::string faultText(const Fault& fault);

// The opposite. Whatever stands before `flotilla/` ("remote exception: ") is passed over. A text of
// another form gives ErrorCode::unknown with that text.
Fault parseFault(std::string_view text);

// What a failed call says. An exception that carries no fault of ours is `overloaded` where its
// type is that, `noSuchMethod` where nobody implements it, else `unknown`, for a request may have
// been carried out although its connection broke.
Fault faultOf(const kj::Exception& exception);
kj::Exception exceptionOf(const Fault& fault);

// True where the exception carries a fault of ours, and not merely its own words.
bool carriesFault(const kj::Exception& exception);

Fault faultOf(schema::Fault::Reader fault);

}  // namespace flotilla::client
