// Timers: each fires once, in order, never early by log time, and only where its command went well.
#include "tests/sim/judge.h"

namespace flotilla::sim {
namespace {

std::string at(group::Position position) {
  return std::to_string(position.index) + "." + std::to_string(position.ordinal);
}

std::string messageOf(uint64_t alarm) {
  return {reinterpret_cast<const char*>(&alarm), sizeof alarm};
}

std::string nameOfAlarm(uint64_t alarm) {
  return "alarm " + std::to_string(alarm);
}

}  // namespace

void Judge::awaitAlarm(GroupFacts& known, GroupFacts::Alarm& alarm, int64_t dueUs) {
  alarm.dueUs = dueUs;
  alarm.order = ++known.lastAlarmOrder;
  alarm.waits = true;
  known.alarmsDue.insert({{dueUs, alarm.order}, alarm.what.alarm});
}

void Judge::alarmSet(group::ReplicaKey replica, const group::MachineCommand& command,
                     const AlarmCommand& what, bool done) {
  GroupFacts& known = facts(replica.group);
  auto [set, fresh] = known.alarms.insert({what.alarm, {what, command.position, 0, 0, false}});
  GroupFacts::Alarm& alarm = set->second;
  if (alarm.setAt != command.position) {
    return fail(nameOf(replica), nameOfAlarm(what.alarm) + " is set at " + at(alarm.setAt) +
                                     " and again at " + at(command.position));
  }
  bool fails = what.fails == AlarmCommand::Fails::setting;
  if (done == fails) return fail(nameOf(replica), nameOfAlarm(what.alarm) + " has another end");
  if (!fresh || !done) return;
  known.events.insert({command.position, {"alarms/set", messageOf(what.alarm)}});
  awaitAlarm(known, alarm, command.timeUs + what.inUs);
}

void Judge::alarmRang(group::ReplicaKey replica, const group::MachineCommand& command, bool done) {
  GroupFacts& known = facts(replica.group);
  std::string what = nameOfAlarm(command.token) + " at " + at(command.position);
  auto [ring, fresh] = known.rings.insert({command.position, command.token});
  if (ring->second != command.token) {
    return fail(nameOf(replica),
                what + ": elsewhere " + nameOfAlarm(ring->second) + " rings there");
  }
  auto set = known.alarms.find(command.token);
  if (set == known.alarms.end()) return fail(nameOf(replica), what + " rings and was never set");
  GroupFacts::Alarm& alarm = set->second;
  if (done == (alarm.what.fails == AlarmCommand::Fails::ringing)) {
    return fail(nameOf(replica), what + " has another end");
  }
  if (!fresh) return;
  if (!alarm.waits) return fail(nameOf(replica), what + " rings and does not wait");
  if (command.timeUs < alarm.dueUs) {
    return fail(nameOf(replica),
                what + " rings " + std::to_string(alarm.dueUs - command.timeUs) + " us early");
  }
  if (known.alarmsDue.begin()->second != command.token) {
    return fail(nameOf(replica),
                what + " rings before " + nameOfAlarm(known.alarmsDue.begin()->second));
  }
  ++report_[Count::timersFired];
  known.alarmsDue.erase(known.alarmsDue.begin());
  alarm.waits = false;
  if (done) known.events.insert({command.position, {"alarms/rung", messageOf(command.token)}});
  if (!done || alarm.what.again == 0) return;
  --alarm.what.again;
  awaitAlarm(known, alarm, command.timeUs + alarm.what.inUs);
}

void Judge::alarmAcknowledged(uint64_t group, uint64_t alarm, const group::Outcome& outcome) {
  auto set = facts(group).alarms.find(alarm);
  std::string who = "g" + std::to_string(group) + " " + nameOfAlarm(alarm);
  if (set == facts(group).alarms.end() || set->second.setAt != outcome.position) {
    fail(who, "is acknowledged and was not set there");
  }
}

void Judge::alarmRefused(uint64_t group, uint64_t alarm, ErrorCode code) {
  if (!facts(group).alarms.contains(alarm)) return;
  fail("g" + std::to_string(group) + " " + nameOfAlarm(alarm),
       "is refused with " + std::string(flotilla::nameOf(code)) + " and was set");
}

}  // namespace flotilla::sim
