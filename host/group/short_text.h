// A few bytes without an allocation.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace flotilla::group {

// Bytes that lie in place up to kInPlace, as most answers do (a put's is 16), and on the heap where
// there are more.
//
// Owner:  whoever holds it.
// Thread: one at a time.
// Errors: those of allocation.
class ShortText {
public:
  static constexpr size_t kInPlace = 24;

  ShortText() = default;
  ShortText(ShortText&& other) noexcept : size_(std::exchange(other.size_, 0)) { take(other); }
  ShortText& operator=(ShortText&& other) noexcept {
    if (this == &other) return *this;
    clear();
    size_ = std::exchange(other.size_, 0);
    take(other);
    return *this;
  }
  ShortText& operator=(std::string_view bytes) {
    clear();
    char* to = here_;
    if (bytes.size() > kInPlace) {
      to = new char[bytes.size()];
      std::memcpy(here_, &to, sizeof to);
    }
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    size_ = static_cast<uint32_t>(bytes.size());
    return *this;
  }
  ~ShortText() { clear(); }

  size_t size() const { return size_; }
  std::string_view view() const { return {size_ > kInPlace ? there() : here_, size_}; }

private:
  char* there() const {
    char* there = nullptr;
    std::memcpy(&there, here_, sizeof there);
    return there;
  }
  void take(const ShortText& other) { std::memcpy(here_, other.here_, kInPlace); }
  void clear() {
    if (size_ > kInPlace) delete[] there();
    size_ = 0;
  }

  uint32_t size_ = 0;
  char here_[kInPlace] = {};
};

}  // namespace flotilla::group
