// Packs bytes by zstd.
#include "host/base/packer.h"

#include <memory>
#include <zstd.h>

namespace flotilla::base {
namespace {

// Faster than the first of the usual levels: whoever saves shares the processor with whoever
// serves.
constexpr int kLevel = -3;

}  // namespace

bool pack(std::string_view bytes, std::string& to) {
  thread_local std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context(nullptr, ZSTD_freeCCtx);
  if (context == nullptr) context.reset(ZSTD_createCCtx());
  if (context == nullptr) return false;
  to.resize(bytes.size() - bytes.size() / 16);
  size_t size =
      ZSTD_compressCCtx(context.get(), to.data(), to.size(), bytes.data(), bytes.size(), kLevel);
  if (ZSTD_isError(size) != 0) return false;  // no room: it would not become smaller
  to.resize(size);
  return true;
}

bool unpack(std::string_view packed, size_t size, std::string& to) {
  thread_local std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(nullptr, ZSTD_freeDCtx);
  if (context == nullptr) context.reset(ZSTD_createDCtx());
  if (context == nullptr) return false;
  to.resize(size);
  return ZSTD_decompressDCtx(context.get(), to.data(), size, packed.data(), packed.size()) == size;
}

}  // namespace flotilla::base
