// A simulated world.
#include "tests/sim/world.h"

#include <utility>

#include "host/raft/membership.h"
#include "tests/sim/sim_machine.h"

namespace flotilla::sim {
namespace {

constexpr int64_t kWallUs = 1'700'000'000'000'000;

}  // namespace

World::World(const Options& its, Trace& itsTrace)
    : options(its),
      trace(itsTrace),
      dice(its.seed ^ 0x5eed5eed5eed5eedULL),
      judge(events, report, [this](group::ReplicaKey replica) { return safeOf(replica); }),
      network(events, dice, options, report, trace,
              [this](uint64_t to, group::PeerMessage message) {
                host(to).receive(std::move(message));
              }) {
  for (uint64_t id = 1; id <= options.hosts; ++id) {
    uint32_t rate =
        options.rateMin + static_cast<uint32_t>(dice.below(options.rateMax - options.rateMin + 1));
    int64_t wallUs = kWallUs + static_cast<int64_t>(dice.below(2'000'000));
    hosts.push_back(std::make_unique<SimHost>(*this, id, rate, wallUs));
  }
  for (uint64_t id = 1; id <= options.groups; ++id) {
    groups.push_back({id, {}, 0});
    raft::Configuration founders;
    for (raft::ReplicaId replica = 1; replica <= options.founders; ++replica) {
      founders.voters.push_back(replica);
    }
    judge.founded(id, founders);
    uint64_t first = dice.below(options.hosts);
    for (uint32_t i = 0; i < options.founders; ++i) {
      createReplica(id, 1 + (first + i) % options.hosts, founders);
    }
  }
  for (auto& each : hosts) each->start();
}

World::~World() = default;

void World::runUntil(int64_t timeUs) {
  while (!judge.verdict() && events.next(timeUs)) {
    if (events.done() > kStepsMax) judge.fail("world", "too many steps: a storm that feeds itself");
  }
}

uint64_t World::hostOf(group::ReplicaKey replica) const {
  const auto& known = groups.at(replica.group - 1).hosts;
  auto found = known.find(replica.replica);
  return found == known.end() ? 0 : found->second;
}

raft::ReplicaId World::replicaOn(uint64_t group, uint64_t host) const {
  for (const auto& [replica, its] : groups.at(group - 1).hosts) {
    if (its == host) return replica;
  }
  return 0;
}

raft::ReplicaId World::createReplica(uint64_t group, uint64_t hostId, raft::Configuration initial) {
  GroupPlace& its = place(group);
  raft::ReplicaId replica = ++its.lastReplica;
  its.hosts[replica] = hostId;
  host(hostId).create({{group, replica}, std::move(initial)});
  return replica;
}

void World::wipeReplica(group::ReplicaKey replica) {
  trace.note(nowUs(), {5, replica.group, replica.replica},
             [&]() { return nameOf(replica) + " is wiped"; });
  host(hostOf(replica)).wipe(replica);
  place(replica.group).hosts.erase(replica.replica);
}

SimHost* World::hostOfLeader(uint64_t group) {
  SimHost* best = nullptr;
  raft::Term term = 0;
  for (const auto& [replica, hostId] : place(group).hosts) {
    group::Group* one = host(hostId).find(group::ReplicaKey{group, replica});
    if (one == nullptr || !one->leads() || one->core().term() < term) continue;
    term = one->core().term();
    best = &host(hostId);
  }
  return best;
}

group::Group* World::leaderOf(uint64_t group) {
  SimHost* its = hostOfLeader(group);
  return its == nullptr ? nullptr : its->find(group);
}

// What would survive a crash now; of a lost disk, what it had. Its acknowledgements may still be on
// their way, and were true when they left.
const Stored* World::safeOf(group::ReplicaKey replica) const {
  if (uint64_t host = hostOf(replica)) return hosts[host - 1]->disk().safe(replica);
  auto buried = buried_.find(replica);
  return buried == buried_.end() ? nullptr : &buried->second;
}

// Raft bears the loss of a disk for good where all other voters are there and hold what is
// committed, and no change of members is on its way.
bool World::canLose(group::ReplicaKey replica) {
  for (const LostReplica& other : lost) {
    if (other.key.group == replica.group) return false;
  }
  const GroupFacts& known = judge.facts(replica.group);
  const raft::Configuration& members = known.committedConfiguration();
  raft::Index since = known.configurations.rbegin()->first;
  if (members.joint() || members.voters.size() < 3) return false;
  raft::Index committed = known.committed.size();
  for (raft::ReplicaId voter : members.voters) {
    if (!place(replica.group).hosts.contains(voter)) return false;
  }
  for (const auto& [other, hostId] : place(replica.group).hosts) {
    group::ReplicaKey key{replica.group, other};
    const Stored* safe = host(hostId).disk().safe(key);
    const Stored* written = host(hostId).disk().written(key);
    for (const Stored* stored : {safe, written}) {
      if (stored != nullptr && stored->state.shape.latestConfiguration().index > since)
        return false;
    }
    if (other == replica.replica || !raft::isVoter(members, other)) continue;
    if (safe == nullptr) return false;
    const raft::LogShape& its = safe->state.shape;
    bool holds = committed == 0 || its.base().index >= committed ||
                 its.termAt(committed) == known.committed[committed - 1].term;
    if (!holds) return false;
  }
  return true;
}

bool World::loseDisk(SimHost& host) {
  if (host.records().empty()) return false;
  for (const auto& [key, record] : host.records()) {
    if (!canLose(key) || !isSound(key.group)) return false;
  }
  for (const auto& [key, record] : host.records()) {
    if (const Stored* safe = host.disk().safe(key)) buried_[key] = *safe;
    const raft::Configuration& members = judge.facts(key.group).committedConfiguration();
    place(key.group).hosts.erase(key.replica);
    if (!raft::isMember(members, key.replica)) continue;
    lost.push_back({key, host.id(), raft::isVoter(members, key.replica), 0});
  }
  ++report[Count::disksLost];
  host.loseDisk();
  for (auto& other : hosts) {
    if (other->up() && dice.chance(700)) other->peerDown(host.id());
  }
  startLater(host);
  return true;
}

void World::startLater(SimHost& host) {
  if (calm_) return host.start();
  int64_t us = 10'000 + static_cast<int64_t>(dice.below(dice.chance(200) ? 4'000'000 : 600'000));
  events.in(us, [&host]() { host.start(); });
}

void World::crash(SimHost& host) {
  if (!host.up()) return;
  ++report[Count::crashes];
  host.crash();
  for (auto& other : hosts) {
    if (other->up() && dice.chance(700)) other->peerDown(host.id());
  }
}

bool World::breaksNow(uint64_t host, group::ReplicaKey) {
  return !calm_ && breaking_.erase(host) > 0;
}

// One of a group at a time: a majority that is astray together is right, by its own lights. Nor
// while a change is under way that may leave it alone.
bool World::straysNow(uint64_t host, group::ReplicaKey replica) {
  if (calm_ || !straying_.contains(host) || !isSound(replica.group)) return false;
  const raft::Configuration& members = judge.facts(replica.group).committedConfiguration();
  if (members.joint() || members.voters.size() < 3) return false;
  for (const auto& [other, hostId] : place(replica.group).hosts) {
    group::ReplicaKey key{replica.group, other};
    group::Group* its = this->host(hostId).find(key);
    const Stored* stored = this->host(hostId).disk().written(key);
    if (its != nullptr && its->core().configuration() != members) return false;
    if (its == nullptr && stored != nullptr &&
        stored->state.shape.latestConfiguration().configuration != members) {
      return false;
    }
  }
  straying_.erase(host);
  return true;
}

bool World::isSound(uint64_t group) {
  for (const auto& [replica, hostId] : place(group).hosts) {
    const auto& records = host(hostId).records();
    auto record = records.find({group, replica});
    if (record != records.end() && record->second.soundness != group::Soundness::sound)
      return false;
    group::Group* its = host(hostId).find(group::ReplicaKey{group, replica});
    if (its != nullptr && its->soundness() != group::Soundness::sound) return false;
    if (isAstray(hostId, {group, replica})) return false;
  }
  return true;
}

// Found or not: its machine, or one that it has saved.
bool World::isAstray(uint64_t hostId, group::ReplicaKey replica) {
  SimLane* lane = host(hostId).lane(replica);
  bool here = lane != nullptr && lane->applier().machine() != nullptr;
  if (here && driftOf(*lane->applier().machine()) != 0) return true;
  for (const auto& [index, file] : host(hostId).disk().shelf(replica)) {
    if (file.astray) return true;
  }
  return false;
}

void World::connectAnew() {
  if (options.sleepTicks == 0) return;
  for (auto& each : hosts) {
    for (auto& other : hosts) {
      if (each != other) each->peerBack(other->id());
    }
  }
}

void World::calm() {
  calm_ = true;
  network.calm();
  connectAnew();
  trace.note(nowUs(), {6}, []() { return "calm"; });
  for (auto& each : hosts) {
    each->clock().runAt(1000);
    each->disk().stall(0);
    each->disk().setFull(false);
    each->start();
    each->resume();
    for (auto& place : groups) {
      each->onGroup(place.id, [](group::Group& group) { group.retry(); });
    }
  }
}

}  // namespace flotilla::sim
