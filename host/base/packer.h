// Packs bytes by zstd, and unpacks them.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace flotilla::base {

// Keeps zstd's working memory from one call to the next: a MiB or two, made when first needed.
//
// Owner:  anyone.
// Thread: one at a time.
// Errors: false.
class Packer {
public:
  Packer();
  ~Packer();
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;

  // False where packing does not make them smaller by a sixteenth; `to` is then worth nothing.
  bool pack(std::string_view bytes, std::string& to);
  // False where they are not the packed form of exactly `size` bytes.
  bool unpack(std::string_view packed, size_t size, std::string& to);

private:
  struct Contexts;
  std::unique_ptr<Contexts> contexts_;
};

}  // namespace flotilla::base
