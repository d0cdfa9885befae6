// Those who set alarms in simulated groups.
#include "tests/sim/alarm_setters.h"

namespace flotilla::sim {

void AlarmSetters::begin() {
  if (world_.options.everyAlarm == 0) return;
  for (const GroupPlace& place : world_.groups) againLater(place.id);
}

void AlarmSetters::againLater(uint64_t group) {
  auto mean = static_cast<uint64_t>(world_.options.everyAlarm);
  world_.events.in(1 + static_cast<int64_t>(dice_.below(2 * mean)), [this, group]() {
    if (world_.isCalm()) return;
    set(group);
    againLater(group);
  });
}

AlarmCommand AlarmSetters::drawAlarm() {
  AlarmCommand alarm;
  alarm.alarm = ++lastAlarm_;
  // Some together, so that they come due at once.
  alarm.inUs = static_cast<int64_t>(dice_.chance(300) ? 200'000 : dice_.below(1'500'000));
  if (dice_.chance(100)) alarm.inUs = 0;
  if (dice_.chance(200)) alarm.again = 1 + static_cast<uint32_t>(dice_.below(3));
  uint64_t end = dice_.below(10);
  if (end == 0) alarm.fails = AlarmCommand::Fails::setting;
  if (end == 1) alarm.fails = AlarmCommand::Fails::ringing;
  return alarm;
}

// At whoever leads, or is believed to.
void AlarmSetters::set(uint64_t group) {
  SimHost* host = world_.hostOfLeader(group);
  if (host == nullptr) return;
  AlarmCommand alarm = drawAlarm();
  host->post(0, [this, host, group, alarm]() {
    host->onGroup(group, [&](group::Group& its) {
      its.propose(host->expect([this, group, alarm](const group::Outcome& outcome) {
        answered(group, alarm, outcome);
      }),
                  alarmCall(alarm));
    });
  });
}

void AlarmSetters::answered(uint64_t group, const AlarmCommand& alarm,
                            const group::Outcome& outcome) {
  bool fails = alarm.fails == AlarmCommand::Fails::setting;
  if (outcome.code == (fails ? ErrorCode::app : ErrorCode::none)) {
    return world_.judge.alarmAcknowledged(group, alarm.alarm, outcome);
  }
  if (outcome.ok() || outcome.code == ErrorCode::app) {
    return world_.judge.fail("g" + std::to_string(group) + " alarm " + std::to_string(alarm.alarm),
                             "has an answer of another");
  }
  if (maybeDone(outcome.code)) return;
  world_.judge.alarmRefused(group, alarm.alarm, outcome.code);
  refused_.emplace_back(group, alarm.alarm);
}

void AlarmSetters::judge() {
  for (const auto& [group, alarm] : refused_) {
    world_.judge.alarmRefused(group, alarm, ErrorCode::notLeader);
  }
}

}  // namespace flotilla::sim
