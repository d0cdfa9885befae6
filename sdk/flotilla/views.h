// From Cap'n Proto's Text and Data to the standard library's views, and back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <capnp/blob.h>

namespace flotilla {

// The bytes of a Text, a Data or a string, embedded NULs kept. As long-lived as what is viewed.
inline std::string_view bytes(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}
inline std::string_view bytes(capnp::Data::Reader data) {
  return {reinterpret_cast<const char*>(data.begin()), data.size()};
}
inline std::string_view bytes(std::string_view view) {
  return view;
}

// For a builder's setter of a Data field.
inline capnp::Data::Reader data(std::string_view view) {
  return {reinterpret_cast<const kj::byte*>(view.data()), view.size()};
}

// For a builder's setter of a Text field, which needs the NUL that a std::string has.
inline capnp::Text::Reader text(const std::string& string) {
  return {string.c_str(), string.size()};
}

}  // namespace flotilla
