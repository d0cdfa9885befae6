// What operators do to groups meanwhile.
#include "tests/sim/operators.h"

#include <algorithm>
#include <memory>

#include "host/raft/describe.h"
#include "host/raft/membership.h"
#include "tests/sim/sim_machine.h"

namespace flotilla::sim {

void Operators::begin() {
  const Options& its = world_.options;
  again(its.everyChange, [this](uint64_t group) { change(group); });
  again(its.everyChange, [this](uint64_t group) { sweep(group); });
  again(its.everyResize, [this](uint64_t group) { resize(group); });
  again(its.everyResize, [this](uint64_t group) { sweep(group); });
  if (its.everyDiskLoss != 0) repairLater();
  again(its.everyTransfer, [this](uint64_t group) { transfer(group); });
  again(its.everySnapshot, [this](uint64_t group) { snapshot(group); });
  again(its.everyRebuild, [this](uint64_t group) { rebuild(group); });
  again(its.everyUpgrade, [this](uint64_t group) { upgrade(group); });
  if (its.everyStray != 0) rebuildLater();
}

void Operators::again(int64_t everyUs, std::function<void(uint64_t group)> act) {
  if (everyUs == 0) return;
  int64_t us = 1 + static_cast<int64_t>(world_.dice.below(static_cast<uint64_t>(2 * everyUs)));
  world_.events.in(us, [this, everyUs, act = std::move(act)]() {
    if (world_.isCalm()) return;
    act(1 + world_.dice.below(world_.groups.size()));
    again(everyUs, act);
  });
}

// Any members at all: the old ones and new ones, as voters, learners or not any more, the leader
// itself included.
void Operators::change(uint64_t group) {
  SimHost* leader = world_.hostOfLeader(group);
  if (leader == nullptr || leader->paused() || !world_.isSound(group)) return;
  GroupPlace& place = world_.place(group);
  if (world_.dice.chance(400)) {
    uint64_t hostId = 1 + world_.dice.below(world_.hosts.size());
    if (world_.replicaOn(group, hostId) == 0) world_.createReplica(group, hostId, {});
  }
  std::vector<raft::ReplicaId> voters;
  std::vector<raft::ReplicaId> learners;
  uint64_t voterChance = 500 + world_.dice.below(450);
  const raft::Configuration now = world_.leaderOf(group)->core().configuration();
  bool gentle = world_.dice.chance(400);  // most stay what they are
  for (const auto& [replica, hostId] : place.hosts) {
    bool keeps = gentle && world_.dice.chance(800);
    if (keeps ? raft::contains(now.voters, replica) : world_.dice.chance(voterChance)) {
      voters.push_back(replica);
    } else if (keeps ? raft::contains(now.learners, replica) : world_.dice.chance(400)) {
      learners.push_back(replica);
    }
  }
  leader->onGroup(group, [&](group::Group& its) {
    world_.trace.note(world_.nowUs(), {8, group, voters.size(), learners.size()}, [&]() {
      raft::Configuration wanted;
      wanted.voters = voters;
      wanted.learners = learners;
      return "g" + std::to_string(group) + " members wanted: " + raft::describe(wanted);
    });
    its.changeMembership(voters, learners, leader->expect([](const group::Outcome&) {}));
  });
}

// Five voters become three, mostly without the leader, and three become five.
void Operators::resize(uint64_t group) {
  SimHost* leader = world_.hostOfLeader(group);
  if (leader == nullptr || leader->paused() || !world_.isSound(group)) return;
  const raft::Core& core = world_.leaderOf(group)->core();
  std::vector<raft::ReplicaId> voters = core.configuration().voters;
  auto drop = [&](raft::ReplicaId which) { std::erase(voters, which); };
  if (voters.size() >= 5) {
    if (world_.dice.chance(600)) drop(core.self());
    while (voters.size() > 3) drop(voters[world_.dice.below(voters.size())]);
  } else {
    for (auto& host : world_.hosts) {
      if (voters.size() >= 5) break;
      raft::ReplicaId here = world_.replicaOn(group, host->id());
      if (here == 0) here = world_.createReplica(group, host->id(), {});
      if (!raft::isMember(core.configuration(), here)) voters.push_back(here);
    }
  }
  leader->onGroup(group, [&](group::Group& its) {
    its.changeMembership(voters, core.configuration().learners,
                         leader->expect([](const group::Outcome&) {}));
  });
}

void Operators::repairLater() {
  world_.events.in(100'000 + static_cast<int64_t>(world_.dice.below(200'000)), [this]() {
    std::erase_if(world_.lost, [this](LostReplica& lost) { return repair(lost); });
    repairLater();
  });
}

// One step of it; true: nothing is left to do. A leader's own configuration is no answer while it
// is not committed: the next leader may never hear of it, and the lost one is a voter as before.
bool Operators::repair(LostReplica& lost) {
  uint64_t group = lost.key.group;
  SimHost* leader = world_.hostOfLeader(group);
  if (leader == nullptr || leader->paused()) return false;
  const raft::Configuration now = world_.leaderOf(group)->core().configuration();
  if (now.joint() || now != world_.judge.facts(group).committedConfiguration()) return false;
  std::vector<raft::ReplicaId> voters = now.voters;
  std::vector<raft::ReplicaId> learners = now.learners;
  if (raft::isMember(now, lost.key.replica)) {
    if (lost.heir == 0) lost.heir = world_.replicaOn(group, lost.host);
    if (lost.heir == 0) lost.heir = world_.createReplica(group, lost.host, {});
    std::erase(voters, lost.key.replica);
    std::erase(learners, lost.key.replica);
    if (!raft::isMember(now, lost.heir)) learners.push_back(lost.heir);
  } else if (lost.voted && raft::contains(now.learners, lost.heir)) {
    std::erase(learners, lost.heir);
    voters.push_back(lost.heir);
  } else {
    // It is what the lost one was, or others wanted something else meanwhile.
    if (raft::isMember(now, lost.heir)) ++world_.report[Count::replaced];
    return true;
  }
  leader->onGroup(group, [&](group::Group& its) {
    its.changeMembership(voters, learners, leader->expect([](const group::Outcome&) {}));
  });
  return false;
}

bool Operators::isNamed(group::ReplicaKey replica) {
  const GroupFacts& known = world_.judge.facts(replica.group);
  if (raft::isMember(known.committedConfiguration(), replica.replica)) return true;
  raft::Index since = known.configurations.rbegin()->first;
  auto names = [&](const raft::LogShape& shape) {
    return std::any_of(shape.configurations().begin(), shape.configurations().end(),
                       [&](const raft::ConfigurationAt& it) {
                         return it.index > since &&
                                raft::isMember(it.configuration, replica.replica);
                       });
  };
  for (const auto& [other, hostId] : world_.place(replica.group).hosts) {
    SimHost& host = world_.host(hostId);
    group::ReplicaKey key{replica.group, other};
    const Stored* safe = host.disk().safe(key);
    const Stored* written = host.disk().written(key);
    if (safe != nullptr && names(safe->state.shape)) return true;
    if (written != nullptr && names(written->state.shape)) return true;
    if (group::Group* group = host.find(key); group != nullptr && names(group->core().shape())) {
      return true;
    }
  }
  return false;
}

void Operators::sweep(uint64_t group) {
  if (world_.judge.facts(group).committedConfiguration().joint()) return;
  std::vector<raft::ReplicaId> gone;
  for (const auto& [replica, hostId] : world_.place(group).hosts) {
    bool awaited = std::any_of(
        world_.lost.begin(), world_.lost.end(),
        [&](const LostReplica& lost) { return lost.key.group == group && lost.heir == replica; });
    if (world_.host(hostId).up() && !awaited && !isNamed({group, replica})) gone.push_back(replica);
  }
  for (raft::ReplicaId replica : gone) {
    if (world_.dice.chance(600)) world_.wipeReplica({group, replica});
  }
}

void Operators::transfer(uint64_t group) {
  SimHost* leader = world_.hostOfLeader(group);
  if (leader == nullptr || leader->paused()) return;
  ++world_.report[Count::transfers];
  const GroupPlace& place = world_.place(group);
  auto to = place.hosts.begin();
  std::advance(to, static_cast<int64_t>(world_.dice.below(place.hosts.size())));
  raft::ReplicaId heir = world_.dice.chance(300) ? 0 : to->first;
  leader->onGroup(group, [&](group::Group& its) { its.transfer(heir); });
}

void Operators::snapshot(uint64_t group) {
  SimHost& host = world_.anyHost();
  if (host.paused()) return;
  if (world_.options.makesRoom && world_.dice.chance(500)) {
    return host.onGroup(group, [](group::Group& its) { its.makeRoom(); });
  }
  host.onGroup(group, [&](group::Group& its) {
    its.requestSnapshot(host.expect([](const group::Outcome&) {}));
  });
}

// To one of two versions, or to one that no state is good enough for.
void Operators::upgrade(uint64_t group) {
  SimHost* leader = world_.hostOfLeader(group);
  if (leader == nullptr || leader->paused()) return;
  const char kVersions[] = {'a', 'b', kUnwilling};
  std::string sha256(64, kVersions[world_.dice.below(sizeof kVersions)]);
  bool unwilling = sha256.front() == kUnwilling;
  leader->onGroup(group, [&](group::Group& its) {
    its.switchPlugin(sha256, leader->expect([this, unwilling](const group::Outcome& outcome) {
      if (outcome.ok()) ++world_.report[Count::upgrades];
      if (!outcome.ok() || !unwilling) return;
      world_.judge.fail("operator", "a version that loads nothing has taken over");
    }));
  });
}

// Somebody has to be left whose machine it can be built from.
void Operators::rebuild(uint64_t group) {
  SimHost& host = world_.anyHost();
  group::Group* its = host.find(group);
  if (its == nullptr || host.paused() || !world_.isSound(group)) return;
  const raft::Configuration& members = world_.judge.facts(group).committedConfiguration();
  bool alone = members.joint() || members.voters.size() < 2;
  if (alone || its->core().configuration() != members) return;
  world_.trace.note(world_.nowUs(), {12, group, host.id()}, [&]() {
    return "g" + std::to_string(group) + " on h" + std::to_string(host.id()) + " is rebuilt";
  });
  host.onGroup(group, [](group::Group& one) { one.rebuild(); });
}

void Operators::rebuildLater() {
  world_.events.in(50'000 + static_cast<int64_t>(world_.dice.below(400'000)), [this]() {
    for (auto& host : world_.hosts) {
      if (!host->up() || host->paused()) continue;
      for (const GroupPlace& place : world_.groups) {
        host->onGroup(place.id, [](group::Group& one) {
          if (one.soundness() == group::Soundness::quarantined) one.rebuild();
        });
      }
    }
    rebuildLater();
  });
}

}  // namespace flotilla::sim
