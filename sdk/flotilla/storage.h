// A machine's keys and values on disk, as its host hands them over.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "flotilla/abi.h"
#include "flotilla/snapshot_stream.h"

namespace flotilla {

// Thrown where the host said stop: it knows why, so there is nothing to say. No std::exception, so
// that a handler that catches those does not go on.
struct StorageStopped {};

// Owner:  Instance; refers to the host's storage, which outlives the machine.
// Thread: the machine's.
// Errors: throws StorageStopped where the host cannot read or will not write.
class Storage {
public:
  explicit Storage(const flotilla_storage* storage) : storage_(storage) {}

  // Lives until the next call.
  std::optional<std::string_view> get(std::string_view key) const {
    flotilla_bytes value{};
    int found = storage_->get(storage_->context, bytesOf(key), &value);
    if (found < 0) throw StorageStopped();
    if (found == 0) return std::nullopt;
    return viewOf(value);
  }
  void set(std::string_view key, std::string_view value) const {
    if (storage_->set(storage_->context, bytesOf(key), bytesOf(value)) != 0) throw StorageStopped();
  }
  void erase(std::string_view key) const {
    if (storage_->erase(storage_->context, bytesOf(key)) != 0) throw StorageStopped();
  }

  // Keys in order from the first that is not less than the one it begins with.
  class Walk {
  public:
    Walk(const Storage& storage, std::string_view from)
        : storage_(storage.storage_), walk_(storage_->walk(storage_->context, bytesOf(from))) {
      if (walk_ == nullptr) throw StorageStopped();
    }
    Walk(Walk&& other) noexcept
        : storage_(other.storage_), walk_(std::exchange(other.walk_, nullptr)) {}
    Walk& operator=(Walk&&) = delete;
    ~Walk() {
      if (walk_ != nullptr) storage_->leave(walk_);
    }
    // False at the end; both live until the next call.
    bool next(std::string_view& key, std::string_view& value) {
      flotilla_bytes itsKey{};
      flotilla_bytes itsValue{};
      int got = storage_->next(walk_, &itsKey, &itsValue);
      if (got < 0) throw StorageStopped();
      key = viewOf(itsKey);
      value = viewOf(itsValue);
      return got != 0;
    }

  private:
    const flotilla_storage* storage_;
    void* walk_;
  };

private:
  static flotilla_bytes bytesOf(std::string_view view) { return {view.data(), view.size()}; }
  static std::string_view viewOf(flotilla_bytes bytes) {
    return {static_cast<const char*>(bytes.start), bytes.start == nullptr ? 0 : bytes.size};
  }

  const flotilla_storage* storage_;
};

// How keys lie there: in an order that is theirs. Strings and whole numbers; other types by a
// specialization with the same members.
template <typename K>
struct DiskKey;

template <>
struct DiskKey<std::string> {
  static void append(std::string& to, std::string_view key) { to += key; }
  static bool read(std::string_view from, std::string& key) {
    key = from;
    return true;
  }
};

// Most significant byte first, the sign turned round: bytes then order as numbers do.
template <typename K>
requires(std::integral<K> || std::is_enum_v<K>) struct DiskKey<K> {
  using Bits =
      std::make_unsigned_t<typename std::conditional_t<std::is_enum_v<K>, std::underlying_type<K>,
                                                       std::type_identity<K>>::type>;
  static constexpr bool kSigned =
      std::is_signed_v<typename std::conditional_t<std::is_enum_v<K>, std::underlying_type<K>,
                                                   std::type_identity<K>>::type>;
  static constexpr Bits kSign = kSigned ? Bits(Bits(1) << (sizeof(Bits) * 8 - 1)) : Bits(0);

  static void append(std::string& to, K key) {
    Bits bits = static_cast<Bits>(static_cast<Bits>(key) ^ kSign);
    for (size_t i = sizeof bits; i-- > 0;) to.push_back(static_cast<char>(bits >> (8 * i) & 0xff));
  }
  static bool read(std::string_view from, K& key) {
    if (from.size() != sizeof(Bits)) return false;
    Bits bits = 0;
    for (char byte : from) bits = static_cast<Bits>(bits << 8 | static_cast<uint8_t>(byte));
    key = static_cast<K>(static_cast<Bits>(bits ^ kSign));
    return true;
  }
};

// How values lie there: strings, and plain values without padding; others by a specialization.
template <typename V>
struct DiskValue;

template <>
struct DiskValue<std::string> {
  static std::string_view bytes(const std::string_view& value) { return value; }
  static bool read(std::string_view from, std::string& value) {
    value = from;
    return true;
  }
};

template <typename V>
requires(std::is_trivially_copyable_v<V>&&
             std::has_unique_object_representations_v<V>) struct DiskValue<V> {
  static std::string_view bytes(const V& value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
  }
  static bool read(std::string_view from, V& value) {
    if (from.size() != sizeof value) return false;
    std::memcpy(&value, from.data(), sizeof value);
    return true;
  }
};

}  // namespace flotilla
