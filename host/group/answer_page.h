// Room for many small answers in one allocation.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include "flotilla/bytes.h"

namespace flotilla::group {

constexpr size_t kAnswerPageBytes = 64 << 10;

// Copies answers one behind the other into pages, each kept alive by the answers on it.
//
// Owner:  Applier.
// Thread: its owner's; the Bytes it gives may go anywhere.
// Errors: none.
class AnswerPage {
public:
  Bytes copy(std::string_view bytes) {
    size_t room = (bytes.size() + 7) / 8 * 8;  // each begins on a word
    if (room > kAnswerPageBytes / 4) return Bytes::copyOf(bytes);
    if (room > kAnswerPageBytes - used_ || !page_) {
      page_ = Bytes::allocate(kAnswerPageBytes);
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
  size_t used_ = 0;
};

}  // namespace flotilla::group
