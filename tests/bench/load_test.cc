// Which group a caller asks next.
#include "tests/bench/load.h"

#include <doctest/doctest.h>
#include <kj/timer.h>

namespace flotilla::bench {
namespace {

// Answers nothing: the test does.
class Calls final : public Road {
public:
  kj::Promise<void> open() override { return kj::READY_NOW; }
  void put(const Call& call, std::string_view, std::string_view) override { made.push_back(call); }
  void get(const Call&, std::string_view) override { FAIL("none was asked for"); }
  std::vector<Call> made;
};

}  // namespace

TEST_CASE("bench/load: who is answered asks the next group, or stays with his") {
  Options options;
  options.groups = 3;
  options.inFlight = 3;
  options.keys = 30;
  SUBCASE("the next") {}
  SUBCASE("his") {
    options.stay = true;
  }
  kj::EventLoop loop;
  kj::WaitScope scope(loop);
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  Load load(options, timer);
  Calls calls;
  load.useRoads({&calls});
  auto running = load.run(nullptr);
  REQUIRE(calls.made.size() == 3);
  for (uint32_t group : {0, 1, 2}) CHECK(calls.made[group].key == KeyId{group, 0});

  // The last group alone answers.
  for (uint32_t turn = 1; turn <= 12; ++turn) {
    load.ended(Call(calls.made[options.stay ? calls.made.size() - 1 : 2]), {});
    REQUIRE(calls.made.size() == 3 + turn);
    KeyId next = options.stay ? KeyId{2, turn % 10} : KeyId{(2 + turn) % 3, (2 + turn) / 3};
    CHECK(calls.made.back().key == next);
  }
}

}  // namespace flotilla::bench
