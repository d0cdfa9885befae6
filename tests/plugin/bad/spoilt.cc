// Spoils one member of a sound descriptor: BAD_CHANGE is a statement that the build chooses.
#include <cstddef>
#include <flotilla/abi.h>

extern const uint64_t kIdOfAStruct;

namespace {

[[maybe_unused]] uint64_t ownAddress(const void* machine) {
  return reinterpret_cast<uintptr_t>(machine);
}
[[maybe_unused]] void* noCapture(void*, const flotilla_reason*) {
  return nullptr;
}
[[maybe_unused]] int saysNothing(const void*, const flotilla_writer*, const flotilla_reason*) {
  return 0;
}

}  // namespace

extern "C" void spoil(flotilla_descriptor* descriptor, flotilla_method* rows);
extern "C" void spoil(flotilla_descriptor* descriptor, [[maybe_unused]] flotilla_method* rows) {
  flotilla_descriptor& d = *descriptor;
  d.name = FLOTILLA_PLUGIN_NAME;
  BAD_CHANGE;
}
