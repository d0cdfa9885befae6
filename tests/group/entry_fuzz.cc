// Fuzz target: a log entry's payload, which a peer or a damaged disk may have made.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "host/group/entry.h"

using namespace flotilla;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  std::string_view payload(reinterpret_cast<const char*>(bytes), size);
  group::EntryGlance glance;
  bool glanced = group::glanceAtEntry(payload, glance).ok();
  static group::DecodedEntry decoded;  // used again and again, as a replica's is
  if (!group::decodeEntry(payload, decoded)) return 0;
  // What is applied must have been let in, as the same thing.
  bool isConfiguration = decoded.kind == group::EntryKind::configuration;
  if (!glanced || glance.timeUs != decoded.timeUs) std::abort();
  if (glance.isConfiguration != isConfiguration) std::abort();
  if (isConfiguration && glance.configuration != decoded.configuration) std::abort();
  [[maybe_unused]] static volatile char seen;  // so that all of it is read
  for (const group::CommandView& command : decoded.commands) {
    for (char byte : command.params) seen = byte;
  }
  return 0;
}
