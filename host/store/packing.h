// Numbers in and out of bytes, little-endian, as every record of this folder lies on disk.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace flotilla::store {

static_assert(std::endian::native ==
              std::endian::little);  // so that numbers are copied as they are

inline void putFixed32(std::string& to, uint32_t value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}
inline void putFixed64(std::string& to, uint64_t value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Puts numbers one after the other into room that is enough for them. A frame has some for each of
// its groups, and a string that grows by a number at a time takes four times as long.
//
// Owner:  anyone; the room must outlive it.
// Thread: one at a time.
// Errors: none.
class Packer {
public:
  explicit Packer(char* room) : at_(room) {}

  void fixed32(uint32_t value) { fixed(&value, sizeof value); }
  void fixed64(uint64_t value) { fixed(&value, sizeof value); }
  void varint(uint64_t value) {  // of up to ten bytes
    for (; value >= 0x80; value >>= 7) *at_++ = static_cast<char>(value | 0x80);
    *at_++ = static_cast<char>(value);
  }
  const char* at() const { return at_; }

private:
  void fixed(const void* value, size_t size) {
    std::memcpy(at_, value, size);
    at_ += size;
  }

  char* at_;
};

// Takes numbers off the front of bytes that may be cut or wrong: past the end it gives zeros, and
// good() says so.
//
// Owner:  anyone; the bytes must outlive it.
// Thread: one at a time.
// Errors: by good().
class Unpacker {
public:
  explicit Unpacker(std::string_view bytes) : left_(bytes) {}

  uint32_t fixed32() { return static_cast<uint32_t>(fixed(4)); }
  uint64_t fixed64() { return fixed(8); }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (left_.empty()) break;
      auto byte = static_cast<uint8_t>(left_.front());
      left_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    good_ = false;
    return 0;
  }
  // For a list whose members take at least one byte each: never more than there are bytes left.
  uint64_t count() {
    uint64_t value = varint();
    if (value <= left_.size()) return value;
    good_ = false;
    return 0;
  }
  std::string_view rest() const { return left_; }
  bool good() const { return good_; }
  bool finished() const { return good_ && left_.empty(); }

private:
  uint64_t fixed(size_t size) {
    if (left_.size() < size) {
      good_ = false;
      left_ = {};
      return 0;
    }
    uint64_t value = 0;
    std::memcpy(&value, left_.data(), size);
    left_.remove_prefix(size);
    return value;
  }

  std::string_view left_;
  bool good_ = true;
};

}  // namespace flotilla::store
