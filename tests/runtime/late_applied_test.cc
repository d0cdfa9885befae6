// Ends of applies that stay until somebody comes by, and those that do not.
#include "host/runtime/late_applied.h"

#include <chrono>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace flotilla::runtime {
namespace {

group::Applied upTo(raft::Index index) {
  group::Applied applied;
  applied.generation = 3;
  applied.index = index;
  applied.nextTimerUs = static_cast<int64_t>(1000 + index);
  applied.unchecked = 2 * index;
  applied.durable = raft::LogPoint{index - 1, 7};
  return applied;
}

}  // namespace

TEST_CASE("runtime/late_applied: what says little stays, the newest for all of them") {
  LateApplied late;
  CHECK_FALSE(late.take());
  REQUIRE(late.keep({upTo(5)}));
  REQUIRE(late.keep({upTo(6), upTo(8)}));
  auto taken = late.take();
  REQUIRE(taken);
  CHECK(taken->generation == 3);
  CHECK(taken->index == 8);
  CHECK(taken->nextTimerUs == 1008);
  CHECK(taken->unchecked == 16);
  CHECK(taken->durable == raft::LogPoint{7, 7});
  CHECK(taken->answers.empty());
  CHECK_FALSE(taken->fault);
  CHECK_FALSE(late.take());
}

TEST_CASE("runtime/late_applied: what says more does not stay") {
  LateApplied late;
  group::Applied answered = upTo(1);
  answered.answers.emplace_back();
  group::Applied faulted = upTo(2);
  faulted.fault = Fault{ErrorCode::faulted, "broken", {}};
  group::Applied digested = upTo(3);
  digested.digests.push_back({3, 4});
  group::Applied unchecked = upTo(4);
  unchecked.unchecked = group::kCheckNow;
  for (const group::Applied& each : {answered, faulted, digested, unchecked}) {
    CHECK_FALSE(late.keep({each}));
    CHECK_FALSE(late.keep({each, upTo(9)}));
    CHECK_FALSE(late.keep({upTo(1), each}));
  }
  CHECK_FALSE(late.keep({}));
  CHECK_FALSE(late.take());
}

TEST_CASE("runtime/late_applied: what leaves takes along what has stayed, in front") {
  LateApplied late;
  REQUIRE(late.keep({upTo(5)}));
  std::vector<group::Applied> leaving = {upTo(6)};
  late.leave(leaving);
  REQUIRE(leaving.size() == 2);
  CHECK(leaving[0].index == 5);
  CHECK(leaving[1].index == 6);
  CHECK_FALSE(late.take());
}

TEST_CASE("runtime/late_applied: nothing stays that would overtake what is on its way") {
  LateApplied late;
  std::vector<group::Applied> first = {upTo(1)};
  std::vector<group::Applied> second = {upTo(2)};
  late.leave(first);
  late.leave(second);
  CHECK_FALSE(late.keep({upTo(3)}));
  late.arrived();
  CHECK_FALSE(late.keep({upTo(3)}));
  late.arrived();
  CHECK(late.keep({upTo(3)}));
  CHECK(late.take()->index == 3);
}

// Under ThreadSanitizer also: a worker and the loop at once.
TEST_CASE("runtime/late_applied: the loop hears of all entries in their order") {
  constexpr raft::Index kLast = 20'000;
  LateApplied late;
  std::mutex mutex;
  std::vector<std::vector<group::Applied>> mailbox;
  std::thread worker([&]() {
    for (raft::Index index = 1; index <= kLast; ++index) {
      std::vector<group::Applied> applied = {upTo(index)};
      if (index % 5 != 0 && index != kLast && late.keep(applied)) continue;
      late.leave(applied);
      std::lock_guard lock(mutex);
      mailbox.push_back(std::move(applied));
      if (index % 7 == 0) mailbox.emplace_back();  // an answer of another kind
    }
  });
  raft::Index heard = 0;
  bool rises = true;
  auto hear = [&](const group::Applied& applied) {
    rises = rises && applied.index > heard;
    heard = applied.index;
  };
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (heard != kLast && rises && std::chrono::steady_clock::now() < deadline) {
    if (auto stayed = late.take()) hear(*stayed);
    std::vector<std::vector<group::Applied>> come;
    {
      std::lock_guard lock(mutex);
      come.swap(mailbox);
    }
    for (const auto& each : come) {
      if (auto stayed = late.take()) hear(*stayed);
      for (const group::Applied& applied : each) hear(applied);
      if (!each.empty()) late.arrived();
    }
  }
  worker.join();
  CHECK(rises);
  CHECK(heard == kLast);
}

}  // namespace flotilla::runtime
