// Values between JSON and Cap'n Proto, by a schema that is known only at run time.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <capnp/dynamic.h>

#include "admin/json_tree.h"
#include "sdk/flotilla/result.h"

namespace flotilla::admin {

// How Data is printed.
enum class DataForm {
  text,    // a string where it is valid UTF-8, else {"base64":"…"}
  base64,  // always {"base64":"…"}
};

// Fills a struct from a JSON object. A fault's text begins with the path of what does not fit:
// `items[2].count: expected a whole number from 0 to 255, found 256`.
//
// Integers and floats may be numbers or strings of digits and are read exactly; Text must be a
// string; Data a string, for its UTF-8 bytes, or {"base64":"…"}; enums are names; Void is null; a
// group is an object. What is not named keeps its default. Of a union at most one member.
Result<void> fillStruct(capnp::DynamicStruct::Builder out, const JsonTree& object);

// The same from `field=value` pairs as they are typed: text, numbers, names and Data are written
// plainly, everything else as JSON. Data may be any bytes.
Result<void> fillFields(capnp::DynamicStruct::Builder out,
                        const std::vector<std::pair<std::string, std::string>>& fields);

// All fields of a struct, and of a union the member that is set. Pointers to structs that are not
// set are left out; 64-bit integers are numbers, exactly.
nlohmann::ordered_json toJson(capnp::DynamicStruct::Reader value, DataForm form);

std::string toBase64(std::string_view bytes);
// As RFC 4648 has it, with padding; anything else is a fault.
Result<std::string> fromBase64(std::string_view text);

}  // namespace flotilla::admin
