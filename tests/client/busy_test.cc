// What goes together while much is under way.
#include <doctest/doctest.h>

#include "tests/client/world.h"

using namespace flotilla;        // NOLINT(google-build-using-namespace)
using namespace flotilla::test;  // NOLINT(google-build-using-namespace)
using client::Outcome;

TEST_CASE("client/lane: while it is busy, who has been answered and who waits go together") {
  constexpr uint64_t kCallsThatHang = 300;
  World world;
  FakeGroup& orders = world.group();
  world.cluster.groups["hangs"].fates = {FakeGroup::Fate::hang};
  world.start();
  REQUIRE(world.wait(world.put(1)).ok());
  orders.batches.clear();

  kj::Vector<kj::Promise<Outcome>> hang;
  for (uint64_t i = 0; i < kCallsThatHang; ++i) hang.add(world.put(i, "hangs"));
  kj::Maybe<kj::Promise<Outcome>> second;
  orders.answer = [&](uint16_t, std::string_view params) {
    if (second == nullptr) second = world.put(3);  // the first is on its way home
    return std::string(params);
  };
  orders.delay = [&]() { return world.timer.afterDelay(1 * kj::MILLISECONDS); };
  auto third = world.put(2).then([&](Outcome&& outcome) {
    CHECK(outcome.ok());
    return world.put(4);  // by who has only one under way
  });
  CHECK(world.wait(kj::mv(third)).ok());
  CHECK(world.wait(kj::mv(KJ_ASSERT_NONNULL(second))).ok());
  CHECK(orders.batches == std::vector<size_t>{1, 2});
}
