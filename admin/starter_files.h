// The folder that `flotilla plugin new` begins with.
#pragma once

#include <string_view>
#include <vector>

namespace flotilla::admin {

// A file of examples/starter as it was when this program was configured. In its name and its text
// stand `starter`, `Starter` and a schema id.
struct StarterFile {
  std::string_view name;
  std::string_view text;
};

std::vector<StarterFile> starterFiles();

}  // namespace flotilla::admin
