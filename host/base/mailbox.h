// How threads hand things to each other: many in, one out, one wake a batch.
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace flotilla::base {

// A bounded queue into one thread. The first item after an empty queue calls `wake` (which writes
// to an eventfd, or notifies a condition); the receiver then takes everything at once, so a burst
// costs one wake and two locks an item, and no allocation once the vectors have grown.
//
// Owner:  the receiver; senders must be gone before it.
// Thread: send from any, takeAll from the receiver's.
// Errors: send answers false where the queue is full; `force` sends past the bound, for answers
//         whose number requests already bound.
template <typename T>
class Mailbox {
public:
  Mailbox(std::size_t itemsMax, std::function<void()> wake)
      : itemsMax_(itemsMax), wake_(std::move(wake)) {}
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  bool send(T item) {
    {
      std::lock_guard lock(mutex_);
      if (items_.size() >= itemsMax_) return false;
      items_.push_back(std::move(item));
      if (items_.size() > 1) return true;
    }
    wake_();
    return true;
  }

  void force(T item) {
    {
      std::lock_guard lock(mutex_);
      items_.push_back(std::move(item));
      if (items_.size() > 1) return;
    }
    wake_();
  }

  // Everything that has come since, in order of arrival. `into` is emptied first; its room is
  // kept and goes round.
  void takeAll(std::vector<T>& into) {
    into.clear();
    std::lock_guard lock(mutex_);
    std::swap(into, items_);
  }

private:
  const std::size_t itemsMax_;
  const std::function<void()> wake_;
  std::mutex mutex_;
  std::vector<T> items_;
};

}  // namespace flotilla::base
