// An ordered map on disk that snapshots, digests and undoes itself.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flotilla/replicated.h"
#include "flotilla/storage.h"

namespace flotilla {

// True once something in this shared object makes a DiskTable: its machine is one on disk. Where
// several machines live in one object, each says so: `static constexpr bool kOnDisk = true`.
inline bool keepsOnDisk = false;

template <typename Table>
struct DiskNoted {
  static const bool noted;
};
template <typename Table>
const bool DiskNoted<Table>::noted = (keepsOnDisk = true);

// A Table whose entries lie on the host's disk and not in memory: for a state that is larger than
// memory, or that a restart should not have to load. It is used as a Table is, but for this: `find`
// gives a copy, an entry costs a look at the disk where it lies in no cache, and beside DiskTables
// a machine has Singles and Fixed only.
//
// Keys are std::string (at most kKeyBytesMax bytes), whole numbers or enums, values std::string (at
// most kValueBytesMax) or plain values without padding; other types by specializations of DiskKey
// and DiskValue (storage.h) and of Stored (stored.h).
//
// Owner:  the machine, as a direct data member.
// Thread: the machine's.
// Errors: set throws Error `keyTooLong` and `valueTooLarge`. Where the host cannot read its disk it
//         stops the machine, by an exception that is none of the machine's to catch.
// Time:   a write looks for what was there before, for the digest.
template <typename K, typename V>
class DiskTable final : public Member {
public:
  using Key = typename Stored<K>::View;
  using Value = typename Stored<V>::View;

  static constexpr size_t kKeyBytesMax = 60'000;
  static constexpr size_t kValueBytesMax = FLOTILLA_STORAGE_VALUE_MAX;

  DiskTable() { static_cast<void>(&DiskNoted<DiskTable>::noted); }

  std::optional<V> find(Key key) const {
    auto bytes = storage().get(encoded(key));
    if (!bytes) return std::nullopt;
    return valueFrom(*bytes);
  }
  bool has(Key key) const { return storage().get(encoded(key)).has_value(); }
  V getOr(Key key, V fallback) const {
    auto value = find(key);
    return value ? *std::move(value) : std::move(fallback);
  }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  void set(Key key, Value value) {
    const std::string& at = encoded(key);
    std::string_view bytes = DiskValue<V>::bytes(value);
    if (at.size() > kKeyBytesMax) {
      throw Error("keyTooLong", "a key takes at most " + std::to_string(kKeyBytesMax) +
                                    " bytes on disk, this one " + std::to_string(at.size()));
    }
    if (bytes.size() > kValueBytesMax) {
      throw Error("valueTooLarge", "a value takes at most " + std::to_string(kValueBytesMax) +
                                       " bytes on disk, this one " + std::to_string(bytes.size()));
    }
    auto before = storage().get(at);
    if (before && *before == bytes) return;
    uint64_t keyHash = Stored<K>::hash(key);
    uint64_t digest = digest_ + mixed(keyHash, Stored<V>::hash(value));
    if (before) digest -= mixed(keyHash, hashOfBytes(*before));
    size_t size = size_ + (before ? 0 : 1);
    remember(at, before);
    storage().set(at, bytes);
    digest_ = digest;
    size_ = size;
  }

  // False where there was none.
  bool erase(Key key) {
    const std::string& at = encoded(key);
    auto before = storage().get(at);
    if (!before) return false;
    uint64_t hash = mixed(Stored<K>::hash(key), hashOfBytes(*before));
    remember(at, before);
    storage().erase(at);
    digest_ -= hash;
    --size_;
    return true;
  }

  // ---- walking: for (const auto& [key, value] : table) …, in order. What is changed meanwhile is
  // seen where the walk has not yet been.

  struct Item {
    K key{};
    V value{};
  };
  struct End {};
  class Iterator {
  public:
    const Item& operator*() const { return item_; }
    const Item* operator->() const { return &item_; }
    Iterator& operator++() {
      step();
      return *this;
    }
    bool operator==(End) const { return !valid_; }

  private:
    friend class DiskTable;
    Iterator(const DiskTable& table, std::string_view first, std::string prefix)
        : walk_(table.storage(), first), prefix_(std::move(prefix)) {
      step();
    }
    void step() {
      std::string_view key;
      std::string_view value;
      valid_ = walk_.next(key, value) && key.starts_with(prefix_);
      if (!valid_) return;
      if (!DiskKey<K>::read(key.substr(kHeadBytes), item_.key)) damaged();
      item_.value = valueFrom(value);
    }

    Storage::Walk walk_;
    std::string prefix_;
    Item item_;
    bool valid_ = false;
  };
  // May be walked many times.
  class Range {
  public:
    Iterator begin() const { return Iterator(*table_, first_, prefix_); }
    End end() const { return {}; }

  private:
    friend class DiskTable;
    const DiskTable* table_ = nullptr;
    std::string first_;
    std::string prefix_;
  };

  Iterator begin() const { return Iterator(*this, head_, head_); }
  End end() const { return {}; }
  // From the first key that is not less than `key`.
  Range from(Key key) const { return range(encoded(key), head_); }
  // Keys that begin with `prefix`, from the first that is not less than `first`.
  Range withPrefix(std::string_view prefix, std::string_view first = {}) const
      requires(std::is_same_v<K, std::string>) {
    return range(encoded(std::max(prefix, first)), head_ + std::string(prefix));
  }

  // As a Table's; does nothing: the host reads ahead by itself.
  void prefetch(Key) const {}

  // ---- for the SDK

  void attach(const Storage* storage, uint16_t number) override {
    storage_ = storage;
    head_ = kHead;
    DiskKey<uint16_t>::append(head_, number);
    size_ = 0;
    digest_ = 0;
    forgetChanges();
  }
  void keep() override { forgetChanges(); }
  void undo() override {
    for (; !changes_.empty(); changes_.pop_back()) {
      const Change& last = changes_.back();
      if (last.old) {
        storage().set(last.key, *last.old);
      } else {
        storage().erase(last.key);
      }
    }
    digest_ = digestBefore_;
    size_ = sizeBefore_;
    forgetChanges();
  }
  // What lies on disk is not held still for queries: describe.h refuses kLongQueries.
  void share(const Member&) override { throw std::logic_error("a DiskTable cannot be shared"); }
  // What of it is not in the storage: its size and its digest.
  std::unique_ptr<MemberCapture> captureMember() const override {
    return std::make_unique<Held>(size_, digest_);
  }
  void load(SnapshotReader& in) override {
    size_ = in.number<uint64_t>();
    digest_ = in.number<uint64_t>();
  }
  // A Table's that holds the same is the same.
  uint64_t digest() const override { return mixed(digest_, size_); }
  uint64_t memoryBytes() const override { return 0; }  // the host counts it
  size_t bytesInMachine() const override { return sizeof *this; }
  MemberHome home() const override { return MemberHome::disk; }

private:
  static constexpr char kHead = 't';
  static constexpr size_t kHeadBytes = 3;
  static constexpr size_t kChangesKeptMax = 64;

  // What a key was before the command under way.
  struct Change {
    std::string key;
    std::optional<std::string> old;
  };

  class Held final : public MemberCapture {
  public:
    Held(uint64_t size, uint64_t digest) : size_(size), digest_(digest) {}
    void save(SnapshotWriter& out) const override {
      out.number<uint64_t>(size_);
      out.number<uint64_t>(digest_);
    }

  private:
    uint64_t size_;
    uint64_t digest_;
  };

  [[noreturn]] static void damaged() {
    throw std::runtime_error(
        "a DiskTable holds bytes that are none of its type; another version wrote them: give the "
        "machine another kStateVersion, or the member its former type");
  }
  static V valueFrom(std::string_view bytes) {
    V value{};
    if (!DiskValue<V>::read(bytes, value)) damaged();
    return value;
  }
  static uint64_t hashOfBytes(std::string_view bytes) {
    if constexpr (std::is_same_v<V, std::string>) {
      return Stored<V>::hash(bytes);
    } else {
      return Stored<V>::hash(valueFrom(bytes));
    }
  }

  const Storage& storage() const {
    if (storage_ == nullptr) {
      throw std::logic_error("a DiskTable is used before its machine was given its storage");
    }
    return *storage_;
  }
  const std::string& encoded(Key key) const {
    key_ = head_;
    DiskKey<K>::append(key_, key);
    return key_;
  }
  Range range(std::string_view first, std::string prefix) const {
    Range range;
    range.table_ = this;
    range.first_ = first;
    range.prefix_ = std::move(prefix);
    return range;
  }
  // Before the change is made: an undo that finds nothing changed does no harm.
  void remember(const std::string& key, std::optional<std::string_view> before) {
    if (!undoes_) return;
    if (!changed_) {
      digestBefore_ = digest_;
      sizeBefore_ = size_;
      changed_ = true;
    }
    changes_.push_back({key, before ? std::optional<std::string>(*before) : std::nullopt});
  }
  void forgetChanges() {
    changes_.clear();
    changed_ = false;
    if (changes_.capacity() > kChangesKeptMax) changes_.shrink_to_fit();
  }

  const Storage* storage_ = nullptr;
  std::string head_;  // before each of its keys
  mutable std::string key_;
  uint64_t size_ = 0;
  uint64_t digest_ = 0;
  uint64_t sizeBefore_ = 0;
  uint64_t digestBefore_ = 0;
  std::vector<Change> changes_;
};

}  // namespace flotilla
