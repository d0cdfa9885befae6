// Room for many small answers in one allocation.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include "flotilla/bytes.h"

namespace flotilla::group {

constexpr size_t kAnswerPageBytesMin = 512;
constexpr size_t kAnswerPageBytesMax = 64 << 10;

// Copies answers one behind the other into pages, each kept alive by the answers on it. The first
// page is small, for a batch may be one answer; those after it are ever larger.
//
// Owner:  Applier.
// Thread: its owner's; the Bytes it gives may go anywhere.
// Errors: none.
class AnswerPage {
public:
  Bytes copy(std::string_view bytes) {
    size_t room = (bytes.size() + 7) / 8 * 8;  // each begins on a word
    if (room > kAnswerPageBytesMax / 4) return Bytes::copyOf(bytes);
    if (!page_ || room > size_ - used_) {
      size_ = page_ ? std::min(size_ * 4, kAnswerPageBytesMax) : kAnswerPageBytesMin;
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

}  // namespace flotilla::group
