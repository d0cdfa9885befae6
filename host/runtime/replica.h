// One replica of this host: its record, its group, its machine's lane.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "flotilla/abi.h"
#include "flotilla/result.h"
#include "host/base/prefetch.h"
#include "host/catalog/options.h"
#include "host/catalog/view.h"
#include "host/group/group.h"
#include "host/group/ports.h"
#include "host/group/tick_calendar.h"
#include "host/runtime/event_reads.h"
#include "host/runtime/records.h"
#include "host/runtime/volumes.h"

namespace flotilla::plugin {
class CrashMarks;
}
namespace flotilla::store {
class MetaStore;
}

namespace flotilla::runtime {

class ApplyPool;
class CallTable;
class Inbox;
class IoThread;
struct LaneOrder;
class MachineLane;
class PluginRoom;
class ReadyLanes;
class Replica;
struct SavePace;
class Turn;

// What all replicas of a host share.
struct Surroundings {
  Inbox& inbox;
  Turn& turn;
  CallTable& calls;
  ReadyLanes& ready;
  ApplyPool& queries;
  IoThread& files;
  IoThread& saves;
  IoThread& frees;
  SavePace& savePace;
  PluginRoom& plugins;
  plugin::CrashMarks* marks;  // null in tests that run several hosts in one process
  group::Outbox& outbox;
  group::Clock& clock;
  group::StepRoom& steps;
  group::TailRoom& tails;
  const uint64_t& ticks;  // since this process began
  uint64_t boot;          // of this process: no two starts draw the same numbers
  store::MetaStore& meta;
  const uint32_t& entriesVersion;  // that every host of the cluster knows
  // Its replica here has its first leader, or another plugin: the catalog may have to hear of it.
  std::function<void(uint64_t group)> changed;
  std::function<void(Replica&)> turned;  // a replica's turn has ended
  std::function<void(Replica&)> sooner;  // its next tick is due before it was to be looked at
};

// Of the replicas that a start of this host opens: so many, and so many before this one that are to
// stand first for their groups.
struct Crowd {
  uint32_t replicas = 0;
  uint32_t standBefore = 0;
};

// How its machine fares, for the watchdog and for status.
enum class MachineState : uint8_t {
  loading,
  running,
  slow,
  stuck,
  faulted,
  quarantined,
  rebuilding
};
std::string_view nameOf(MachineState state);

// Ties a Group to the parts that serve it here. All inputs go through here, so that each marks the
// group's turn.
//
// Owner:  ReplicaSet, shared with the turn and with answers under way.
// Thread: the loop's.
// Errors: its machine's and its log's faults are in status(); they are this replica's alone.
class Replica final : public std::enable_shared_from_this<Replica> {
public:
  static constexpr uint32_t kTickMs = 50;  // a Group's unit of time

  // `recovered` is what the volume found; nothing for one that was never written.
  static std::shared_ptr<Replica> open(StoredReplica record, VolumeRoom& room,
                                       std::optional<store::RecoveredReplica> recovered,
                                       Surroundings& around, Crowd crowd = {});
  ~Replica();
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  // What is given to the group, directly; call touch() afterwards.
  group::Group& group() { return *group_; }
  const group::Group& group() const { return *group_; }
  void touch();
  // The same for what comes often, and mostly changes nothing that a turn's end would act upon.
  template <typename Act>
  void give(Act&& act) {
    Seen before = seen();
    takeLate();
    act(*group_);
    touchIfOther(before);
    planTick();
  }
  // What a step reads, in four goes: each needs what the one before has brought. See fetchAhead.
  void prefetchSelf() const { base::prefetchSpan(this, &standAgainTicks_); }
  void prefetchParts() const;
  void prefetchRows() const;
  void prefetchDeep() const;

  const StoredReplica& record() const { return *record_; }
  const catalog::GroupOptions& options() const { return options_; }
  uint64_t optionsVersion() const { return optionsVersion_; }  // of those in force
  // What may change of a running group's options does; its record follows.
  void setOptions(const catalog::GroupRecord& group);
  VolumeRoom& room() { return room_; }
  MachineLane& lane() const { return *lane_; }

  // Those who listen to its machine's events, and whether they can here: not where it may differ
  // from the others', or is stuck.
  EventReads& eventReads() { return eventReads_; }
  kj::Promise<group::EventsRead> lookForEvents(group::Position after, std::string topicPrefix);
  kj::Promise<void> eventsPast(group::Position after);
  bool tells() const;

  void tick();
  void planTick();  // what it was given may have brought its next tick nearer
  void flush();     // Turn's: the end of this turn
  void snapshotSaved(group::SnapshotSaved saved);
  // Why it takes no part, where its log or its record is damaged; else nothing.
  const std::optional<Fault>& broken() const { return broken_; }
  void breakWith(Fault fault);

  // Its group's, with what was applied that the group has not heard of yet.
  group::Status status() const;
  MachineState machineState() const;
  bool isPreferred() const;                      // its group's spec wants it to lead
  bool hadLeader() const { return hadLeader_; }  // since this process began
  std::string faultText() const;                 // with its position; empty where there is none
  std::optional<group::Machine::MethodKind> kindOf(uint64_t interfaceId, uint16_t method) const;
  // Its plugin says that the command makes the state smaller.
  bool frees(uint64_t interfaceId, uint16_t method) const;

  bool marked = false;         // Turn's: this turn's flush is due
  group::TickPlace tickPlace;  // ReplicaSet's
  uint64_t calls = 0;          // since ReplicaSet last looked who is busy
  raft::Term stoodIn = 0;  // ReplicaSet's: the last terms in which it stood for election, and led
  raft::Term ledIn = 0;
  // The catalog's replica tells its keeper that something was applied.
  std::function<void()> onApplied;

private:
  // What a turn's end looks at, besides calls that were gathered.
  struct Seen {
    bool operator==(const Seen&) const = default;

    raft::Role role;
    raft::Term term;
    raft::ReplicaId vote, leader;
    raft::Index splitAt;
    group::Soundness soundness;
    bool rebuilt, asleep;
  };

  Replica(StoredReplica record, catalog::GroupOptions options, VolumeRoom& room,
          Surroundings& around, Crowd crowd);
  void start(std::optional<store::RecoveredReplica> recovered, uint32_t patienceTicks);
  std::optional<raft::LogPoint> newestSnapshot(const raft::LogShape& shape) const;
  void findPlace(group::Recovered& state, LaneOrder& order);
  void stopForPlace(const Fault& why, group::Recovered& state, LaneOrder& order) const;
  void forgetPlaces(std::vector<uint64_t> generations);
  void sweepPlaces();
  Seen seen() const;
  void takeLate();
  uint64_t nextTick() const;
  uint64_t ticks() const { return around_.ticks - begunAt_; }  // since it is here
  void touchIfOther(const Seen& before);
  void campaignIfPreferred();
  void handOverIfUseless();
  void sendListenersOn();
  const flotilla_method* methodRow(uint64_t interfaceId, uint16_t method) const;
  void tellOfDigests();
  void tellOfSwitch();
  void tellUsed();
  void tellOfQuotas();
  void recordChanges();
  bool formerSavesEnded();
  StoredReplica changedRecord(bool rebuilt) const;
  void recorded(const StoredReplica& written, const Result<void>& put);

  // What most turns look at lies together: see prefetchSelf.
  std::shared_ptr<const StoredReplica> record_;  // its lane's, too, until its soundness changes
  std::shared_ptr<MachineLane> lane_;
  std::unique_ptr<group::Group> group_;
  Surroundings& around_;
  VolumeRoom& room_;
  uint64_t watchedAt_ = 0;  // tick
  uint64_t standAt_ = 0;    // tick from which on its group's preferred leader stands; 0: does not
  bool hadLeader_ = false;
  bool handedOver_ = false;  // leadership given up because the machine is stuck or faulted
  bool recording_ = false;   // its record is being written
  raft::Index splitSaid_ = 0;
  raft::Index switchedSaid_ = 0;
  uint64_t optionsVersion_;
  std::optional<Fault> broken_;

  // What few turns look at.
  const uint64_t begunAt_;
  const uint32_t standAgainTicks_;
  catalog::GroupOptions options_;
  std::vector<catalog::OptionText> optionTexts_;
  EventReads eventReads_;
  uint64_t savesAskedFor_ = 0;  // formerSavesEnded: of this generation, and ended before it
  uint64_t savesEndedFor_ = 0;
  uint64_t recordAt_ = 0;    // not before this tick, after a write that failed
  uint64_t sweptBelow_ = 0;  // generations of its machine's places
  std::string refusesSaid_;
  int64_t workedToldUs_ = 0;  // of the lane's time

  friend class MachineLane;
};

// A turn gives many groups something, and of a thousand busy ones none is in a cache by then: while
// one has its turn, those that follow are fetched. Null: none.
template <typename Pointers>
void fetchAhead(const Pointers& replicas, size_t at) {
  constexpr size_t kReplica = 5, kParts = 4, kRows = 2, kDeep = 1;  // so many ahead
  // Each go begins with those that it will not come by again, but the first, whose turn it is.
  auto each = [&](size_t ahead, auto&& fetch) {
    for (size_t i = at == 0 ? 1 : at + ahead; i <= at + ahead && i < replicas.size(); ++i) {
      if (const Replica* replica = std::to_address(replicas[i])) fetch(*replica);
    }
  };
  each(kReplica, [](const Replica& replica) { replica.prefetchSelf(); });
  each(kParts, [](const Replica& replica) { replica.prefetchParts(); });
  each(kRows, [](const Replica& replica) { replica.prefetchRows(); });
  each(kDeep, [](const Replica& replica) { replica.prefetchDeep(); });
}

}  // namespace flotilla::runtime
