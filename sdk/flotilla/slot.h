// A Table's value in its tree: in place where it is small, shared with captures where it is not.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "flotilla/stored.h"

namespace flotilla {

// Copied with its node.
//
// Thread: the tree's. Errors: none.
template <typename V>
class PlainSlot {
public:
  PlainSlot() = default;

  const V& value() const { return value_; }
  uint64_t hash() const { return hash_; }
  void prefetch() const {}
  void prefetchContent() const {}

private:
  template <typename>
  friend class SlotSource;

  V value_{};
  uint64_t hash_ = 0;
};

// Counted: the copy of a node copies pointers, not values.
//
// Thread: as std::shared_ptr; a value that has two holders is never written to.
// Errors: none.
template <typename V>
class SharedSlot {
public:
  SharedSlot() = default;
  SharedSlot(const SharedSlot& other) : box_(other.box_) {
    if (box_ != nullptr) box_->refs.fetch_add(1, std::memory_order_relaxed);
  }
  SharedSlot(SharedSlot&& other) noexcept : box_(std::exchange(other.box_, nullptr)) {}
  SharedSlot& operator=(SharedSlot other) noexcept {
    std::swap(box_, other.box_);
    return *this;
  }
  ~SharedSlot() {
    if (box_ != nullptr && box_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) delete box_;
  }

  const V& value() const { return box_->value; }
  uint64_t hash() const { return box_->hash; }
  void prefetch() const { __builtin_prefetch(box_, 1); }
  void prefetchContent() const {
    if constexpr (requires(const V& v) { v.data(); }) __builtin_prefetch(box_->value.data(), 1);
  }

private:
  template <typename>
  friend class SlotSource;

  struct Box {
    std::atomic<uint32_t> refs{1};
    uint64_t hash = 0;
    V value;
  };
  bool alone() const { return box_ != nullptr && box_->refs.load(std::memory_order_acquire) == 1; }

  Box* box_ = nullptr;
};

template <typename V>
using SlotOf = std::conditional_t<Stored<V>::kInPlace, PlainSlot<V>, SharedSlot<V>>;

// Makes slots, and from replaced ones where it can: a value that is overwritten again and again
// then costs no allocation.
//
// Owner:  Table. Thread: the machine's. Errors: none.
template <typename V>
class SlotSource {
public:
  static constexpr size_t kSparesMax = 8;
  static constexpr uint64_t kSpareBytesMax = 4096;

  template <typename Value>
  SlotOf<V> make(Value&& value, uint64_t hash) {
    SlotOf<V> slot = fresh();
    if constexpr (Stored<V>::kInPlace) {
      slot.value_ = V(std::forward<Value>(value));
      slot.hash_ = hash;
    } else {
      slot.box_->value = std::forward<Value>(value);
      slot.box_->hash = hash;
    }
    return slot;
  }

  void takeBack(SlotOf<V>&& slot) {
    if constexpr (!Stored<V>::kInPlace) {
      bool fit = spareCount_ < kSparesMax && slot.alone() &&
                 Stored<V>::memoryBytes(slot.value()) <= kSpareBytesMax;
      if (fit) {
        spares_[spareCount_++] = std::move(slot);
        return;
      }
    }
    slot = SlotOf<V>();
  }

private:
  SlotOf<V> fresh() {
    SlotOf<V> slot;
    if constexpr (!Stored<V>::kInPlace) {
      if (spareCount_ > 0) return std::move(spares_[--spareCount_]);
      slot.box_ = new typename SharedSlot<V>::Box;
    }
    return slot;
  }

  std::array<SlotOf<V>, kSparesMax> spares_;
  size_t spareCount_ = 0;
};

}  // namespace flotilla
