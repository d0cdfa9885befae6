// Many groups that want to send to one host, and wait for one another.
#include <algorithm>

#include <doctest/doctest.h>

#include "tests/client/world.h"

namespace {

using namespace flotilla;        // NOLINT(google-build-using-namespace)
using namespace flotilla::test;  // NOLINT(google-build-using-namespace)
using client::Outcome;
using Fate = FakeGroup::Fate;

constexpr uint64_t kGroups = 600;
constexpr uint64_t kPlaces = 150;  // a quarter

// Six hundred groups that the client has called before, all led by one host, which takes some
// milliseconds for a batch; a far host did so when it had little to do, too.
struct Many : World {
  explicit Many(uint64_t ms = 3, bool far = false) {
    options.callTimeoutMs = 20'000;
    for (uint64_t i = 0; i < kGroups; ++i) cluster.groups[nameOf(i)].id = 10 + i;
    start();
    if (far) setDelay(ms);
    for (uint64_t warm = 0; warm < 2; ++warm) {
      for (const Outcome& outcome : wait(putAll(1, warm))) REQUIRE(outcome.ok());
    }
    for (uint64_t i = 0; i < kGroups; ++i) {
      at(i).batches.clear();
      at(i).applied.clear();
    }
    cluster.deliveries.clear();
    setDelay(ms);
  }

  void setDelay(uint64_t ms) {
    for (uint64_t i = 0; i < kGroups; ++i) {
      at(i).delay = [this, ms]() { return timer.afterDelay(ms * kj::MILLISECONDS); };
    }
  }
  static std::string nameOf(uint64_t group) { return "g" + std::to_string(group); }
  FakeGroup& at(uint64_t group) { return cluster.groups.at(nameOf(group)); }

  // `times` calls of each group from `first` on.
  kj::Promise<kj::Array<Outcome>> putAll(uint64_t times, uint64_t value, uint64_t first = 0) {
    auto promises = kj::heapArrayBuilder<kj::Promise<Outcome>>(times * (kGroups - first));
    for (uint64_t round = 0; round < times; ++round) {
      for (uint64_t i = first; i < kGroups; ++i) promises.add(put(value + round, nameOf(i)));
    }
    return kj::joinPromises(promises.finish());
  }
  // A millisecond, and all that needs no time before it and after.
  void pass() {
    kj::Promise<void> never(kj::NEVER_DONE);
    never.poll(scope);
    timer.advanceTo(timer.now() + 1 * kj::MILLISECONDS);
    never.poll(scope);
  }
  uint64_t underWay() {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < kGroups; ++i) sum += at(i).batchesUnderWay;
    return sum;
  }
  // The most that were under way at a time until the promise was kept.
  uint64_t watch(kj::Promise<kj::Array<Outcome>> promise) {
    uint64_t most = 0;
    while (!promise.poll(scope)) {
      most = std::max(most, underWay());
      pass();
    }
    for (const Outcome& outcome : promise.wait(scope)) CHECK(outcome.ok());
    return most;
  }
  // Everything was carried out once, in the order in which it was called.
  void checkApplied(uint64_t group, size_t times) {
    std::vector<uint64_t> seen;
    for (const Applied& it : at(group).applied) {
      uint64_t value = 0;
      std::memcpy(&value, it.params.data() + 8, sizeof value);
      seen.push_back(value);
    }
    CHECK(seen.size() == times);
    CHECK(std::is_sorted(seen.begin(), seen.end()));
  }
};

}  // namespace

TEST_CASE("client/courier_queue: some groups send at a time, and the others gather meanwhile") {
  Many many;
  auto early = many.putAll(2, 10);
  many.pass();
  CHECK(many.underWay() == kPlaces);
  auto late = many.putAll(3, 20);
  CHECK(many.watch(kj::mv(early)) <= kPlaces);
  CHECK(many.watch(kj::mv(late)) <= kPlaces);
  uint64_t whole = 0;
  for (uint64_t i = 0; i < kGroups; ++i) {
    whole += many.at(i).batches == std::vector<size_t>{5} ? 1 : 0;
    many.checkApplied(i, 5);
  }
  CHECK(whole == kGroups - kPlaces);
  CHECK(many.cluster.deliveries.size() < 40);
}

TEST_CASE("client/courier_queue: few calls, or few groups, wait for nobody") {
  Many many;
  constexpr uint64_t kFew = 64;
  auto promise = many.putAll(1, 10, kGroups - 200);  // fewer than a busy client has
  many.pass();
  CHECK(many.underWay() == 200);
  many.wait(kj::mv(promise));
  auto few = many.putAll(6, 20, kGroups - kFew);
  many.pass();
  CHECK(many.underWay() == kFew);
  many.wait(kj::mv(few));
}

TEST_CASE("client/courier_queue: at a host that is far, and not busy, nobody waits") {
  Many many(20, true);
  auto promise = many.putAll(2, 10);
  many.pass();
  CHECK(many.underWay() == kGroups);
  CHECK(many.watch(kj::mv(promise)) == kGroups);
  many.setDelay(45);  // by now it is
  CHECK(many.watch(many.putAll(2, 20)) == kGroups);
  CHECK(many.watch(many.putAll(2, 30)) == kPlaces);
}

TEST_CASE("client/courier_queue: groups that hang hold the others up for a moment only") {
  Many many;
  constexpr uint64_t kHanging = kPlaces + 50;
  for (uint64_t i = 0; i < kHanging; ++i) many.at(i).fates = {Fate::hang, Fate::hang, Fate::answer};
  auto hung = many.putAll(2, 10);
  auto others = many.putAll(2, 20, kHanging);
  kj::TimePoint before = many.timer.now();
  for (const Outcome& outcome : many.wait(kj::mv(others))) CHECK(outcome.ok());
  CHECK(many.timer.now() - before < 150 * kj::MILLISECONDS);
  CHECK_FALSE(hung.poll(many.scope));
  for (const Outcome& outcome : many.wait(kj::mv(hung))) CHECK(outcome.ok());
  for (uint64_t i = 0; i < kGroups; ++i) many.checkApplied(i, i < kHanging ? 2 : 4);
}

TEST_CASE("client/courier_queue: who waits at a host that dies is served by another") {
  Many many;
  for (uint64_t i = 0; i < 64; ++i) many.at(i).fates = {Fate::loseAnswer, Fate::answer};
  auto promise = many.putAll(2, 10);
  many.pass();
  for (uint64_t i = 0; i < kGroups; ++i) many.at(i).leader = 2;
  many.cluster.kill(1);
  for (const Outcome& outcome : many.wait(kj::mv(promise))) CHECK(outcome.ok());
  for (uint64_t i = 0; i < kGroups; ++i) many.checkApplied(i, 2);
}

TEST_CASE("client/courier_queue: who waits goes elsewhere once its leader is known to be there") {
  Many many(2'000);
  many.cluster.forwards = false;
  uint64_t last = kGroups - 1;
  auto promise = many.putAll(2, 10);
  many.pass();
  CHECK(many.at(last).batches.empty());
  many.at(last).leader = 2;
  many.at(last).delay = nullptr;
  capnp::word words[1] = {};
  auto asked = many.client->group(Many::nameOf(last))->query({1, 1}, kj::arrayPtr(words, 1), {});
  CHECK(many.wait(kj::mv(asked)).ok());
  kj::TimePoint before = many.timer.now();
  CHECK(many.wait(many.put(20, Many::nameOf(last))).ok());
  CHECK(many.timer.now() - before < 50 * kj::MILLISECONDS);
  for (const Outcome& outcome : many.wait(kj::mv(promise))) CHECK(outcome.ok());
  for (uint64_t i = 0; i < kGroups; ++i) many.checkApplied(i, i == last ? 3 : 2);
}

TEST_CASE("client/courier_queue: a call that is refused is made again, and others are called") {
  Many many;
  many.cluster.courierFault = Fault{ErrorCode::overloaded, "courier: answers wait", ""};
  kj::TimePoint before = many.timer.now();
  for (const Outcome& outcome : many.wait(many.putAll(2, 10))) CHECK(outcome.ok());
  CHECK(many.timer.now() - before < 200 * kj::MILLISECONDS);
  for (uint64_t i = 0; i < kGroups; ++i) many.checkApplied(i, 2);
}

TEST_CASE("client/courier_queue: calls that wait end in time, and a client may go before") {
  Many many;
  for (uint64_t i = 0; i < kGroups; ++i) many.at(i).fates = {Fate::hang};
  auto promise = many.putAll(2, 10);
  kj::TimePoint before = many.timer.now();
  for (const Outcome& outcome : many.wait(kj::mv(promise))) CHECK(codeOf(outcome) == "timeout");
  CHECK(many.timer.now() - before < 21 * kj::SECONDS);
  {
    auto more = many.putAll(2, 20);
    many.pass();
  }
  many.client = nullptr;
  many.pass();
}
