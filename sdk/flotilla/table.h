// An ordered map that snapshots, digests and undoes itself.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "flotilla/replicated.h"
#include "flotilla/slot.h"
#include "flotilla/tree.h"

namespace flotilla {

// Where a machine keeps its state. A machine all of whose members are Tables (and Singles,
// single.h) writes no snapshot code: the SDK captures them in O(1), saves them beside later
// commands, loads them, compares replicas by their digests, and puts them back when a command
// fails.
//
// Keys and values are std::string, whole numbers, enums, or plain structs without padding; other
// types by a specialization of Stored (stored.h). Strings are asked for by std::string_view.
//
// Owner:  the machine, as a direct data member.
// Thread: the machine's.
// Errors: those of allocation.
// Time:   O(log n); a run's writes are faster where the machine prefetches their keys.
template <typename K, typename V>
class Table final : public Member {
public:
  using Key = typename Stored<K>::View;
  using Value = typename Stored<V>::View;

  Table() = default;

  // Null where there is none. Dies with the next change.
  const V* find(Key key) const {
    const Slot* slot = tree_.find(key);
    return slot == nullptr ? nullptr : &slot->value();
  }
  bool has(Key key) const { return tree_.find(key) != nullptr; }
  V getOr(Key key, V fallback) const {
    const V* value = find(key);
    return value == nullptr ? fallback : *value;
  }
  size_t size() const { return tree_.size(); }
  bool empty() const { return tree_.size() == 0; }

  void set(Key key, Value value) {
    uint64_t hash = mixed(Stored<K>::hash(key), Stored<V>::hash(value));
    Slot slot = source_.make(value, hash);
    Change* change = remember(key);
    auto place = own(key);
    digest_ += hash;
    if (!place.made) {
      digest_ -= place.slot->hash();
      std::swap(*place.slot, slot);
      replaced(change, std::move(slot));
      return;
    }
    *place.slot = std::move(slot);
    if (change != nullptr) counted(*change, false);
  }

  // False where there was none.
  bool erase(Key key) {
    if (!has(key)) return false;
    Change* change = remember(key);
    Slot slot = std::move(*tree_.erase(key));
    digest_ -= slot.hash();
    replaced(change, std::move(slot));
    return true;
  }

  // ---- walking: for (const auto& [key, value] : table) …, in order. Ends with the next change.

  struct Item {
    const K& key;
    const V& value;
  };
  struct End {};
  class Iterator {
  public:
    Item operator*() const { return {cursor_.key(), cursor_.slot().value()}; }
    Iterator& operator++() {
      cursor_.next();
      return *this;
    }
    bool operator==(End) const {
      if (cursor_.atEnd()) return true;
      if constexpr (kStringKeys) return !std::string_view(cursor_.key()).starts_with(prefix_);
      return false;
    }

  private:
    friend class Table;
    static constexpr bool kStringKeys = std::is_convertible_v<const K&, std::string_view>;

    typename OrderedTree<K, SlotOf<V>>::Cursor cursor_;
    std::string_view prefix_;
  };
  class Range {
  public:
    Iterator begin() const { return first_; }
    End end() const { return {}; }

  private:
    friend class Table;
    Iterator first_;
  };

  Iterator begin() const { return all().begin(); }
  End end() const { return {}; }
  // From the first key that is not less than `key`.
  Range from(Key key) const {
    Range range;
    range.first_.cursor_ = tree_.from(key);
    return range;
  }
  // Keys that begin with `prefix`, which must outlive the range, from the first that is not less
  // than `first`.
  Range withPrefix(std::string_view prefix,
                   std::string_view first = {}) const requires Iterator::kStringKeys {
    Range range = from(std::max(prefix, first));
    range.first_.prefix_ = prefix;
    return range;
  }

  // Says that `key` will be looked up by a command of the run at hand. For a machine's `prepare`;
  // `key` must live as long as the run.
  void prefetch(Key key) const {
    // A few keys of a small table are not worth the second look.
    if (tree_.size() < kLarge && runCommands_ < kLongRun) return;
    if (wanted_.size() < OrderedTree<K, Slot>::kPrefetchMax) wanted_.push_back(key);
  }

  // ---- for the SDK

  void prefetchRun() override {
    if (wanted_.empty()) return;
    spots_.resize(std::max(spots_.size(), wanted_.size()));
    tree_.prefetch(wanted_.data(), spots_.data(), wanted_.size());
    foundAt_ = tree_.shape();
    found_ = wanted_.size();
    nextFound_ = 0;
    wanted_.clear();
  }
  void keep() override {
    for (size_t i = 0; i < changeCount_; ++i) {
      if (changes_[i].had) source_.takeBack(std::move(changes_[i].old));
    }
    forgetChanges();
  }
  void undo() override {
    for (size_t i = changeCount_; i-- > 0;) {
      Change& change = changes_[i];
      if (change.had) {
        *tree_.own(change.key).slot = std::move(change.old);
      } else {
        tree_.erase(change.key);
      }
    }
    digest_ = digestBefore_;
    forgetChanges();
  }
  std::unique_ptr<MemberCapture> captureMember() const override {
    return std::make_unique<Held>(tree_, digest_);
  }
  void load(SnapshotReader& in) override {
    tree_ = {};
    digest_ = 0;
    for (auto left = in.number<uint64_t>(); left > 0; --left) {
      K key = Stored<K>::read(in);
      V value = Stored<V>::read(in);
      set(key, value);
    }
    if (in.number<uint64_t>() != digest_) {
      throw Error("snapshotDamaged", "a table's digest is not the one that was saved");
    }
  }
  void share(const Member& other) override {
    const auto& from = static_cast<const Table&>(other);
    tree_ = from.tree_;
    digest_ = from.digest_;
  }
  // The sum of all entries' hashes: what was there before, and in what order, leaves no trace.
  uint64_t digest() const override { return mixed(digest_, tree_.size()); }
  // Nodes and, by a sample, what hangs on them.
  uint64_t memoryBytes() const override {
    constexpr size_t kSample = 64;
    size_t seen = 0;
    uint64_t bytes = 0;
    for (auto cursor = tree_.begin(); !cursor.atEnd() && seen < kSample; cursor.next(), ++seen) {
      bytes += Stored<K>::memoryBytes(cursor.key()) + Stored<V>::memoryBytes(cursor.slot().value());
      if constexpr (!Stored<V>::kInPlace) bytes += sizeof(V) + 32;
    }
    return tree_.nodeBytes() + (seen == 0 ? 0 : bytes * tree_.size() / seen);
  }
  size_t bytesInMachine() const override { return sizeof *this; }
  MemberHome home() const override { return MemberHome::memory; }

private:
  using Slot = SlotOf<V>;
  static constexpr size_t kLarge = 4096;
  static constexpr uint64_t kLongRun = 8;
  static constexpr size_t kChangesKeptMax = 64;
  static constexpr size_t kFoundAhead = 3;  // commands that did not write what they said are few

  // What a key was before the command under way.
  struct Change {
    K key{};
    Slot old;
    bool had = false;
  };

  class Held final : public MemberCapture {
  public:
    Held(OrderedTree<K, Slot> tree, uint64_t digest) : tree_(std::move(tree)), digest_(digest) {}
    void save(SnapshotWriter& out) const override {
      out.number<uint64_t>(tree_.size());
      for (auto cursor = tree_.begin(); !cursor.atEnd(); cursor.next()) {
        Stored<K>::write(out, cursor.key());
        Stored<V>::write(out, cursor.slot().value());
      }
      out.number<uint64_t>(digest_);
    }

  private:
    OrderedTree<K, Slot> tree_;
    uint64_t digest_;
  };

  // The key's place; mostly the one that prefetchRun has found for the next command of the run.
  typename OrderedTree<K, Slot>::Place own(Key key) {
    if (nextFound_ < found_ && tree_.shape() == foundAt_) {
      for (size_t i = nextFound_; i < std::min(nextFound_ + kFoundAhead, found_); ++i) {
        Slot* slot = tree_.slotAt(spots_[i], key);
        if (slot == nullptr) continue;
        nextFound_ = i + 1;
        return {slot, false};
      }
    }
    return tree_.own(key);
  }

  Range all() const {
    Range range;
    range.first_.cursor_ = tree_.begin();
    return range;
  }
  // Room for what `key` was; null where nothing will be undone.
  Change* remember(Key key) {
    if (!undoes_) return nullptr;
    if (changeCount_ == 0) digestBefore_ = digest_;
    if (changeCount_ == changes_.size()) changes_.emplace_back();
    changes_[changeCount_].key = key;
    return &changes_[changeCount_];
  }
  // Counts what `remember` gave only once the change has been made: allocation may fail between.
  void counted(Change& change, bool had) {
    change.had = had;
    ++changeCount_;
    changed_ = true;
  }
  void replaced(Change* change, Slot&& old) {
    if (change == nullptr) return source_.takeBack(std::move(old));
    change->old = std::move(old);
    counted(*change, true);
  }
  void forgetChanges() {
    changeCount_ = 0;
    changed_ = false;
    if (changes_.size() > kChangesKeptMax) {
      changes_.resize(kChangesKeptMax);
      changes_.shrink_to_fit();
    }
  }

  OrderedTree<K, Slot> tree_;
  uint64_t digest_ = 0;
  uint64_t digestBefore_ = 0;
  std::vector<Change>
      changes_;  // the first changeCount_ count; the rest is room, kept for its buffers
  size_t changeCount_ = 0;
  SlotSource<V> source_;
  mutable std::vector<Key> wanted_;
  // Of what was wanted for this run, while the tree has the shape `foundAt_`.
  std::vector<typename OrderedTree<K, Slot>::Spot> spots_;
  uint64_t foundAt_ = 0;
  size_t found_ = 0;
  size_t nextFound_ = 0;
};

}  // namespace flotilla
