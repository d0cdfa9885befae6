// How threads hand things to each other: many in, one out, one wake a batch.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace flotilla::base {

// A bounded queue into one thread. The first item after the receiver was there calls `wake` (which
// writes to an eventfd, or notifies a condition); the receiver then takes everything at once, so a
// burst costs one wake and two locks an item, and no allocation once the vectors have grown. What
// is left with `leave` waits for the next wake, or for a receiver that looks by itself.
//
// Owner:  the receiver; senders must be gone before it.
// Thread: send from any, takeAll from the receiver's.
// Errors: send answers false where the queue is full; `force` and `leave` go past the bound, for
//         answers whose number requests already bound.
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
      if (std::exchange(woken_, true)) return true;
    }
    wake_();
    return true;
  }

  void force(T item) {
    {
      std::lock_guard lock(mutex_);
      items_.push_back(std::move(item));
      if (std::exchange(woken_, true)) return;
    }
    wake_();
  }

  void leave(T item) {
    std::lock_guard lock(mutex_);
    items_.push_back(std::move(item));
    left_.store(true, std::memory_order_relaxed);
  }
  // Whether there may be something that was left: cheap, for the receiver to ask again and again.
  bool left() const { return left_.load(std::memory_order_relaxed); }

  // Everything that has come since, in order of arrival. `into` is emptied first; its room is
  // kept and goes round.
  void takeAll(std::vector<T>& into) {
    into.clear();
    std::lock_guard lock(mutex_);
    std::swap(into, items_);
    woken_ = false;
    left_.store(false, std::memory_order_relaxed);
  }

private:
  const std::size_t itemsMax_;
  const std::function<void()> wake_;
  std::mutex mutex_;
  std::vector<T> items_;
  bool woken_ = false;  // since the receiver was last here
  std::atomic<bool> left_{false};
};

}  // namespace flotilla::base
