// JSON as it was written: numbers by their digits, fields in order, repeated ones kept.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sdk/flotilla/result.h"

namespace flotilla::admin {

// One JSON value. nlohmann's own tree would lose a repeated field and the digits of a large number,
// both of which have to be refused with a path and not passed over.
struct JsonTree {
  enum class Kind { null, boolean, number, string, list, object };

  Kind kind = Kind::null;
  bool boolean = false;
  std::string text;  // of a string; of a number, as it was written
  std::vector<JsonTree> items;
  std::vector<std::pair<std::string, JsonTree>> fields;

  static JsonTree ofString(std::string text);
};

// At most kJsonDepthMax deep; strings are valid UTF-8.
Result<JsonTree> parseJson(std::string_view text);

// For messages: `5`, `"text"`, `a list`, `an object`.
std::string describe(const JsonTree& tree);

bool isUtf8(std::string_view bytes);

constexpr size_t kJsonDepthMax = 48;

}  // namespace flotilla::admin
