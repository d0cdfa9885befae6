// Quotas are judged where calls come in, and left again only somewhat below themselves.
#include "host/group/quota.h"

#include <doctest/doctest.h>

#include "tests/group/trio.h"

namespace flotilla::test {

using group::Outcome;
using group::QuotaGauge;
using group::Quotas;

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr int64_t kSecondUs = 1'000'000;

group::Call freeing(group::Call call) {
  call.frees = true;
  return call;
}

}  // namespace

TEST_CASE("group/quota: memory is refused from the bound on and taken again below nine tenths") {
  QuotaGauge gauge;
  gauge.used(100 * kMiB, 0, 0);
  CHECK(!gauge.isSet());
  CHECK(!gauge.isFull());
  gauge.set({.memoryBytesMax = 100 * kMiB}, 0);
  CHECK(gauge.isFull());  // by what it holds already
  CHECK(gauge.refuses(0) == "memory 100.0 MiB of 100.0 MiB: commands refused");
  gauge.used(91 * kMiB, 0, 1);
  CHECK(gauge.isFull());
  gauge.used(90 * kMiB - 1, 0, 2);
  CHECK(!gauge.isFull());
  CHECK(gauge.refuses(2).empty());
  gauge.used(100 * kMiB - 1, 0, 3);
  CHECK(!gauge.isFull());
  gauge.used(100 * kMiB, 0, 4);
  CHECK(gauge.isFull());
  // What is refused is refused by the quota in force alone.
  gauge.set({.memoryBytesMax = 105 * kMiB}, 5);
  CHECK(!gauge.isFull());
  gauge.set({}, 6);
  gauge.used(1000 * kMiB, 0, 7);
  CHECK(!gauge.isFull());
}

TEST_CASE("group/quota: apply time comes to its share over the window, whatever the steps") {
  QuotaGauge gauge;
  gauge.set({.applyTimePercentMax = 20}, 0);
  // A burst of a whole window's share is taken.
  gauge.used(0, 2 * kSecondUs - 1, 0);
  CHECK(!gauge.isTired(0));
  gauge.used(0, 1, 0);
  CHECK(gauge.isTired(0));
  CHECK(gauge.refuses(0) == "apply time over 20 % of a thread: calls refused");
  // A tenth of it must have come in again: 0.2 s of its time, in a second.
  CHECK(gauge.isTired(kSecondUs - 1));
  CHECK(!gauge.isTired(kSecondUs));
  CHECK(gauge.refuses(kSecondUs).empty());

  // From then on it uses all it may, looked at every 10 µs: over a minute that is the share.
  int64_t usedUs = 0;
  int64_t from = kSecondUs;
  for (int64_t now = from; now < from + 60 * kSecondUs; now += 10) {
    int64_t workUs = gauge.isTired(now) ? 0 : 10;
    gauge.used(0, workUs, now);
    usedUs += workUs;
  }
  CHECK(usedUs > 60 * kSecondUs / 5 - kSecondUs / 10);
  CHECK(usedUs < 60 * kSecondUs / 5 + kSecondUs);
}

TEST_CASE("group/quota: a tired group that nobody asks is said to refuse no longer than it would") {
  QuotaGauge gauge;
  gauge.set({.applyTimePercentMax = 20}, 0);
  gauge.used(0, 2 * kSecondUs, 0);
  CHECK(gauge.isRefusing(kSecondUs - 1));
  CHECK(!gauge.isRefusing(kSecondUs));
  CHECK(gauge.refuses(kSecondUs).empty());
  // Once it has recovered it may use what it has.
  gauge.used(0, kSecondUs / 10, kSecondUs);
  CHECK(!gauge.isTired(kSecondUs));
}

TEST_CASE("group/quota: one long command owes a window at most") {
  QuotaGauge gauge;
  gauge.set({.applyTimePercentMax = 1}, 0);
  gauge.used(0, 3600 * kSecondUs, 0);
  CHECK(gauge.isTired(10 * kSecondUs));
  CHECK(!gauge.isTired(11 * kSecondUs));
  // A clock that has stood still, or a long silence, gives no more than the window holds.
  gauge.used(0, 0, 1000 * kSecondUs);
  gauge.used(0, kSecondUs / 10, 1000 * kSecondUs);
  CHECK(gauge.isTired(1000 * kSecondUs));
}

TEST_CASE("group/quota: a full group refuses commands, but for those that free memory") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  group::Group& group = trio.groupAt(leader);
  group::Meters meters;
  group.meter(meters);
  CHECK(trio.run(leader, mapCall(0, "a=1")).ok());
  raft::Index last = group.core().shape().lastIndex();
  group.limit({.memoryBytesMax = 1000});
  group.used(1000, 0);

  Outcome refused = trio.run(leader, mapCall(0, "a=2"));
  CHECK(refused.code == ErrorCode::tooLarge);
  CHECK(textOf(refused).find("memoryBytesMax") != std::string::npos);
  CHECK(group.core().shape().lastIndex() == last);  // nothing of it is in the log
  CHECK(meters.overMemory == 1);
  CHECK(group.status().refuses.find("commands refused") != std::string::npos);
  CHECK(textOf(trio.ask(leader, mapCall(1, "a"))) == "1");
  CHECK(trio.run(leader, freeing(mapCall(0, "a="))).ok());

  group.used(899, 0);
  CHECK(trio.run(leader, mapCall(0, "a=3")).ok());
  CHECK(group.status().refuses.empty());
}

TEST_CASE("group/quota: a follower's quota refuses no command of its leader") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  for (raft::ReplicaId id = 1; id <= 3; ++id) {
    trio.groupAt(id).limit({.memoryBytesMax = 1000, .applyTimePercentMax = 1});
    if (id != leader) trio.groupAt(id).used(5000, 60 * kSecondUs);
  }
  CHECK(trio.run(leader, mapCall(0, "a=1")).ok());
  trio.tickAll(2);
  for (raft::ReplicaId id = 1; id <= 3; ++id) CHECK(trio.machineAt(id).values["a"] == "1");
}

TEST_CASE("group/quota: a tired group refuses commands and queries, and takes them again") {
  Trio trio(1);
  REQUIRE(trio.elect() == 1);
  group::Group& group = trio.groupAt(1);
  group::Meters meters;
  group.meter(meters);
  group.limit({.applyTimePercentMax = 50});
  CHECK(trio.run(1, mapCall(0, "a=1")).ok());
  group.used(1, 5 * kSecondUs);
  CHECK(trio.run(1, mapCall(0, "a=2")).code == ErrorCode::overloaded);
  CHECK(trio.ask(1, mapCall(1, "a")).code == ErrorCode::overloaded);
  CHECK(meters.overTime == 2);
  CHECK(meters.queries == 0);
  trio.timeUs += kSecondUs;  // half a second of its time: a tenth
  CHECK(textOf(trio.ask(1, mapCall(1, "a"))) == "1");
  CHECK(trio.run(1, mapCall(0, "a=2")).ok());
}

TEST_CASE("group/quota: calls come to so many a second, in bursts of a tenth") {
  QuotaGauge gauge;
  CHECK(gauge.takesCall(0));
  gauge.set({.callsPerSecondMax = 1000}, 0);
  CHECK(gauge.isSet());
  auto burst = [&gauge](int64_t nowUs) {
    int taken = 0;
    while (gauge.takesCall(nowUs)) ++taken;
    return taken;
  };
  CHECK(burst(0) == 100);
  CHECK(gauge.refuses(0) == "more than 1000 calls a second: some refused");
  CHECK(burst(999) == 0);
  CHECK(burst(1000) == 1);
  CHECK(burst(60 * kSecondUs) == 100);  // a long silence gives no more
  CHECK(gauge.isRefusing(70 * kSecondUs - 1));
  CHECK(!gauge.isRefusing(70 * kSecondUs));
  CHECK(gauge.refuses(70 * kSecondUs).empty());

  // Asked every 10 µs, over a minute that is the rate.
  int taken = 0;
  int64_t from = 60 * kSecondUs;
  for (int64_t now = from; now < from + 60 * kSecondUs; now += 10) taken += gauge.takesCall(now);
  CHECK(taken > 59'900);
  CHECK(taken <= 60'000);

  // One call at least, however few they are to be; and no rate is too high to be counted.
  gauge.set({.callsPerSecondMax = 1}, 0);
  CHECK(burst(0) == 1);
  CHECK(burst(kSecondUs - 1) == 0);
  CHECK(burst(kSecondUs) == 1);
  gauge.set({.callsPerSecondMax = 1'000'000'000}, 0);
  CHECK(gauge.takesCall(3600 * kSecondUs));
  gauge.set({}, 0);
  CHECK(gauge.takesCall(0));
  CHECK(!gauge.isRefusing(0));
}

TEST_CASE("group/quota: a quota that is changed leaves the others as they stand") {
  QuotaGauge gauge;
  Quotas quotas{.memoryBytesMax = 100 * kMiB, .applyTimePercentMax = 10, .callsPerSecondMax = 10};
  gauge.set(quotas, 0);
  gauge.used(100 * kMiB, 2 * kSecondUs, 0);
  gauge.used(95 * kMiB, 0, 0);
  CHECK(gauge.takesCall(0));
  CHECK(!gauge.takesCall(0));
  CHECK((gauge.isFull() && gauge.isTired(0)));
  quotas.callsPerSecondMax = 20;
  gauge.set(quotas, 0);
  CHECK((gauge.isFull() && gauge.isTired(0) && gauge.takesCall(0)));
  quotas.applyTimePercentMax = 20;
  gauge.set(quotas, 0);
  CHECK((gauge.isFull() && !gauge.isTired(0)));
  quotas.memoryBytesMax = 99 * kMiB;
  gauge.set(quotas, 0);
  CHECK(!gauge.isFull());
}

TEST_CASE("group/quota: a group that is called too often refuses commands and queries alike") {
  Trio trio(1);
  REQUIRE(trio.elect() == 1);
  group::Group& group = trio.groupAt(1);
  group::Meters meters;
  group.meter(meters);
  group.limit({.callsPerSecondMax = 20});
  CHECK(trio.run(1, mapCall(0, "a=1")).ok());
  CHECK(textOf(trio.ask(1, mapCall(1, "a"))) == "1");
  raft::Index last = group.core().shape().lastIndex();
  Outcome refused = trio.run(1, mapCall(0, "a=2"));
  CHECK(refused.code == ErrorCode::overloaded);
  CHECK(textOf(refused) == "more than 20 calls a second, its quota callsPerSecondMax; try later");
  CHECK(trio.ask(1, mapCall(1, "a")).code == ErrorCode::overloaded);
  CHECK(group.core().shape().lastIndex() == last);
  CHECK(meters.overRate == 2);
  // What is refused for another reason is not counted.
  trio.timeUs += kSecondUs / 20;
  CHECK(trio.run(1, mapCall(0, std::string(9 << 20, 'x'))).code == ErrorCode::tooLarge);
  CHECK(textOf(trio.ask(1, mapCall(1, "a"))) == "1");
  CHECK(meters.queries == 2);
  CHECK(group.isOverQuota());
  trio.timeUs += kSecondUs / 20;
  CHECK(trio.run(1, mapCall(0, "a=2")).ok());
}

TEST_CASE("group/quota: a follower that is too old to answer says who leads, however often") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId follower = leader % 3 + 1;
  trio.cut(follower);
  trio.groupAt(follower).limit({.callsPerSecondMax = 1});
  trio.timeUs += 10 * kSecondUs;
  for (int i = 0; i < 5; ++i) {
    Outcome outcome = trio.ask(follower, mapCall(1, "a"), {group::Freshness::Kind::stale, 1000});
    CHECK(outcome.code == ErrorCode::notLeader);
  }
}

TEST_CASE("group/quota: what is replayed after a start tires nobody") {
  Trio trio(1);
  REQUIRE(trio.elect() == 1);
  for (int i = 0; i < 10; ++i) CHECK(trio.run(1, mapCall(0, "a=1")).ok());
  trio.tickAll(2);
  trio.crash(1);
  trio.at(1).works = false;
  trio.start(1);
  group::Group& group = trio.groupAt(1);
  group.limit({.applyTimePercentMax = 1});
  group.used(1, 60 * kSecondUs);
  CHECK(group.status().refuses.empty());
  trio.at(1).works = true;
  trio.settle();
  trio.elect();
  group.used(1, 60 * kSecondUs);
  CHECK(!group.status().refuses.empty());
}

}  // namespace flotilla::test
