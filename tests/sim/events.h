// What is to happen in a simulated world, in the order of its time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace flotilla::sim {

// Two acts of one moment happen in the order in which they were asked for, so that a seed always
// gives the same history.
//
// Owner:  World.
// Thread: one.
// Errors: none.
// Time:   microseconds since the world began.
class Events {
public:
  using Act = std::function<void()>;

  int64_t nowUs() const { return nowUs_; }
  uint64_t done() const { return done_; }

  void at(int64_t timeUs, Act act) {
    waiting_.push_back({std::max(timeUs, nowUs_), ++asked_, std::move(act)});
    std::push_heap(waiting_.begin(), waiting_.end(), later);
  }
  void in(int64_t delayUs, Act act) { at(nowUs_ + delayUs, std::move(act)); }

  // Does the earliest act if it is due by `untilUs`; false: there is none, and it is untilUs now.
  bool next(int64_t untilUs) {
    if (waiting_.empty() || waiting_.front().timeUs > untilUs) {
      nowUs_ = std::max(nowUs_, untilUs);
      return false;
    }
    std::pop_heap(waiting_.begin(), waiting_.end(), later);
    Waiting first = std::move(waiting_.back());
    waiting_.pop_back();
    nowUs_ = first.timeUs;
    ++done_;
    first.act();
    return true;
  }

private:
  struct Waiting {
    int64_t timeUs = 0;
    uint64_t number = 0;
    Act act;
  };
  static bool later(const Waiting& one, const Waiting& two) {
    return one.timeUs != two.timeUs ? one.timeUs > two.timeUs : one.number > two.number;
  }

  std::vector<Waiting> waiting_;  // a heap
  int64_t nowUs_ = 0;
  uint64_t asked_ = 0;
  uint64_t done_ = 0;
};

}  // namespace flotilla::sim
