// Pending timers: their order, their bounds, and how they are saved.
#include "host/group/timers.h"

#include <string>

#include <capnp/message.h>
#include <doctest/doctest.h>

namespace flotilla::group {
namespace {

std::string textOf(const std::vector<Timers::Timer>& timers) {
  std::string text;
  for (const Timers::Timer& timer : timers) {
    text += std::to_string(timer.timeUs) + ":" + std::to_string(timer.token) + " ";
  }
  return text;
}

std::string due(Timers& timers, int64_t nowUs) {
  std::vector<Timers::Timer> taken;
  timers.takeDue(nowUs, taken);
  return textOf(taken);
}

// Through a saved state.
Result<void> copy(const Timers& from, Timers& to) {
  capnp::MallocMessageBuilder message;
  auto state = message.initRoot<schema::GroupState>();
  from.save(state);
  return to.load(state.asReader());
}

}  // namespace

TEST_CASE("group/timers: they come due by time, and equal times in the order of setting") {
  Timers timers;
  CHECK(timers.nextUs() == kNoTimer);
  timers.set({30, 1});
  timers.set({10, 2});
  timers.set({20, 3});
  timers.set({10, 4});
  timers.set({-5, 5});
  timers.set({10, 2});  // the same again is another
  CHECK(timers.nextUs() == -5);
  CHECK(due(timers, -6) == "");
  CHECK(due(timers, 10) == "-5:5 10:2 10:4 10:2 ");
  CHECK(due(timers, 10) == "");
  CHECK(timers.nextUs() == 20);
  CHECK(due(timers, INT64_MAX) == "20:3 30:1 ");
  CHECK(timers.size() == 0);
  CHECK(timers.nextUs() == kNoTimer);
}

TEST_CASE("group/timers: so many are taken at once, in order, and no more") {
  Timers timers;
  for (uint64_t i = 0; i < 2 * kTimersAtOnceMax + 1; ++i) timers.set({5, i});
  std::vector<Timers::Timer> taken;
  uint64_t next = 0;
  for (size_t wanted : {kTimersAtOnceMax, kTimersAtOnceMax, size_t{1}, size_t{0}}) {
    timers.takeDue(5, taken);
    REQUIRE(taken.size() == wanted);
    for (const Timers::Timer& timer : taken) CHECK(timer.token == next++);
  }
}

TEST_CASE("group/timers: a saved state gives them back in the order in which they would fire") {
  Timers timers;
  for (uint64_t i = 0; i < 500; ++i) {
    timers.set({static_cast<int64_t>(i * 7919 % 101), i});
    std::vector<Timers::Timer> some;
    if (i % 100 == 99) timers.takeDue(static_cast<int64_t>(i / 50), some);
  }
  Timers copied;
  copied.set({1, 1});  // what was there before goes
  REQUIRE(copy(timers, copied).ok());
  CHECK(textOf(copied.inOrder()) == textOf(timers.inOrder()));
  timers.set({50, 1000});
  copied.set({50, 1000});
  CHECK(due(copied, 1000) == due(timers, 1000));
}

TEST_CASE("group/timers: a saved state with too many, or in disorder, is refused") {
  capnp::MallocMessageBuilder message;
  auto state = message.initRoot<schema::GroupState>();
  auto two = state.initTimers(2);
  two[0].setTimeUs(2);
  two[1].setTimeUs(1);
  Timers timers;
  auto disorder = timers.load(state.asReader());
  REQUIRE_FALSE(disorder.ok());
  CHECK(disorder.fault().text == "group state: its timers are out of order");
  state.initTimers(kTimersMax + 1);
  auto many = timers.load(state.asReader());
  REQUIRE_FALSE(many.ok());
  CHECK(many.fault().code == ErrorCode::corrupt);
  CHECK(many.fault().text == "group state: 131073 timers, at most 131072 can be pending");
}

}  // namespace flotilla::group
