// A mailbox wakes its receiver once for what is sent, and not at all for what is left.
#include "host/base/mailbox.h"

#include <atomic>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

using flotilla::base::Mailbox;

TEST_CASE("base/mailbox: one wake for all that comes until the receiver was there") {
  int wakes = 0;
  Mailbox<int> box(3, [&]() { ++wakes; });
  std::vector<int> got;
  CHECK(box.send(1));
  CHECK(box.send(2));
  box.force(3);
  CHECK(wakes == 1);
  CHECK_FALSE(box.send(4));  // full
  box.force(5);
  box.takeAll(got);
  CHECK(got == std::vector{1, 2, 3, 5});
  CHECK(box.send(6));
  CHECK(wakes == 2);
  box.takeAll(got);
  CHECK(got == std::vector{6});
}

TEST_CASE("base/mailbox: what is left wakes nobody, and comes in its order with what does") {
  int wakes = 0;
  Mailbox<int> box(100, [&]() { ++wakes; });
  std::vector<int> got;
  CHECK_FALSE(box.left());
  box.leave(1);
  box.leave(2);
  CHECK(wakes == 0);
  CHECK(box.left());
  CHECK(box.send(3));  // it is not the first, and wakes all the same
  CHECK(wakes == 1);
  box.leave(4);
  box.takeAll(got);
  CHECK(got == std::vector{1, 2, 3, 4});
  CHECK_FALSE(box.left());
  box.leave(5);
  box.takeAll(got);  // a receiver that looks by itself
  CHECK(got == std::vector{5});
  box.force(6);
  CHECK(wakes == 2);
}

TEST_CASE("base/mailbox: nothing that many threads send and leave is lost, nor waits for ever") {
  constexpr int kThreads = 4;
  constexpr int kEach = 20'000;
  std::atomic<int> wakes{0};
  Mailbox<int> box(1'000'000, [&]() { wakes.fetch_add(1); });
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&box, thread]() {
      for (int i = 0; i < kEach; ++i) {
        int item = thread * kEach + i;
        if (i % 3 == 0) {
          box.force(item);
        } else {
          box.leave(item);
        }
      }
      box.force(-1);
    });
  }
  // The receiver comes when it is called, and then only: the last of each thread calls.
  std::vector<int> last(kThreads, -1);
  std::vector<int> got;
  int seen = 0;
  int ends = 0;
  int heard = 0;
  while (ends < kThreads) {
    while (wakes.load() == heard) std::this_thread::yield();
    heard = wakes.load();
    box.takeAll(got);
    for (int item : got) {
      if (item < 0) {
        ++ends;
        continue;
      }
      ++seen;
      CHECK(item > last[item / kEach]);  // in order, each thread's
      last[item / kEach] = item;
    }
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(seen == kThreads * kEach);
}
