// Timers in an author's hands: set, fired by the harness, undone, and part of no snapshot.
#include "flotilla/timers.h"

#include <doctest/doctest.h>

#include "alarms.capnp.h"
#include "counter.capnp.h"
#include "flotilla/harness.h"
#include "tests/plugin/alarms/alarm_machine.h"

using flotilla::test::AlarmMachine;
using flotilla::testing::Harness;
using flotilla::testing::MachineFault;

namespace {

struct AlarmClock : Harness<AlarmMachine> {
  AlarmClock() : Harness({FLOTILLA_HANDLERS(AlarmMachine, set, setMany, tally)}) {}
  auto set(uint64_t alarm, int64_t inUs, uint32_t again = 0, Fails fails = Fails::NEVER) {
    return call<&AlarmMachine::set>([&](auto in) {
      in.setAlarm(alarm);
      in.setInUs(inUs);
      in.setAgain(again);
      in.setFails(fails);
    });
  }
  uint64_t rung() {
    return call<&AlarmMachine::tally>([](auto) {}).result().getRung();
  }
};

// Sets a timer and has no wake.
class Sleepless {
public:
  void add(const flotilla::Entry& entry, Counter::AddParams::Reader, Counter::AddResults::Builder) {
    entry.wakeAt(entry.timeUs());
  }
  void read(const flotilla::View&, Counter::ReadParams::Reader,
            Counter::ReadResults::Builder) const {}
};

}  // namespace

TEST_CASE("sdk/harness: timers fire in order as time moves on, those they set included") {
  AlarmClock clock;
  CHECK(clock.set(1, 5000).ok());
  CHECK(clock.set(2, 1000, 2).ok());
  CHECK(clock.timers().size() == 2);
  CHECK(clock.advance(999) == 0);
  CHECK(clock.advance(1) == 1);
  CHECK(clock.advance(2000) == 2);
  CHECK(clock.advance(1999) == 0);
  CHECK(clock.advance(1) == 1);
  CHECK(clock.rung() == 4);
  CHECK(clock.timers().empty());
  REQUIRE(clock.events.size() == 6);
  CHECK(clock.events[1].first == "alarms/set");
  CHECK(clock.events[2].first == "alarms/rung");
  CHECK(clock.events[2].second == std::string("\2\0\0\0\0\0\0\0", 8));
}

TEST_CASE("sdk/harness: a command that fails sets no timer, nor does a timer that fails") {
  AlarmClock clock;
  CHECK(clock.set(1, 10, 0, Fails::SETTING).code() == "asked");
  CHECK(clock.timers().empty());
  CHECK(clock.set(2, 10, 0, Fails::RINGING).ok());
  uint64_t digest = clock.digest();
  CHECK(clock.advance(10) == 1);
  CHECK(clock.timers().empty());
  CHECK(clock.digest() == digest);
  CHECK(clock.events.size() == 1);  // of the one that set it
}

TEST_CASE("sdk/harness: an event that no listener could be told is the author's error") {
  class Teller {
  public:
    void add(const flotilla::Entry& entry, Counter::AddParams::Reader in,
             Counter::AddResults::Builder) {
      entry.emit(in.getName().cStr(), std::string(static_cast<size_t>(in.getBy()), 'm'));
    }
    void read(const flotilla::View&, Counter::ReadParams::Reader,
              Counter::ReadResults::Builder) const {}
  };
  Harness<Teller> teller({FLOTILLA_HANDLERS(Teller, add, read)});
  auto tell = [&](const std::string& topic, int64_t bytes) {
    return teller
        .call<&Teller::add>([&](auto in) {
          in.setName(topic);
          in.setBy(bytes);
        })
        .code();
  };
  CHECK(tell("orders/1", 65536) == "");
  CHECK(tell("orders/1", 65537) == "badEvent");
  CHECK(tell(std::string(256, 't'), 1) == "badEvent");
  CHECK(teller.events.size() == 1);
}

TEST_CASE("sdk/harness: timers outlive a restart, for the host keeps them") {
  AlarmClock clock;
  CHECK(clock.set(1, 10).ok());
  clock.restart();
  CHECK(clock.advance(10) == 1);
  CHECK(clock.rung() == 1);
}

TEST_CASE("sdk/instance: a machine that sets a timer and cannot be woken says so") {
  Harness<Sleepless> machine({FLOTILLA_HANDLERS(Sleepless, add, read)});
  CHECK_THROWS_WITH_AS(machine.call<&Sleepless::add>([](auto) {}),
                       "sets a timer and has no wake to be called then", MachineFault);
  const auto* d = flotilla::describe<Sleepless, Counter>(
      "sleepless", "1.0.0", {FLOTILLA_HANDLERS(Sleepless, add, read)}, true);
  REQUIRE(d->problem != nullptr);
  CHECK(std::string(d->problem).find("calls entry.wakeAt, and its machine has no public") == 0);
  CHECK((d->abilities & FLOTILLA_TIMERS) == 0);
}

// A service may be an interface that extends others, and its machine a class that extends theirs.
TEST_CASE("sdk/handler: a machine has the handlers of the classes that it extends") {
  class Both : public AlarmMachine {
  public:
    void add(const flotilla::Entry&, Counter::AddParams::Reader in,
             Counter::AddResults::Builder out) {
      sum_.set(*sum_ + in.getBy());
      out.setValue(*sum_);
    }

  private:
    flotilla::Single<int64_t> sum_;
  };
  Harness<Both> both({FLOTILLA_HANDLERS(Both, add, set, setMany, tally)});
  CHECK(both.call<&Both::set>([](auto in) { in.setAlarm(1); }).ok());
  CHECK(both.call<&Both::add>([](auto in) { in.setBy(5); }).result().getValue() == 5);
  both.restart();
  CHECK(both.advance(0) == 1);
  CHECK(both.call<&Both::add>([](auto in) { in.setBy(2); }).result().getValue() == 7);
}
