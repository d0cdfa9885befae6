// A queue that costs nothing while it is empty; std::deque takes over half a KiB at once.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "host/base/give_back.h"

namespace flotilla::base {

// First in, first out, in one piece of memory: elements have places, and a search may go through
// them. Pushing moves the elements, so that no reference outlives a push.
//
// Owner:  whoever holds it.
// Thread: one at a time.
// Errors: none.
// Time:   pushing and popping O(1) amortized; inserting and erasing elsewhere O(n); replacing by
//         less O(what lies on the shorter side).
template <typename T>
class Fifo {
public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  bool empty() const { return size() == 0; }
  size_t size() const { return room_.size() - first_; }
  iterator begin() { return room_.data() + first_; }
  iterator end() { return room_.data() + room_.size(); }
  const_iterator begin() const { return room_.data() + first_; }
  const_iterator end() const { return room_.data() + room_.size(); }
  T& operator[](size_t place) { return room_[first_ + place]; }
  const T& operator[](size_t place) const { return room_[first_ + place]; }
  T& front() { return room_[first_]; }
  const T& front() const { return room_[first_]; }
  T& back() { return room_.back(); }
  const T& back() const { return room_.back(); }

  void push_back(T value) { room_.push_back(std::move(value)); }
  void insert(iterator before, T value) {
    room_.insert(room_.begin() + (before - room_.data()), std::move(value));
  }
  void erase(iterator place) {
    if (place == begin()) {
      pop_front();
      return;
    }
    room_.erase(room_.begin() + (place - room_.data()));
  }
  // In place of [from, to) stands `with`. Moves what lies on the shorter side, where it is no
  // longer.
  void replace(iterator from, iterator to, std::span<const T> with) {
    auto replaced = static_cast<size_t>(to - from);
    size_t kept = std::min(replaced, with.size());
    auto rest = with.subspan(kept);
    std::copy_n(with.begin(), kept, from);
    iterator at = from + kept;
    if (with.size() > replaced) {
      room_.insert(room_.begin() + (at - room_.data()), rest.begin(), rest.end());
    } else if (replaced == kept) {
      return;
    } else if (from - begin() < end() - to) {
      std::move_backward(begin(), at, to);
      for (size_t gap = replaced - kept; gap > 0; --gap) room_[first_++] = T();
    } else {
      room_.erase(room_.begin() + (at - room_.data()), room_.begin() + (to - room_.data()));
    }
    settle();
  }
  void pop_back() {
    room_.pop_back();
    settle();
  }
  void pop_front() {
    room_[first_++] = T();
    settle();
  }
  void clear() {
    first_ = room_.size();
    settle();
  }

private:
  static constexpr size_t kKept = 512;  // more room than this is given back once it is empty

  void settle() {
    if (empty()) {
      first_ = 0;
      room_.clear();
      if (room_.capacity() > kKept) giveBack(room_);
    } else if (first_ > room_.size() / 2 && first_ >= kKept) {
      room_.erase(room_.begin(), room_.begin() + static_cast<std::ptrdiff_t>(first_));
      first_ = 0;
    }
  }

  std::vector<T> room_;
  size_t first_ = 0;
};

}  // namespace flotilla::base
