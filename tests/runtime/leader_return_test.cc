// Leaderships go back one by one, to a host that has been up for a while.
#include "host/runtime/leader_return.h"

#include <vector>

#include <doctest/doctest.h>

namespace flotilla::runtime {
namespace {

using Answer = LeaderReturn::Answer;

// Groups 1 to `count` of host 2, led in term 7, each answered alike.
struct Giver {
  LeaderReturn returns;
  Answer answer = Answer::given;
  std::vector<uint64_t> asked;

  void up(uint64_t count) {
    std::vector<LeaderReturn::Led> led;
    for (uint64_t group = 1; group <= count; ++group) led.push_back({group, 7});
    returns.hostUp(2, led);
  }
  void tick(uint64_t times = 1) {
    for (uint64_t i = 0; i < times; ++i) {
      returns.tick([this](LeaderReturn::Led led, uint64_t host) {
        CHECK(led.term == 7);
        CHECK(host == 2);
        asked.push_back(led.group);
        return answer;
      });
    }
  }
};

}  // namespace

TEST_CASE("runtime/leader_return: a host that has been up for a while gets its groups one by one") {
  Giver giver;
  giver.up(5);
  giver.tick(LeaderReturn::kSettleTicks - 1);
  CHECK(giver.asked.empty());
  giver.tick(3);
  CHECK(giver.asked == std::vector<uint64_t>{1, 2, 3});
  giver.tick(100);
  CHECK(giver.asked == std::vector<uint64_t>{1, 2, 3, 4, 5});  // and once
}

TEST_CASE("runtime/leader_return: a host that goes again gets nothing, and waits anew when back") {
  Giver giver;
  giver.up(5);
  giver.tick(LeaderReturn::kSettleTicks + 1);
  giver.returns.hostDown(2);
  CHECK(giver.returns.waiting() == 0);
  giver.tick(LeaderReturn::kSettleTicks);
  CHECK(giver.asked.size() == 2);
  giver.up(5);
  giver.tick(LeaderReturn::kSettleTicks - 1);
  CHECK(giver.asked.size() == 2);
  giver.tick(100);
  CHECK(giver.asked.size() == 2 + 5);
}

TEST_CASE("runtime/leader_return: what lags behind is asked again later, so often and no more") {
  Giver giver;
  giver.answer = Answer::notNow;
  giver.up(1);
  giver.tick(LeaderReturn::kSettleTicks);
  CHECK(giver.asked.size() == 1);
  giver.tick(LeaderReturn::kAgainTicks - 1);
  CHECK(giver.asked.size() == 1);
  giver.tick();
  CHECK(giver.asked.size() == 2);
  giver.tick(LeaderReturn::kAgainTicks * LeaderReturn::kTriesMax * 2);
  CHECK(giver.asked.size() == LeaderReturn::kTriesMax);
  CHECK(giver.returns.waiting() == 0);
}

TEST_CASE("runtime/leader_return: thousands that cannot go are not all looked at in one tick") {
  Giver giver;
  giver.answer = Answer::never;
  giver.up(1000);
  giver.tick(LeaderReturn::kSettleTicks);
  CHECK(giver.asked.size() == LeaderReturn::kLooksATick);
}

}  // namespace flotilla::runtime
