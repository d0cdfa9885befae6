// Packs bytes by zstd, and unpacks them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace flotilla::base {

// Thread: any. Each keeps zstd's working memory from its first call on, up to a MiB or two: making
// it asks the processor what it can do, which traps where the machine is a virtual one, and for a
// small snapshot that took longer than the packing.
// Errors: false.

// False where packing does not make them smaller by a sixteenth; `to` is then worth nothing.
bool pack(std::string_view bytes, std::string& to);
// False where they are not the packed form of exactly `size` bytes.
bool unpack(std::string_view packed, size_t size, std::string& to);

}  // namespace flotilla::base
