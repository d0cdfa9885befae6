// What must hold at every step of a simulated world, and whether it does.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "host/group/applier.h"
#include "host/group/group.h"
#include "tests/sim/events.h"
#include "tests/sim/kv_calls.h"
#include "tests/sim/report.h"
#include "tests/sim/sim_disk.h"

namespace flotilla::sim {

// What is known of one group, whichever replica showed it first.
struct GroupFacts {
  struct Committed {
    raft::Term term = 0;
    raft::Term inTerm = 0;  // of the leader that first had it committed
    uint64_t checksum = 0;  // of its payload, once one replica has applied it; 0: not yet
  };
  struct Written {
    uint64_t checksum = 0;
    raft::Term before = 0;  // the term of the entry before it
  };
  struct Effect {
    group::Position position;
    ValueId value = 0;
  };

  std::map<raft::Term, raft::ReplicaId> leaders;
  std::vector<Committed> committed;  // entry i + 1
  std::map<std::pair<raft::Index, raft::Term>, Written> written;
  std::map<raft::Index, raft::Configuration> configurations;  // committed ones
  std::map<std::pair<raft::ReplicaId, raft::Term>, raft::ReplicaId> votes;
  std::unordered_map<raft::Index, uint64_t> digests;
  std::unordered_map<raft::Index, uint64_t> states;
  std::map<std::pair<raft::Index, bool>, uint64_t> snapshots;   // checksums of files, by form
  std::unordered_map<ValueId, group::Position> ran;             // which command where
  std::map<group::Position, ValueId> ranAt;                     // and the other way round
  std::unordered_map<std::string, std::vector<Effect>> values;  // what each key came to hold
  std::optional<group::Position> poisonedAt;
  std::set<raft::ReplicaId> strays;  // that were led astray, or loaded another's state

  // An alarm that was set: when it is due, and as the how manyth of all it was put there.
  struct Alarm {
    AlarmCommand what;
    group::Position setAt;
    int64_t dueUs = 0;
    uint64_t order = 0;
    bool waits = false;
  };
  std::map<uint64_t, Alarm> alarms;
  std::map<std::pair<int64_t, uint64_t>, uint64_t> alarmsDue;  // those that wait, in their order
  std::map<group::Position, uint64_t> rings;
  uint64_t lastAlarmOrder = 0;

  // What machines told, by the command that did: one event each.
  struct Told {
    std::string topic;
    std::string message;
  };
  std::map<group::Position, Told> events;

  const raft::Configuration& committedConfiguration() const {
    return configurations.rbegin()->second;
  }
};

// Sees everything that replicas write, send, apply and answer. The first thing that does not hold
// is the verdict; after it the world stands still.
//
// Owner:  World.
// Thread: one.
// Errors: the verdict.
class Judge {
public:
  using SafeAt = std::function<const Stored*(group::ReplicaKey)>;

  Judge(const Events& events, Report& report, SafeAt safeAt)
      : events_(events), report_(report), safeAt_(std::move(safeAt)) {}

  const std::optional<std::string>& verdict() const { return verdict_; }
  void fail(const std::string& who, const std::string& what);

  void founded(uint64_t group, raft::Configuration configuration);
  void started(group::ReplicaKey replica, const group::ReplicaState& state);
  void writes(group::ReplicaKey replica, const group::DiskWrite& write);
  void sends(const group::PeerMessage& message);
  void sendsSnapshot(group::ReplicaKey from, const raft::Message& head);
  // After each input.
  void look(group::ReplicaKey replica, const group::Group& group);
  void applies(group::ReplicaKey replica, const group::ApplyRequest& request);
  void applied(group::ReplicaKey replica, group::Applier& applier);
  void faulted(group::ReplicaKey replica, const group::Applied& applied);
  // The machine carried a command out; `set`: it changed its key.
  void ran(group::ReplicaKey replica, const group::MachineCommand& command, const KvCommand& what,
           bool set);
  void saved(group::ReplicaKey replica, raft::LogPoint point, bool runs, std::string_view file);
  // The machine carried out a command that sets an alarm, or a timer; `done`: without an error.
  void alarmSet(group::ReplicaKey replica, const group::MachineCommand& command,
                const AlarmCommand& what, bool done);
  void alarmRang(group::ReplicaKey replica, const group::MachineCommand& command, bool done);
  void strayed(group::ReplicaKey replica);    // its machine goes astray now
  void tookDrift(group::ReplicaKey replica);  // it loads the state of one that has

  // What a client was told. Nothing is acknowledged that did not happen, there and then.
  void acknowledged(uint64_t group, ValueId value, const group::Outcome& outcome);
  void refused(uint64_t group, ValueId value, ErrorCode code);
  void sawValue(uint64_t group, const std::string& key, ValueId value, raft::Index at);
  void alarmAcknowledged(uint64_t group, uint64_t alarm, const group::Outcome& outcome);
  void alarmRefused(uint64_t group, uint64_t alarm, ErrorCode code);

  GroupFacts& facts(uint64_t group) { return groups_[group]; }

private:
  struct Seen {
    raft::Term term = 0;
    raft::Index commit = 0;
    raft::Index applied = 0;
    uint64_t generation = 0;
    bool leads = false;
    raft::Index quarantinedAt = 0;
  };

  struct Change {  // an entry that changes members, written during this step
    group::ReplicaKey replica;
    raft::Index before = 0;  // of the change before it in that log
    group::LogEntry entry;
  };

  void lookAtCommit(group::ReplicaKey replica, const raft::Core& core, raft::Index since);
  void countChange(group::ReplicaKey replica, const raft::Core& core,
                   const raft::Configuration& before, const raft::Configuration& now);
  void lookAtLeader(group::ReplicaKey replica, const raft::Core& core);
  void checkEntry(group::ReplicaKey replica, const group::LogEntry& entry,
                  const raft::LogShape& shape);
  void lookAtChanges();
  void awaitAlarm(GroupFacts& known, GroupFacts::Alarm& alarm, int64_t dueUs);

  const Events& events_;
  Report& report_;
  SafeAt safeAt_;
  std::map<uint64_t, GroupFacts> groups_;
  std::map<group::ReplicaKey, Seen> seen_;
  std::vector<Change> changes_;
  std::optional<std::string> verdict_;
};

std::string nameOf(group::ReplicaKey replica);  // "g1 n2"

}  // namespace flotilla::sim
