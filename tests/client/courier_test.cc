// Batches of several groups that travel in one call.
#include <doctest/doctest.h>

#include "tests/client/world.h"

namespace {

using namespace flotilla;        // NOLINT(google-build-using-namespace)
using namespace flotilla::test;  // NOLINT(google-build-using-namespace)
using client::Outcome;
using Fate = FakeGroup::Fate;

constexpr uint64_t kGroups = 8;

std::string nameOf(uint64_t group) {
  return "g" + std::to_string(group);
}

// Eight groups that the client has called before: it knows where they are, and whether there are
// couriers.
struct Crowd : World {
  explicit Crowd(bool couriers = true) {
    cluster.couriers = couriers;
    for (uint64_t i = 0; i < kGroups; ++i) cluster.groups[nameOf(i)].id = 10 + i;
    start();
    for (int warm = 0; warm < 2; ++warm) {
      for (const Outcome& outcome : wait(putAll(warm))) REQUIRE(outcome.ok());
    }
    cluster.deliveries.clear();
    for (auto& [name, group] : cluster.groups) {
      group.batches.clear();
      group.applied.clear();
    }
  }

  kj::Promise<kj::Array<Outcome>> putAll(uint64_t value) {
    auto promises = kj::heapArrayBuilder<kj::Promise<Outcome>>(kGroups);
    for (uint64_t i = 0; i < kGroups; ++i) promises.add(put(value, nameOf(i)));
    return kj::joinPromises(promises.finish());
  }
  FakeGroup& at(uint64_t group) { return cluster.groups.at(nameOf(group)); }
  // Until the command has reached the group.
  void reached(uint64_t group, kj::Promise<kj::Array<Outcome>>& promise) {
    while (at(group).batches.empty()) {
      REQUIRE_FALSE(promise.poll(scope));
      timer.advanceTo(timer.now() + 1 * kj::MILLISECONDS);
    }
  }
};

}  // namespace

TEST_CASE("client/courier: batches of several groups travel in one call, each answered") {
  Crowd crowd;
  for (const Outcome& outcome : crowd.wait(crowd.putAll(3))) CHECK(outcome.ok());
  CHECK(crowd.cluster.deliveries == std::vector<size_t>{kGroups});
  for (uint64_t i = 0; i < kGroups; ++i) {
    CHECK(crowd.at(i).batches == std::vector<size_t>{1});
    REQUIRE(crowd.at(i).applied.size() == 1);
    CHECK(crowd.at(i).applied[0].sequence == 3);
  }
}

TEST_CASE("client/courier: the batch of one group goes by itself") {
  Crowd crowd;
  CHECK(crowd.wait(crowd.put(3, nameOf(0))).ok());
  CHECK(crowd.cluster.deliveries.empty());
  CHECK(crowd.at(0).batches == std::vector<size_t>{1});
}

TEST_CASE("client/courier: a large batch goes by itself") {
  Crowd crowd;
  // By then it knows that answers are short.
  for (uint64_t i = 0; i < 3; ++i) CHECK(crowd.wait(crowd.put(i, nameOf(0))).ok());
  crowd.at(0).batches.clear();
  auto promises = kj::heapArrayBuilder<kj::Promise<Outcome>>(64 + kGroups - 1);
  for (uint64_t i = 0; i < 64; ++i) promises.add(crowd.put(i, nameOf(0)));
  for (uint64_t i = 1; i < kGroups; ++i) promises.add(crowd.put(i, nameOf(i)));
  for (const Outcome& outcome : crowd.wait(kj::joinPromises(promises.finish()))) {
    CHECK(outcome.ok());
  }
  CHECK(crowd.cluster.deliveries == std::vector<size_t>{kGroups - 1});
  CHECK(crowd.at(0).batches == std::vector<size_t>{64});
}

TEST_CASE("client/courier: where many groups are called each sends one batch at a time, a parcel") {
  Crowd crowd;
  for (uint64_t i = 0; i < 4; ++i) {  // by then they know that answers are short
    for (const Outcome& outcome : crowd.wait(crowd.putAll(i))) REQUIRE(outcome.ok());
  }
  crowd.cluster.deliveries.clear();
  for (uint64_t i = 0; i < kGroups; ++i) crowd.at(i).batches.clear();
  auto promises = kj::heapArrayBuilder<kj::Promise<Outcome>>(120 * (kGroups - 1) + 200);
  for (uint64_t i = 1; i < kGroups; ++i) {
    for (uint64_t value = 0; value < 120; ++value) promises.add(crowd.put(value, nameOf(i)));
  }
  for (uint64_t value = 0; value < 200; ++value) promises.add(crowd.put(value, nameOf(0)));
  for (const Outcome& outcome : crowd.wait(kj::joinPromises(promises.finish()))) {
    CHECK(outcome.ok());
  }
  CHECK(crowd.at(0).batches == std::vector<size_t>{200});  // alone they were four that overlap
  size_t batches = 0;
  for (uint64_t i = 0; i < kGroups; ++i) {
    batches += crowd.at(i).batches.size();
    CHECK(crowd.at(i).batchesUnderWayMax == 1);
  }
  size_t parcels = 0;
  for (size_t each : crowd.cluster.deliveries) parcels += each;
  CHECK(parcels == batches);
}

TEST_CASE("client/courier: a host that knows none is asked for each batch") {
  Crowd crowd(false);
  for (const Outcome& outcome : crowd.wait(crowd.putAll(3))) CHECK(outcome.ok());
  CHECK(crowd.cluster.deliveries.empty());
  for (uint64_t i = 0; i < kGroups; ++i) CHECK(crowd.at(i).applied.size() == 1);
}

TEST_CASE("client/courier: a connection that breaks loses nothing and does nothing twice") {
  Crowd crowd;
  crowd.at(3).fates = {Fate::loseAnswer, Fate::answer};  // the host dies with all its answers
  auto promise = crowd.putAll(3);
  crowd.reached(3, promise);
  for (uint64_t i = 0; i < kGroups; ++i) crowd.at(i).leader = 2;
  for (const Outcome& outcome : crowd.wait(kj::mv(promise))) CHECK(outcome.ok());
  for (uint64_t i = 0; i < kGroups; ++i) {
    REQUIRE(crowd.at(i).applied.size() == 1);
    CHECK(crowd.at(i).applied[0].sequence == 3);
  }
}

TEST_CASE("client/courier: a group that hangs holds up nobody, and is asked again elsewhere") {
  Crowd crowd;
  crowd.at(5).fates = {Fate::hang, Fate::answer};
  kj::TimePoint before = crowd.timer.now();
  kj::Promise<Outcome> hung = crowd.put(3, nameOf(5));
  auto promises = kj::heapArrayBuilder<kj::Promise<Outcome>>(2);
  promises.add(crowd.put(3, nameOf(1)));
  promises.add(crowd.put(3, nameOf(2)));
  for (const Outcome& outcome : crowd.wait(kj::joinPromises(promises.finish()))) {
    CHECK(outcome.ok());
  }
  CHECK(crowd.cluster.deliveries == std::vector<size_t>{3});
  CHECK(crowd.timer.now() == before);
  CHECK_FALSE(hung.poll(crowd.scope));
  CHECK(crowd.wait(kj::mv(hung)).ok());
  CHECK(crowd.timer.now() - before >= crowd.options.attemptTimeoutMs * kj::MILLISECONDS);
  CHECK(crowd.at(5).applied.size() == 1);
}

TEST_CASE("client/courier: one group's fault is its own") {
  Crowd crowd;
  crowd.at(2).incarnation = 2;  // removed and made again
  crowd.at(4).faults = {{ErrorCode::app, "no", "refused"}};
  auto outcomes = crowd.wait(crowd.putAll(3));
  for (uint64_t i = 0; i < kGroups; ++i) {
    CHECK(codeOf(outcomes[i]) == (i == 2 ? "groupRemoved" : i == 4 ? "app" : "ok"));
  }
}

TEST_CASE("client/courier: a command that is due while its parcel is under way ends as timeout") {
  Crowd crowd;
  crowd.at(1).fates = {Fate::hang};
  auto promise = crowd.putAll(3);
  auto outcomes = crowd.wait(kj::mv(promise));
  for (uint64_t i = 0; i < kGroups; ++i) CHECK(codeOf(outcomes[i]) == (i == 1 ? "timeout" : "ok"));
}

TEST_CASE("client/courier: a call that is refused is made again, and the courier used on") {
  Crowd crowd;
  crowd.cluster.courierFault = Fault{ErrorCode::overloaded, "courier: answers wait", ""};
  for (const Outcome& outcome : crowd.wait(crowd.putAll(3))) CHECK(outcome.ok());
  for (const Outcome& outcome : crowd.wait(crowd.putAll(4))) CHECK(outcome.ok());
  CHECK(crowd.cluster.deliveries.size() >= 2);
  for (uint64_t i = 0; i < kGroups; ++i) CHECK(crowd.at(i).applied.size() == 2);
}

TEST_CASE("client/courier: one that is broken is used no more, and nothing waits for it") {
  Crowd crowd;
  crowd.cluster.courierFault = Fault{ErrorCode::unavailable, "courier: cannot deliver", ""};
  for (const Outcome& outcome : crowd.wait(crowd.putAll(3), 1'000)) CHECK(outcome.ok());
  for (const Outcome& outcome : crowd.wait(crowd.putAll(4), 1'000)) CHECK(outcome.ok());
  CHECK(crowd.cluster.deliveries == std::vector<size_t>{kGroups});
  for (uint64_t i = 0; i < kGroups; ++i) CHECK(crowd.at(i).applied.size() == 2);
}

TEST_CASE("client/courier: a client may go while its parcels are under way") {
  Crowd crowd;
  for (uint64_t i = 0; i < kGroups; ++i) crowd.at(i).fates = {Fate::hang};
  {
    auto promise = crowd.putAll(3);
    crowd.reached(kGroups - 1, promise);
  }
  crowd.client = nullptr;
  kj::evalLast([]() {}).wait(crowd.scope);
  CHECK(crowd.cluster.deliveries == std::vector<size_t>{kGroups});
}
