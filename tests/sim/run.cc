// One seed from its first moment to its last.
#include "tests/sim/run.h"

#include <set>

#include "host/base/checksum.h"
#include "host/raft/membership.h"
#include "tests/sim/alarm_setters.h"
#include "tests/sim/clients.h"
#include "tests/sim/event_listeners.h"
#include "tests/sim/nemesis.h"
#include "tests/sim/operators.h"
#include "tests/sim/sim_machine.h"
#include "tests/sim/world.h"

namespace flotilla::sim {
namespace {

constexpr int64_t kLookEveryUs = 50'000;

// What keeps a group from being at rest; empty: it is.
std::string unrestOf(World& world, uint64_t group) {
  SimHost* host = world.hostOfLeader(group);
  if (host == nullptr) return "nobody leads";
  group::Status leader = host->find(group)->status();
  if (leader.configuration.joint()) return "its configuration is still joint";
  if (leader.commit != leader.lastIndex) return "its leader has not committed all it has";
  bool poisoned = world.judge.facts(group).poisonedAt.has_value();
  for (raft::ReplicaId member : raft::membersOf(leader.configuration)) {
    group::ReplicaKey key{group, member};
    std::string who = "n" + std::to_string(member);
    group::Group* its = world.host(world.hostOf(key)).find(key);
    if (its == nullptr) return who + " is not there";
    group::Status status = its->status();
    if (poisoned) {
      // Nobody may be left whose snapshot one could be built from.
      bool stopped = status.fault || status.soundness == group::Soundness::rebuilding;
      if (!stopped) return who + " has not stopped at the poisoned command";
      continue;
    }
    if (status.fault) return who + " has stopped: " + status.fault->text;
    if (status.soundness != group::Soundness::sound) return who + " is being rebuilt";
    if (status.lastIndex != leader.lastIndex) return who + " has not caught up";
    if (status.applied != leader.lastIndex) return who + " has not applied all";
    if (status.waitingCalls != 0) return who + " keeps calls waiting";
  }
  const auto& due = world.judge.facts(group).alarmsDue;
  if (!poisoned && !due.empty()) {
    return "alarm " + std::to_string(due.begin()->second) + " has not rung";
  }
  return "";
}

// A machine that has gone astray shows with the next check, and that comes with the next entry.
std::string strayOf(World& world, uint64_t group) {
  if (world.options.everyStray == 0 || world.judge.facts(group).poisonedAt) return "";
  std::set<uint64_t> drifts;
  SimHost* leader = world.hostOfLeader(group);
  for (raft::ReplicaId member : raft::membersOf(world.leaderOf(group)->core().configuration())) {
    group::ReplicaKey key{group, member};
    drifts.insert(driftOf(*world.host(world.hostOf(key)).lane(key)->applier().machine()));
  }
  if (drifts.size() < 2) return "";
  if (world.leaderOf(group)->status().splitAt != 0) return "";  // no majority: an alarm is all
  leader->onGroup(group, [&](group::Group& its) {
    its.openSession(leader->expect([](const group::Outcome&) {}));
  });
  return "a machine has gone astray and is not found";
}

std::string unrest(World& world, const Clients& clients) {
  if (!world.lost.empty()) return nameOf(world.lost.front().key) + " is lost and not replaced";
  for (const GroupPlace& place : world.groups) {
    std::string why = unrestOf(world, place.id);
    if (why.empty()) why = strayOf(world, place.id);
    if (!why.empty()) return "g" + std::to_string(place.id) + ": " + why;
  }
  return clients.whoWaits();
}

// At rest all members of a group are equal: machines, sessions, log time.
void compare(World& world) {
  for (const GroupPlace& place : world.groups) {
    if (world.judge.facts(place.id).poisonedAt) continue;
    group::Group* leader = world.leaderOf(place.id);
    std::optional<uint64_t> first;
    for (raft::ReplicaId member : raft::membersOf(leader->core().configuration())) {
      group::ReplicaKey key{place.id, member};
      group::Applier& applier = world.host(world.hostOf(key)).lane(key)->applier();
      std::string state = std::to_string(soundDigestOf(*applier.machine()).value_or(0)) + " " +
                          std::to_string(applier.state().timeUs) + " " +
                          std::to_string(applier.state().timers.size()) + " " +
                          std::to_string(applier.state().events.size()) + " " +
                          std::to_string(applier.state().events.last().index) + " " +
                          std::to_string(applier.state().sessions.size()) + " " +
                          std::to_string(applier.state().sessions.answerCount());
      uint64_t checksum = base::checksum(state, applier.at().index);
      if (first && *first != checksum) {
        world.judge.fail(nameOf(key), "is not equal to other members at rest");
      }
      first = checksum;
    }
  }
  for (auto& host : world.hosts) {
    if (host->callsWaiting() == 0) continue;
    world.judge.fail("h" + std::to_string(host->id()),
                     std::to_string(host->callsWaiting()) + " calls were never answered");
  }
}

void comeToRest(World& world, const Clients& clients, int64_t untilUs) {
  while (!world.judge.verdict()) {
    world.runUntil(world.nowUs() + kLookEveryUs);
    std::string why = unrest(world, clients);
    if (why.empty()) return;
    if (world.nowUs() < untilUs) continue;
    world.judge.fail("calm for " + std::to_string(world.options.calmUsMax / 1'000'000) + " s", why);
  }
}

void liveThrough(World& world, Clients& clients) {
  Nemesis nemesis(world);
  Operators operators(world);
  AlarmSetters alarms(world);
  EventListeners listeners(world);
  clients.begin();
  alarms.begin();
  listeners.begin();
  nemesis.begin();
  operators.begin();
  world.runUntil(world.options.stormUs);
  world.calm();
  int64_t untilUs = world.nowUs() + world.options.calmUsMax;
  comeToRest(world, clients, untilUs);
  // What still waits times out, or ends. Without pre-vote and check-quorum one who was removed may
  // unseat a leader meanwhile.
  if (!world.judge.verdict()) world.runUntil(world.nowUs() + 3'000'000);
  comeToRest(world, clients, untilUs + 3'000'000);
  if (!world.judge.verdict()) compare(world);
  if (!world.judge.verdict()) clients.judge();
  if (!world.judge.verdict()) alarms.judge();
  if (!world.judge.verdict()) listeners.judge();
}

}  // namespace

SeedEnd runSeed(const Options& options, bool prints) {
  Trace trace(prints);
  World world(options, trace);
  Clients clients(world);
  liveThrough(world, clients);
  SeedEnd end;
  end.report = world.report;
  end.report[Count::seeds] = 1;
  end.report[Count::steps] = world.events.done();
  end.violation = world.judge.verdict();
  end.report[Count::violations] = end.violation ? 1 : 0;
  end.traceHash = trace.hash();
  return end;
}

}  // namespace flotilla::sim
