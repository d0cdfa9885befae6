// How jemalloc serves a process that is linked with it.
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <jemalloc/jemalloc.h>

// Entries' payloads, frames and LevelDB's blocks are of 16 to 300 KiB and live for milliseconds.
// By jemalloc's own settings those beyond 32 KiB come from and go back to the pages, and a put
// costs 0.36 page faults; kept by their thread 0.14. Freed pages stay for jemalloc's usual ten
// seconds, for the buffer of a journal goes every few and the next one takes its place. Messages of
// a thousand groups are made and freed by the thousand, so a thread keeps eight slabs of a size, at
// most a thousand pieces. Values of machines are many and of one size: pieces of 1, 2 and 4 KiB
// come from slabs of 32 KiB and not of a page each, whose descriptions were 17 MiB for 512 MiB of
// state.
extern "C" __attribute__((visibility("default"))) const char* malloc_conf;
const char* malloc_conf =
    "lg_tcache_max:20,background_thread:true,max_background_threads:1,"
    "slab_sizes:1024-1024:8|2048-2048:8|4096-4096:8,oversize_threshold:0,"
    "tcache_nslots_small_max:1000,lg_tcache_nslots_mul:3";

// Cap'n Proto asks for the segments of a message with calloc, a third of a MiB for a frame. Where
// jemalloc has no piece of that size at hand it clears one by giving its pages back to the kernel,
// and each is faulted in anew: half of all page faults of 1,000 busy groups. Pieces of up to
// kClearedBytesMax are cleared by hand instead. Larger ones are as before, for they may stay mostly
// untouched.
extern "C" __attribute__((visibility("default"))) void* calloc(size_t count, size_t size) noexcept {
  constexpr size_t kClearedBytesMax = 4 << 20;
  size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) {
    errno = ENOMEM;
    return nullptr;
  }
  if (bytes == 0) bytes = 1;
  bool byHand = bytes <= kClearedBytesMax;
  void* piece = mallocx(bytes, byHand ? 0 : MALLOCX_ZERO);
  if (piece == nullptr) {
    errno = ENOMEM;
  } else if (byHand) {
    std::memset(piece, 0, bytes);
  }
  return piece;
}
