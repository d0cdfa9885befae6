// A simulated world: hosts, a network, groups of replicas, and the judge who watches.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "host/base/prng.h"
#include "tests/sim/events.h"
#include "tests/sim/judge.h"
#include "tests/sim/options.h"
#include "tests/sim/report.h"
#include "tests/sim/sim_host.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/trace.h"

namespace flotilla::sim {

// Where a group's replicas are, as the catalog would know it.
struct GroupPlace {
  uint64_t id = 0;
  std::map<raft::ReplicaId, uint64_t> hosts;  // of all that were ever created and not wiped
  raft::ReplicaId lastReplica = 0;
};

// A replica whose host lost its disk: it never comes back, another takes its place there.
struct LostReplica {
  group::ReplicaKey key;
  uint64_t host = 0;
  bool voted = false;
  raft::ReplicaId heir = 0;  // 0: none yet
};

// Owner:  a run of one seed.
// Thread: one.
// Errors: the judge's verdict.
// Time:   microseconds since the world began.
class World {
public:
  World(const Options& options, Trace& trace);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Lets time pass until then, or until there is a verdict.
  void runUntil(int64_t timeUs);
  int64_t nowUs() const { return events.nowUs(); }

  SimHost& host(uint64_t id) { return *hosts.at(id - 1); }
  SimHost& anyHost() { return *hosts[dice.below(hosts.size())]; }
  uint64_t hostOf(group::ReplicaKey replica) const;                // 0: wiped
  raft::ReplicaId replicaOn(uint64_t group, uint64_t host) const;  // 0: none
  GroupPlace& place(uint64_t group) { return groups.at(group - 1); }
  // A new replica of a group on a host that has none.
  raft::ReplicaId createReplica(uint64_t group, uint64_t host, raft::Configuration initial);
  void wipeReplica(group::ReplicaKey replica);
  // The host comes back empty, some time; false where a group could not bear that now.
  bool loseDisk(SimHost& host);
  // The replica that leads the group's highest term, on a host that is up; null: none.
  group::Group* leaderOf(uint64_t group);
  SimHost* hostOfLeader(uint64_t group);

  void startLater(SimHost& host);  // after a while
  void crash(SimHost& host);       // its peers may hear of it
  bool breaksNow(uint64_t host, group::ReplicaKey replica);
  void breakSoon(uint64_t host) { breaking_.insert(host); }
  bool straysNow(uint64_t host, group::ReplicaKey replica);
  void straySoon(uint64_t host) { straying_.insert(host); }
  // All replicas of the group have machines that can be believed.
  bool isSound(uint64_t group);
  bool isAstray(uint64_t host, group::ReplicaKey replica);
  void connectAnew();  // what was cut is connected again, and hosts hear of it
  void calm();         // faults are over: everything is up, connected and in step
  bool isCalm() const { return calm_; }
  group::CallId newCall() { return ++lastCall_; }

  const Options& options;
  Trace& trace;
  base::Prng dice;
  Events events;
  Report report;
  Judge judge;
  SimNetwork network;
  std::vector<std::unique_ptr<SimHost>> hosts;
  std::vector<GroupPlace> groups;
  std::vector<LostReplica> lost;  // and not yet replaced

private:
  bool canLose(group::ReplicaKey replica);
  const Stored* safeOf(group::ReplicaKey replica) const;

  static constexpr uint64_t kStepsMax = 8'000'000;

  bool calm_ = false;
  group::CallId lastCall_ = 0;
  std::map<group::ReplicaKey, Stored> buried_;  // what lost disks held
  std::set<uint64_t> breaking_;                 // hosts whose next command breaks a machine
  std::set<uint64_t> straying_;                 // hosts whose next command leads one astray
};

}  // namespace flotilla::sim
