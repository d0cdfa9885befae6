// Memory that is about to be used.
#pragma once

#include <cstddef>
#include <cstdint>

namespace flotilla::base {

// Asks for the cache line at an address, without waiting for it.
//
// Owner:  none.
// Thread: any.
// Errors: none; any address may be named.
inline void prefetchLine(const void* at) {
  // gcc 12 takes a function that does nothing but prefetch for one without effect, and leaves out
  // the calls of it that it does not inline. It must not think so of this one's callers.
  asm volatile("" : : "r"(at));
  __builtin_prefetch(at);
}

// All lines of some memory; as above.
inline void prefetch(const void* at, std::size_t bytes) {
  constexpr std::size_t kLine = 64;
  const char* first = static_cast<const char*>(at);
  std::size_t before = reinterpret_cast<std::uintptr_t>(at) % kLine;  // in its first line
  for (std::size_t i = 0; i < before + bytes; i += kLine) prefetchLine(first + i);
}

// The lines from one address to before another.
inline void prefetchSpan(const void* from, const void* to) {
  auto bytes = static_cast<const char*>(to) - static_cast<const char*>(from);
  prefetch(from, static_cast<std::size_t>(bytes));
}

template <typename Object>
void prefetch(const Object& object) {
  prefetch(&object, sizeof(Object));
}

}  // namespace flotilla::base
