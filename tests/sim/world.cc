// A simulated world.
#include "tests/sim/world.h"

#include <utility>

namespace flotilla::sim {
namespace {

constexpr int64_t kWallUs = 1'700'000'000'000'000;

}  // namespace

World::World(const Options& its, Trace& itsTrace)
    : options(its),
      trace(itsTrace),
      dice(its.seed ^ 0x5eed5eed5eed5eedULL),
      judge(events, report,
            [this](group::ReplicaKey replica) -> const Stored* {
              uint64_t host = hostOf(replica);
              return host == 0 ? nullptr : hosts[host - 1]->disk().safe(replica);
            }),
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

void World::calm() {
  calm_ = true;
  network.calm();
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
