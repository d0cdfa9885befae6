// Workers take lanes in turn, one at a time each, and the pool grows past one that does not return.
#include "host/runtime/apply_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "host/base/thread.h"

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

// Of the calling thread.
int niceness() {
  return ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()));
}

// Of a patient worker of a pool that this thread makes.
int patientNiceness() {
  return std::min(niceness() + 10, 19);
}

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

TEST_CASE("runtime/apply_pool: what nobody waits for is done by workers that give way") {
  ApplyPool pool(1);
  std::vector<int> seen(2);
  Gate patient;
  Gate prompt;
  pool.schedule(std::make_shared<CallLane>([&]() {
                  seen[0] = niceness();
                  patient.open();
                }),
                Hurry::none);
  pool.schedule(std::make_shared<CallLane>([&]() {
    seen[1] = niceness();
    prompt.open();
  }));
  REQUIRE(patient.wait());
  REQUIRE(prompt.wait());
  CHECK(seen[0] == patientNiceness());
  CHECK(seen[1] == niceness());
  CHECK(pool.stop(20'000'000));
}

TEST_CASE(
    "runtime/apply_pool: a lane that waits for a patient worker can be hurried, and works once") {
  ApplyPool pool(1);
  Gate held;
  Gate done;
  int runs = 0;
  auto slow = std::make_shared<CallLane>([&]() { held.wait(); });
  auto other = std::make_shared<CallLane>([&]() {
    ++runs;
    done.open();
  });
  pool.schedule(slow, Hurry::none);
  while (pool.busyUs(*slow) == 0) std::this_thread::yield();
  pool.schedule(other, Hurry::none);
  pool.schedule(other, Hurry::none);
  CHECK(pool.queued() == 1);
  CHECK(runs == 0);
  pool.schedule(other);
  REQUIRE(done.wait());
  CHECK(pool.queued() == 0);
  held.open();
  CHECK(pool.stop(20'000'000));
  CHECK(runs == 1);
}

TEST_CASE(
    "runtime/apply_pool: what comes with hurry while a patient worker is inside is done promptly") {
  ApplyPool pool(1);
  Gate held;
  Gate done;
  std::vector<int> seen;
  auto lane = std::make_shared<CallLane>([&]() {
    seen.push_back(niceness());
    if (seen.size() == 1) held.wait();
    if (seen.size() == 2) done.open();
  });
  pool.schedule(lane, Hurry::none);
  while (pool.busyUs(*lane) == 0) std::this_thread::yield();
  pool.schedule(lane);
  pool.schedule(lane, Hurry::none);
  held.open();
  REQUIRE(done.wait());
  CHECK(pool.stop(20'000'000));
  REQUIRE(seen.size() == 2);
  CHECK(seen[0] == patientNiceness());
  CHECK(seen[1] == niceness());
}

TEST_CASE("runtime/apply_pool: a stop comes after all that was given, whoever it waits for") {
  ApplyPool pool(1);
  Gate held;
  std::atomic<int> runs{0};
  auto slow = std::make_shared<CallLane>([&]() {
    if (++runs == 1) held.wait();
  });
  auto other = std::make_shared<CallLane>([&]() { ++runs; });
  pool.schedule(slow, Hurry::none);
  while (pool.busyUs(*slow) == 0) std::this_thread::yield();
  pool.schedule(other, Hurry::none);
  CHECK_FALSE(pool.stop(0));  // the patient one is not home: abandoned, it does the rest
  pool.schedule(slow);
  held.open();
  while (runs < 3) std::this_thread::yield();
  while (pool.busyUs(*slow) != 0 || pool.busyUs(*other) != 0) std::this_thread::yield();
}

TEST_CASE("runtime/apply_pool: the pool grows past a patient worker that does not return") {
  ApplyPool pool(1);
  Gate held;
  Gate served;
  auto stuck = std::make_shared<CallLane>([&]() { held.wait(); });
  auto began = std::chrono::steady_clock::now();
  pool.schedule(stuck, Hurry::none);
  while (pool.busyUs(*stuck) == 0) std::this_thread::yield();
  pool.schedule(std::make_shared<CallLane>([&]() { served.open(); }), Hurry::none);
  while (pool.stuck(1'000) == 0) std::this_thread::yield();  // ten of the clock's
  CHECK(std::chrono::steady_clock::now() - began >= std::chrono::milliseconds(10));
  pool.relieve(1'000);
  CHECK(served.wait());
  held.open();
  CHECK(pool.stop(20'000'000));
}

TEST_CASE("runtime/apply_pool: a pool without patient workers does all promptly") {
  ApplyPool pool(1, {"query", nullptr});
  Gate done;
  int seen = -1;
  pool.schedule(std::make_shared<CallLane>([&]() {
                  seen = niceness();
                  done.open();
                }),
                Hurry::none);
  REQUIRE(done.wait());
  CHECK(seen == niceness());
  CHECK(pool.stop(20'000'000));
}

TEST_CASE(
    "runtime/apply_pool: a patient worker's work is charged by its own time, not by what it "
    "waits") {
  ApplyPool pool(1);
  Gate held;
  Gate done;
  int64_t worked = -1;
  auto began = std::chrono::steady_clock::now();
  auto lane = std::make_shared<CallLane>([&]() {
    int64_t from = base::workedUs();
    held.wait();
    worked = base::workedUs() - from;
    done.open();
  });
  pool.schedule(lane, Hurry::none);
  while (pool.busyUs(*lane) == 0) std::this_thread::yield();
  auto entered = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - entered < std::chrono::milliseconds(50)) {
    std::this_thread::yield();
  }
  held.open();
  REQUIRE(done.wait());
  auto took = std::chrono::steady_clock::now() - began;
  CHECK(worked >= 0);
  CHECK(worked < std::chrono::duration_cast<std::chrono::microseconds>(took).count() / 2);
  CHECK(pool.stop(20'000'000));
}

TEST_CASE("runtime/apply_pool: hurry is of the work that is queued, and of no other") {
  ApplyPool pool(1);
  std::vector<int> seen;
  std::mutex mutex;
  auto lane = std::make_shared<CallLane>([&]() {
    std::lock_guard lock(mutex);
    seen.push_back(niceness());
  });
  auto wait = [&](size_t count) {
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < until) {
      std::lock_guard lock(mutex);
      if (seen.size() == count && pool.busyUs(*lane) == 0) return true;
    }
    return false;
  };
  pool.hurry(lane);  // nothing is queued
  CHECK(pool.queued() == 0);
  CHECK(pool.busyUs(*lane) == 0);
  pool.schedule(lane);
  REQUIRE(wait(1));
  pool.schedule(lane, Hurry::none);
  REQUIRE(wait(2));
  CHECK(pool.stop(20'000'000));
  CHECK(seen.size() == 2);
  CHECK(seen.front() == niceness());
  CHECK(seen.back() == patientNiceness());
}

TEST_CASE("runtime/apply_pool: where many lanes wait for patient workers more go to the others") {
  ApplyPool pool(1);
  Gate held;
  Gate done;
  auto slow = std::make_shared<CallLane>([&]() { held.wait(); });
  pool.schedule(slow, Hurry::none);
  while (pool.busyUs(*slow) == 0) std::this_thread::yield();
  std::vector<std::shared_ptr<CallLane>> lanes;
  std::atomic<size_t> runs{0};
  for (size_t i = 0; i < ApplyPool::kPatientLanesMax; ++i) {
    lanes.push_back(std::make_shared<CallLane>([&]() { ++runs; }));
    pool.schedule(lanes.back(), Hurry::none);
  }
  CHECK(pool.queued() == ApplyPool::kPatientLanesMax);
  auto more = std::make_shared<CallLane>([&]() { done.open(); });
  pool.schedule(more, Hurry::none);
  REQUIRE(done.wait());
  CHECK(runs == 0);
  pool.hurry(lanes.front());
  auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (runs == 0 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  CHECK(runs == 1);
  held.open();
  CHECK(pool.stop(20'000'000));
  CHECK(runs == ApplyPool::kPatientLanesMax);
}

TEST_CASE("runtime/apply_pool: a lane that only the pool holds any more ends outside its lock") {
  // The lane's end asks the pool something, which would never return under the lock.
  class LastLane final : public Lane {
  public:
    LastLane(ApplyPool& pool, Gate& ended) : pool_(pool), ended_(ended) {}
    ~LastLane() override {
      static_cast<void>(pool_.queued());
      ended_.open();
    }
    void work() override {}

  private:
    ApplyPool& pool_;
    Gate& ended_;
  };
  ApplyPool pool(1);
  Gate held;
  Gate ended;
  auto slow = std::make_shared<CallLane>([&]() { held.wait(); });
  pool.schedule(slow, Hurry::none);
  while (pool.busyUs(*slow) == 0) std::this_thread::yield();
  auto lane = std::make_shared<LastLane>(pool, ended);
  pool.schedule(lane, Hurry::none);
  pool.schedule(lane);
  auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (pool.queued() != 0 || pool.busyUs(*lane) != 0) {
    REQUIRE(std::chrono::steady_clock::now() < until);
  }
  lane.reset();  // what is left of it stands in the patient row
  held.open();
  CHECK(ended.wait());
  CHECK(pool.stop(20'000'000));
}

}  // namespace flotilla::runtime
