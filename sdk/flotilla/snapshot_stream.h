// A snapshot's bytes on their way out of a machine and into one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "flotilla/abi.h"
#include "flotilla/error.h"

namespace flotilla {

// Thrown where the host said stop: it knows why, so there is nothing to say.
struct SnapshotStopped {};

// Appends to a text that outlives it.
inline flotilla_writer writerTo(std::string& bytes) {
  return {sizeof(flotilla_writer), &bytes, [](void* to, flotilla_bytes piece) {
            static_cast<std::string*>(to)->append(static_cast<const char*>(piece.start),
                                                  piece.size);
            return 0;
          }};
}

// Takes what it gives away from the front of `left`, which outlives it.
inline flotilla_reader readerOf(std::string_view& left) {
  return {sizeof(flotilla_reader), &left, [](void* from, void* to, uint64_t room) {
            auto& rest = *static_cast<std::string_view*>(from);
            size_t part = rest.copy(static_cast<char*>(to), room);
            rest.remove_prefix(part);
            return static_cast<int64_t>(part);
          }};
}

// Gathers small pieces and hands them to the host in large ones.
//
// Thread: one at a time.
// Errors: throws SnapshotStopped where the host takes no more.
class SnapshotWriter {
public:
  static constexpr size_t kPieceBytes = 64 * 1024;

  explicit SnapshotWriter(const flotilla_writer& writer) : writer_(writer) {
    piece_.reserve(kPieceBytes);
  }

  void write(std::string_view bytes) {
    if (piece_.size() + bytes.size() > kPieceBytes) flush();
    if (bytes.size() >= kPieceBytes) return send(bytes);
    piece_.append(bytes);
  }
  // Raw bytes, little-endian as this machine has them.
  template <typename T>
  requires std::is_trivially_copyable_v<T>
  void number(T value) { write({reinterpret_cast<const char*>(&value), sizeof value}); }
  // Length and bytes.
  void string(std::string_view bytes) {
    number<uint64_t>(bytes.size());
    write(bytes);
  }
  // To be called once, at the end.
  void flush() {
    if (!piece_.empty()) send(piece_);
    piece_.clear();
  }

private:
  void send(std::string_view bytes) {
    if (writer_.write(writer_.context, {bytes.data(), bytes.size()}) != 0) throw SnapshotStopped();
  }

  const flotilla_writer& writer_;
  std::string piece_;
};

// The reverse of SnapshotWriter.
//
// Thread: one at a time.
// Errors: throws Error `snapshotDamaged` where the bytes end early or a length cannot be right, and
//         SnapshotStopped where the host gives no more.
class SnapshotReader {
public:
  static constexpr size_t kPieceBytes = 64 * 1024;
  static constexpr uint64_t kStringBytesMax = uint64_t{1} << 30;

  explicit SnapshotReader(const flotilla_reader& reader) : reader_(reader), piece_(kPieceBytes) {}

  void read(char* to, size_t size) {
    while (size > 0) {
      if (next_ == limit_) fill();
      size_t part = std::min(size, limit_ - next_);
      std::memcpy(to, piece_.data() + next_, part);
      next_ += part;
      to += part;
      size -= part;
    }
  }
  template <typename T>
  requires std::is_trivially_copyable_v<T> T number() {
    T value{};
    read(reinterpret_cast<char*>(&value), sizeof value);
    return value;
  }
  std::string string() {
    auto size = number<uint64_t>();
    if (size > kStringBytesMax) throw Error("snapshotDamaged", "a length beyond 1 GiB");
    std::string bytes;
    while (bytes.size() < size) {  // grows with what really arrives, not with what is claimed
      size_t had = bytes.size();
      bytes.resize(std::min<size_t>(size, had + 16 * kPieceBytes));
      read(bytes.data() + had, bytes.size() - had);
    }
    return bytes;
  }
  bool atEnd() {
    if (next_ < limit_) return false;
    return !more();
  }

private:
  void fill() {
    if (!more()) throw Error("snapshotDamaged", "ends in the middle of a value");
  }
  bool more() {
    int64_t got = reader_.read(reader_.context, piece_.data(), piece_.size());
    if (got < 0) throw SnapshotStopped();
    next_ = 0;
    limit_ = static_cast<size_t>(got);
    return got > 0;
  }

  const flotilla_reader& reader_;
  std::vector<char> piece_;
  size_t next_ = 0;
  size_t limit_ = 0;
};

}  // namespace flotilla
