// Fuzz target: host.toml, as somebody may have typed it.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "host/runtime/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  std::string text(reinterpret_cast<const char*>(bytes), size);
  auto config = flotilla::runtime::parseConfig(text, "host.toml");
  // Whatever is wrong is said, and where.
  if (!config && config.fault().text.find("host.toml") == std::string::npos) std::abort();
  return 0;
}
