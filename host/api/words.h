// Flat words: one Cap'n Proto segment, root pointer first, no segment table.
#pragma once

#include <string_view>

#include <capnp/any.h>

#include "flotilla/bytes.h"
#include "flotilla/result.h"

namespace flotilla::api {

// Of one call, and of a batch of them: at another host a call arrives as a batch of one.
inline constexpr uint64_t kParamsBytesMax = 4 << 20;

// A copy of whatever `from` points to, as flat words. `badRequest` where it holds a capability:
// there would be nothing behind it on another host; `tooLarge` past kParamsBytesMax.
Result<Bytes> flatten(capnp::AnyPointer::Reader from);

inline std::string_view viewOf(capnp::Data::Reader bytes) {
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}
inline std::string_view viewOf(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}
inline capnp::Data::Reader dataOf(std::string_view view) {
  return {reinterpret_cast<const kj::byte*>(view.data()), view.size()};
}

}  // namespace flotilla::api
