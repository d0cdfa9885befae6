// What a shared object takes from the system that no machine may use.
#pragma once

#include <string>
#include <vector>

#include "flotilla/result.h"

namespace flotilla::plugin {

struct ForeignImport {
  std::string symbol;  // as it is linked
  std::string text;    // what it is, and what to use instead
};

// Clocks, random devices, threads, processes, files, sockets and the environment, as far as the
// object's dynamic symbols name them, in their order there. Nothing is loaded. badRequest, without
// the file's name, where it is no 64-bit ELF object or contradicts itself.
Result<std::vector<ForeignImport>> foreignImports(const std::string& file);

}  // namespace flotilla::plugin
