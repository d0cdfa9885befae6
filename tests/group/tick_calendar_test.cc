// A host's calendar of ticks: each is looked at when it is due, and no other is.
#include "host/group/tick_calendar.h"

#include <algorithm>
#include <deque>
#include <vector>

#include <doctest/doctest.h>

#include "host/base/prng.h"

namespace flotilla::test {
namespace {

struct Ticked {
  group::TickPlace tickPlace;
  uint64_t due = 0;
};

using Calendar = group::TickCalendar<Ticked*>;

void plan(Calendar& calendar, Ticked& it, uint64_t due) {
  it.due = due;
  if (it.tickPlace.plan(due)) calendar.put(&it);
}

}  // namespace

TEST_CASE(
    "group/tick_calendar: whatever is planned anew meanwhile, each is ticked when it is due") {
  base::Prng dice(1);
  Calendar calendar;
  std::deque<Ticked> all(40);
  for (Ticked& it : all) plan(calendar, it, 1 + dice.below(Calendar::kTicksMax));
  size_t ticked = 0;
  for (uint64_t now = 1; now <= 5000; ++now) {
    calendar.goOn(now, [&](Ticked* it) {
      REQUIRE(it->due == now);
      ++ticked;
      bool rests = dice.chance(100);
      plan(calendar, *it,
           rests ? group::TickPlace::kNever : now + 1 + dice.below(Calendar::kTicksMax));
      return true;
    });
    for (const Ticked& it : all) REQUIRE(it.due > now);
    for (int i = 0; i < 10; ++i) {  // what is given to one may put its next tick off, or not
      plan(calendar, all[dice.below(all.size())], now + 1 + dice.below(Calendar::kTicksMax));
    }
  }
  CHECK(ticked > 10'000);
}

TEST_CASE("group/tick_calendar: one that is dropped is not ticked, nor one that answers so") {
  Calendar calendar;
  Ticked one;
  Ticked other;
  plan(calendar, one, 5);
  plan(calendar, one, 3);
  plan(calendar, other, 3);
  calendar.drop(&one);
  std::vector<Ticked*> seen;
  auto tick = [&](Ticked* it) {
    seen.push_back(it);
    plan(calendar, *it, 4);
    return false;
  };
  for (uint64_t now = 1; now <= 40; ++now) calendar.goOn(now, tick);
  CHECK(seen == std::vector<Ticked*>{&other});
  // It begins anew with what it is given next.
  plan(calendar, other, 41);
  calendar.goOn(41, tick);
  CHECK(seen.size() == 2);
}

TEST_CASE("group/tick_calendar: one that is dropped while it is ticked is not looked at again") {
  Calendar calendar;
  Ticked one;
  plan(calendar, one, 1);
  int ticked = 0;
  auto tick = [&](Ticked* it) {
    ++ticked;
    plan(calendar, *it, 3);
    calendar.drop(it);
    return true;
  };
  for (uint64_t now = 1; now <= 40; ++now) calendar.goOn(now, tick);
  CHECK(ticked == 1);
}

}  // namespace flotilla::test
