// How keys and values of Tables are hashed, written and read.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "flotilla/snapshot_stream.h"

namespace flotilla {

// 64 bits of a product: the mixing step of the hashes below.
inline uint64_t mixed(uint64_t left, uint64_t right) {
  __extension__ using Wide = unsigned __int128;  // pedantic would mind it otherwise
  Wide product = static_cast<Wide>(left ^ 0x9e3779b97f4a7c15ULL) *
                 static_cast<Wide>(right ^ 0xd6e8feb86659fd93ULL);
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// A hash for digests: the same on every replica and in every build, for it is compared among hosts.
// Not for secrets, nor against those who search for collisions.
inline uint64_t hashOf(std::string_view bytes) {
  uint64_t hash = mixed(bytes.size(), 0xa0761d6478bd642fULL);
  const char* at = bytes.data();
  size_t left = bytes.size();
  auto word = [](const char* from) {
    uint64_t value = 0;
    std::memcpy(&value, from, sizeof value);
    return value;
  };
  for (; left >= 16; left -= 16, at += 16) hash = mixed(hash ^ word(at), word(at + 8));
  uint64_t tail[2] = {0, 0};
  if (left > 0) std::memcpy(tail, at, left);
  return mixed(hash ^ tail[0], tail[1]);
}

// Eight bytes from `at` on as a number that orders as they do; where there are fewer, as if zeros
// followed.
inline uint64_t wordAt(std::string_view bytes, size_t at) {
  uint64_t word = 0;
  if (bytes.size() <= at) return word;
  size_t left = bytes.size() - at;
  if (left >= sizeof word) {
    std::memcpy(&word, bytes.data() + at, sizeof word);
    return __builtin_bswap64(word);
  }
  if (bytes.size() < sizeof word) {
    std::memcpy(&word, bytes.data() + at, left);
    return __builtin_bswap64(word);
  }
  std::memcpy(&word, bytes.data() + bytes.size() - sizeof word, sizeof word);
  return __builtin_bswap64(word) << (8 * (sizeof word - left));
}

// A key that is looked for, ready to be compared with many: mostly the first sixteen bytes decide,
// and no function need be called.
template <typename K, typename View>
struct Sought {
  static constexpr bool kText = std::is_same_v<View, std::string_view>;

  explicit Sought(View itsKey) : key(itsKey) {
    if constexpr (kText) {
      head = wordAt(key, 0);
      second = wordAt(key, sizeof head);
    }
  }
  // Whether it comes after `other`.
  bool follows(const K& other) const {
    if constexpr (kText) {
      std::string_view text = other;
      if (uint64_t word = wordAt(text, 0); word != head) return word < head;
      if (uint64_t word = wordAt(text, sizeof head); word != second) return word < second;
    }
    return other < key;
  }
  bool precedes(const K& other) const {
    if constexpr (kText) {
      std::string_view text = other;
      if (uint64_t word = wordAt(text, 0); word != head) return head < word;
      if (uint64_t word = wordAt(text, sizeof head); word != second) return second < word;
    }
    return key < other;
  }

  View key;
  uint64_t head = 0;
  uint64_t second = 0;
};

// What a Table needs of a type. There are two below: strings, and plain values without padding. An
// author's own type joins by a specialization with the same members.
template <typename T>
struct Stored;

template <>
struct Stored<std::string> {
  using View = std::string_view;           // how it is asked for
  static constexpr bool kInPlace = false;  // too large or too costly to copy with its node
  static uint64_t hash(View value) { return hashOf(value); }
  static void write(SnapshotWriter& out, View value) { out.string(value); }
  static std::string read(SnapshotReader& in) { return in.string(); }
  static uint64_t memoryBytes(const std::string& value) {
    return value.capacity() > 15 ? value.capacity() + 1 : 0;
  }
};

// Equal values must have equal bytes, or digests would differ: so no padding, and no floating
// point, whose zeros are equal and differ.
template <typename T>
requires(std::is_trivially_copyable_v<T>&&
             std::has_unique_object_representations_v<T>) struct Stored<T> {
  using View = T;
  static constexpr bool kInPlace = sizeof(T) <= 64;
  static uint64_t hash(const T& value) {
    return hashOf({reinterpret_cast<const char*>(&value), sizeof value});
  }
  static void write(SnapshotWriter& out, const T& value) { out.number(value); }
  static T read(SnapshotReader& in) { return in.number<T>(); }
  static uint64_t memoryBytes(const T&) { return 0; }
};

}  // namespace flotilla
