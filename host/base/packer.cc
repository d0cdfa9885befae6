// Packs bytes by zstd.
#include "host/base/packer.h"

#include <zstd.h>

namespace flotilla::base {
namespace {

// Faster than the first of the usual levels: whoever saves shares the processor with whoever
// serves.
constexpr int kLevel = -3;

}  // namespace

struct Packer::Contexts {
  ZSTD_CCtx* packing = nullptr;
  ZSTD_DCtx* unpacking = nullptr;
  Contexts() = default;
  ~Contexts() {
    ZSTD_freeCCtx(packing);
    ZSTD_freeDCtx(unpacking);
  }
  Contexts(const Contexts&) = delete;
  Contexts& operator=(const Contexts&) = delete;
};

Packer::Packer() : contexts_(std::make_unique<Contexts>()) {}
Packer::~Packer() = default;

bool Packer::pack(std::string_view bytes, std::string& to) {
  if (contexts_->packing == nullptr) contexts_->packing = ZSTD_createCCtx();
  if (contexts_->packing == nullptr) return false;
  to.resize(bytes.size() - bytes.size() / 16);
  size_t size = ZSTD_compressCCtx(contexts_->packing, to.data(), to.size(), bytes.data(),
                                  bytes.size(), kLevel);
  if (ZSTD_isError(size) != 0) return false;  // no room: it would not become smaller
  to.resize(size);
  return true;
}

bool Packer::unpack(std::string_view packed, size_t size, std::string& to) {
  if (contexts_->unpacking == nullptr) contexts_->unpacking = ZSTD_createDCtx();
  if (contexts_->unpacking == nullptr) return false;
  to.resize(size);
  return ZSTD_decompressDCtx(contexts_->unpacking, to.data(), size, packed.data(), packed.size()) ==
         size;
}

}  // namespace flotilla::base
