// Memory that is about to be used.
#pragma once

#include <cstddef>

namespace flotilla::base {

// Asks for all cache lines of some memory, without waiting for them.
//
// Owner:  none.
// Thread: any.
// Errors: none; any address may be named.
inline void prefetch(const void* at, std::size_t bytes) {
  constexpr std::size_t kLine = 64;
  const char* first = static_cast<const char*>(at);
  for (std::size_t i = 0; i < bytes; i += kLine) __builtin_prefetch(first + i);
}

template <typename Object>
void prefetch(const Object& object) {
  prefetch(&object, sizeof(Object));
}

}  // namespace flotilla::base
