// Room for many small pieces of bytes in one allocation.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include "flotilla/bytes.h"

namespace flotilla {

constexpr size_t kBytePageBytesMin = 512;
constexpr size_t kBytePageBytesMax = 64 << 10;

// Copies answers one behind the other into pages, each kept alive by the answers on it. The first
// page is small, for a batch may be one answer; those after it are ever larger.
//
// Owner:  whoever gathers them.
// Thread: its owner's; the Bytes it gives may go anywhere.
// Errors: none.
class BytePages {
public:
  Bytes copy(std::string_view bytes) {
    size_t room = (bytes.size() + 7) / 8 * 8;  // each begins on a word
    if (room > kBytePageBytesMax / 4) return Bytes::copyOf(bytes);
    if (!page_ || room > size_ - used_) {
      size_ = page_ ? std::min(size_ * 4, kBytePageBytesMax) : kBytePageBytesMin;
      size_ = std::max(size_, room * 4);
      page_ = Bytes::allocate(size_);
      used_ = 0;
    }
    char* to = page_.get() + used_;
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    used_ += room;
    return Bytes(page_, {to, bytes.size()});
  }
  // What comes next begins a page of its own, so that these are let go with their answers.
  void leave() { page_.reset(); }

private:
  std::shared_ptr<char[]> page_;
  size_t size_ = 0;
  size_t used_ = 0;
};

}  // namespace flotilla
