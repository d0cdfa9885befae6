// For tests that use no framework.
#pragma once

#include <source_location>
#include <stdexcept>
#include <string>

namespace flotilla::testing {

// Ends the test, with file and line, where `holds` is false.
inline void expect(bool holds, std::source_location place = std::source_location::current()) {
  if (holds) return;
  throw std::logic_error(std::string(place.file_name()) + ":" + std::to_string(place.line()) +
                         ": does not hold");
}

}  // namespace flotilla::testing
