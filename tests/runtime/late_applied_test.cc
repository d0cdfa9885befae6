// Ends of applies that stay until somebody comes by, and those that do not.
#include "host/runtime/late_applied.h"

#include <atomic>
#include <chrono>
#include <thread>

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

bool isUpTo(raft::Index index, const group::Applied& applied) {
  return applied.generation == 3 && applied.index == index &&
         applied.nextTimerUs == static_cast<int64_t>(1000 + index) &&
         applied.unchecked == 2 * index && applied.durable == raft::LogPoint{index - 1, 7} &&
         applied.answers.empty() && applied.digests.empty() && !applied.fault;
}

}  // namespace

TEST_CASE("runtime/late_applied: what says little stays until it is taken") {
  LateApplied late;
  CHECK_FALSE(late.take());
  CHECK_FALSE(late.look());
  REQUIRE(late.keep(upTo(5)));
  REQUIRE(late.look());
  CHECK(isUpTo(5, *late.look()));
  auto taken = late.take();
  REQUIRE(taken);
  CHECK(isUpTo(5, *taken));
  CHECK_FALSE(late.take());
  CHECK_FALSE(late.look());
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
    CHECK_FALSE(late.keep(each));
    CHECK_FALSE(late.take());
  }
}

// Under ThreadSanitizer also: a worker and the loop at once.
TEST_CASE("runtime/late_applied: each is taken once and whole, whenever the loop looks") {
  constexpr raft::Index kLast = 20'000;
  LateApplied late;
  std::atomic<raft::Index> taken{0};
  std::atomic<bool> over{false};
  std::thread worker([&]() {
    for (raft::Index index = 1; index <= kLast && !over; ++index) {
      late.keep(upTo(index));
      while (taken != index && !over) std::this_thread::yield();
    }
  });
  bool whole = true;
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (taken != kLast && whole && std::chrono::steady_clock::now() < deadline) {
    auto end = late.take();
    if (!end) continue;
    whole = isUpTo(taken + 1, *end);
    taken = end->index;
  }
  over = true;
  worker.join();
  CHECK(whole);
  CHECK(taken == kLast);
}

}  // namespace flotilla::runtime
