// Calls that go round many groups, and are given to them some dozens at a time.
#include <algorithm>
#include <memory>

#include <doctest/doctest.h>

#include "tests/client/world.h"

namespace {

using namespace flotilla;        // NOLINT(google-build-using-namespace)
using namespace flotilla::test;  // NOLINT(google-build-using-namespace)
using client::Outcome;

constexpr uint64_t kGroups = 20;
constexpr uint64_t kBusy = 300;  // calls that nobody answers until `goOn`

// The values that a group was given, in that order.
std::vector<uint64_t> valuesOf(World& world, const std::string& name) {
  std::vector<uint64_t> seen;
  for (const Applied& it : world.cluster.groups.at(name).applied) {
    uint64_t value = 0;
    std::memcpy(&value, it.params.data() + 8, sizeof value);
    seen.push_back(value);
  }
  return seen;
}

// A client that has calls enough under way to count as busy.
struct Busy : World {
  kj::PromiseFulfillerPair<void> answering = kj::newPromiseAndFulfiller<void>();
  kj::ForkedPromise<void> answers = answering.promise.fork();
  kj::Promise<kj::Array<Outcome>> early = nullptr;

  Busy() {
    options.callTimeoutMs = 20'000;
    options.unansweredMax = kBusy;
    for (uint64_t i = 0; i < kGroups; ++i) cluster.groups[nameOf(i)].id = 10 + i;
    start();
    for (uint64_t i = 0; i < kGroups; ++i) REQUIRE(wait(put(1, nameOf(i))).ok());
    for (auto& [name, group] : cluster.groups) {
      group.applied.clear();
      group.delay = [this]() { return answers.addBranch(); };
    }
    auto promises = kj::heapArrayBuilder<kj::Promise<Outcome>>(kBusy);
    for (uint64_t i = 0; i < kBusy; ++i) promises.add(put(i));
    early = kj::joinPromises(promises.finish());
    pass();
  }
  static std::string nameOf(uint64_t group) { return "g" + std::to_string(group); }
  void pass() {
    kj::Promise<void> never(kj::NEVER_DONE);
    never.poll(scope);
  }
  void goOn() { answering.fulfiller->fulfill(); }

  std::vector<uint64_t> seenBy(const std::string& name) { return valuesOf(*this, name); }
};

}  // namespace

TEST_CASE("client/intake: each group has its calls once and in their order") {
  Busy busy;
  auto promises = kj::heapArrayBuilder<kj::Promise<Outcome>>(kGroups * 9);
  for (uint64_t round = 0; round < 3; ++round) {
    for (uint64_t i = 0; i < kGroups; ++i) {
      for (uint64_t n = 0; n < 3; ++n) promises.add(busy.put(10 * round + n, Busy::nameOf(i)));
    }
  }
  busy.pass();
  busy.goOn();
  for (const Outcome& outcome : busy.wait(kj::joinPromises(promises.finish()))) {
    CHECK(outcome.ok());
  }
  std::vector<uint64_t> wanted = {0, 1, 2, 10, 11, 12, 20, 21, 22};
  for (uint64_t i = 0; i < kGroups; ++i) CHECK(busy.seenBy(Busy::nameOf(i)) == wanted);
}

TEST_CASE("client/intake: a large call comes after those that were made before it") {
  Busy busy;
  auto large = kj::heapArray<capnp::word>(1'000);
  std::fill(large.begin(), large.end(), capnp::word{});
  uint64_t value = 7;
  std::memcpy(static_cast<void*>(&large[1]), &value, sizeof value);
  auto first = busy.put(6, "g1");
  auto second = busy.client->group("g1")->call({1, 0}, large);
  auto third = busy.put(8, "g1");
  busy.goOn();
  CHECK(busy.wait(kj::mv(first)).ok());
  CHECK(busy.wait(kj::mv(second)).ok());
  CHECK(busy.wait(kj::mv(third)).ok());
  CHECK(busy.seenBy("g1") == std::vector<uint64_t>{6, 7, 8});
}

TEST_CASE("client/intake: what waits there counts, and what is too much is refused") {
  Busy busy;
  auto orders = busy.client->group("orders");
  auto other = busy.client->group("g1");
  auto early = busy.put(1, "g1");
  auto refused = busy.put(2);
  CHECK(other->unanswered() == 1);
  CHECK(orders->unanswered() == kBusy);
  CHECK(codeOf(busy.wait(kj::mv(refused))) == "overloaded");
  busy.goOn();
  CHECK(busy.wait(kj::mv(early)).ok());
  for (const Outcome& outcome : busy.wait(kj::mv(busy.early))) CHECK(outcome.ok());
}

TEST_CASE("client/intake: with a client go the calls that it has not given yet") {
  Busy busy;
  auto told = std::make_shared<int>(0);
  capnp::word words[2] = {};
  for (uint64_t i = 0; i < kGroups - 1; ++i) {
    // Each holds on to the next group, which is dropped with it.
    auto held = busy.client->group(Busy::nameOf(i + 1));
    busy.client->group(Busy::nameOf(i))
        ->call({1, 0}, kj::arrayPtr(words, 2), [told, held = kj::mv(held)](Outcome&&) { ++*told; });
  }
  CHECK(told.use_count() == static_cast<long>(kGroups));
  busy.early = nullptr;
  busy.client = nullptr;
  busy.pass();
  CHECK(*told == 0);
  CHECK(told.use_count() == 1);
}

TEST_CASE("client/intake: one group goes with its calls, and the others have what is theirs") {
  World world;
  for (uint64_t i = 1; i <= 3; ++i) world.cluster.groups["g" + std::to_string(i)].id = i;
  auto hosts = kj::refcounted<client::Hosts>(world.timer, kj::heap<FakeNetwork>(world.cluster),
                                             world.options);
  hosts->unanswered = 1'000;  // as where others of this client's calls are under way
  auto group = [&hosts](const char* name) {
    return kj::refcounted<client::GroupClient>(kj::addRef(*hosts), name);
  };
  auto gone = group("g1");
  auto second = group("g2");
  auto third = group("g3");
  auto told = std::make_shared<int>(0);
  std::vector<kj::Promise<Outcome>> kept;
  for (uint64_t i = 1; i <= 4; ++i) {
    capnp::word words[8] = {};
    std::memcpy(static_cast<void*>(&words[1]), &i, sizeof i);
    gone->call({1, 0}, kj::arrayPtr(words, 9 - i), [told](Outcome&&) { ++*told; });
    kept.push_back(second->call({1, 0}, kj::arrayPtr(words, 2 + i)));
    kept.push_back(third->call({1, 0}, kj::arrayPtr(words, 2)));
  }
  CHECK(told.use_count() == 5);
  gone = nullptr;
  CHECK(told.use_count() == 1);
  for (auto& promise : kept) CHECK(world.wait(kj::mv(promise)).ok());
  CHECK(*told == 0);
  CHECK(world.cluster.groups.at("g1").applied.empty());
  CHECK(valuesOf(world, "g2") == std::vector<uint64_t>{1, 2, 3, 4});
  CHECK(valuesOf(world, "g3") == std::vector<uint64_t>{1, 2, 3, 4});
  CHECK(world.cluster.groups.at("g2").applied.back().params.size() == 6 * sizeof(capnp::word));
}
