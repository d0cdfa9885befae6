// Workers take lanes in turn, one at a time each, and the pool grows past one that does not return.
#include "host/runtime/apply_pool.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>

#include <doctest/doctest.h>

namespace flotilla::runtime {
namespace {

class CallLane final : public Lane {
public:
  explicit CallLane(std::function<void()> call) : call_(std::move(call)) {}
  void work() override { call_(); }

private:
  std::function<void()> call_;
};

// A door that stays shut until opened; everyone waits with a deadline.
class Gate {
public:
  void open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  bool wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [this]() { return open_; });
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

}  // namespace

TEST_CASE("runtime/apply_pool: a lane has one worker at a time, and work given meanwhile is done") {
  ApplyPool pool(4);
  std::atomic<int> inside{0};
  std::atomic<int> worst{0};
  std::atomic<int> runs{0};
  Gate first;
  Gate done;
  auto lane = std::make_shared<CallLane>([&]() {
    int now = ++inside;
    if (now > worst) worst = now;
    if (runs == 0) first.wait();
    --inside;
    if (++runs == 2) done.open();
  });
  pool.schedule(lane);
  while (pool.busyUs(*lane) == 0) std::this_thread::yield();
  pool.schedule(lane);
  pool.schedule(lane);  // one more run serves both
  first.open();
  REQUIRE(done.wait());
  CHECK(pool.stop(20'000'000));
  CHECK(worst == 1);
  CHECK(runs == 2);
}

TEST_CASE("runtime/apply_pool: a lane that does not return does not hold up the others") {
  ApplyPool pool(1);
  Gate held;
  Gate served;
  auto stuck = std::make_shared<CallLane>([&]() { held.wait(); });
  auto other = std::make_shared<CallLane>([&]() { served.open(); });
  pool.schedule(stuck);
  while (pool.busyUs(*stuck) == 0) std::this_thread::yield();
  pool.schedule(other);
  CHECK(pool.stuck(0) == 1);
  pool.relieve(0);
  CHECK(served.wait());
  CHECK_FALSE(pool.stop(1000));  // the stuck one is not home yet
  held.open();
  // Abandoned, not gone: it must have left the lane before this frame's gates end.
  while (pool.busyUs(*stuck) != 0) std::this_thread::yield();
}

}  // namespace flotilla::runtime
