// A replica's machine, on the apply workers.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "flotilla/abi.h"
#include "flotilla/result.h"
#include "host/group/applier.h"
#include "host/group/ports.h"
#include "host/raft/types.h"
#include "host/runtime/event_reads.h"
#include "host/runtime/late_applied.h"
#include "host/runtime/ready_lanes.h"

namespace flotilla::store {
class MachinePlaces;
class SnapshotFiles;
}  // namespace flotilla::store
namespace flotilla::plugin {
class CrashMarks;
}

namespace flotilla::runtime {

class Inbox;
class IoThread;
class PluginRoom;
class Replica;
struct SavePace;
struct StoredReplica;

// What a lane needs to know of its replica.
struct LaneOrder {
  std::shared_ptr<const StoredReplica> record;
  raft::LogPoint machineAt;  // the snapshot to begin from; index 0: none
  uint64_t generation = 0;
  bool waits = false;  // for a peer's snapshot: no machine is made before it
  group::EventBounds events = {};
  // Of a machine on disk: what it has kept, and the generation of its place; else why that cannot
  // be opened.
  std::shared_ptr<group::MachineStore> kept;
  std::optional<uint64_t> place;
  std::optional<Fault> fault;
};

// Opens the plugin, loads the newest snapshot, or goes on from what a machine on disk has kept,
// then carries out the group's requests in order, on whichever worker comes. Answers go to the
// inbox in batches and reach the Replica if it is still there, but for ends of applies that nobody
// waits for (LateApplied), which it takes by itself.
//
// Answers that the loop has not taken are bounded by kAnswersBytesMax: beyond it commands are
// applied and queries not asked, and both are told so.
//
// Owner:  shared by its Replica and the worker inside.
// Thread: group::Machines' functions, takeLate and lookLate on the loop, work() on a worker,
//         workAside() on others; `descriptor`, `memoryBytes`, `workedUs`, `digest` from any.
// Errors: a machine that cannot be made or loaded, and one that faults, is an Applied with a fault.
class MachineLane final : public Lane,
                          public group::Machines,
                          public std::enable_shared_from_this<MachineLane> {
public:
  static constexpr uint64_t kAnswersBytesMax = 64 << 20;

  struct Around {
    ReadyLanes& ready;
    ApplyPool& queries;
    Inbox& inbox;
    IoThread& saves;
    const SavePace& savePace;
    PluginRoom& plugins;
    store::SnapshotFiles& snapshots;
    store::MachinePlaces& machines;
    plugin::CrashMarks* marks;
  };

  MachineLane(LaneOrder order, Around around, std::weak_ptr<Replica> replica);
  ~MachineLane() override;

  // Before begin: a command here brought the process down, so nothing is applied.
  void crashedBefore(Fault fault, group::Position at);
  void begin();  // makes the machine and loads the snapshot, before anything that is asked
  void close();  // nothing that is still queued is done, no answer comes any more; the machine goes

  void apply(group::ApplyRequest request) override;
  void query(group::QueryRequest request) override;
  void snapshot(group::SnapshotRequest request) override;
  void sync(group::SyncRequest request) override;
  void install(group::InstallRequest request) override;
  void rest() override;
  void hurry() override;
  // Whether that plugin's machine could take over from this one as it is now. `done` is called on
  // the loop, if the replica is still there.
  void tryPlugin(std::string sha256, std::function<void(Result<void>)> done);
  // See LateApplied.
  std::optional<group::Applied> takeLate() { return late_.take(); }
  std::optional<group::Applied> lookLate() const { return late_.look(); }
  // What its events are after a position. Until they have come, it need not be asked again.
  void look(EventsLook look);

  void work() override;
  void prefetch() const override;
  void prefetchToPush() const;  // what it takes to be given something
  // On a worker of the queries, beside work().
  void workAside(const group::AsideQuery& query);
  std::atomic<uint32_t> asides{0};  // queries that are to be worked aside, or are

  // Of the plugin in force. Null until it is open.
  const flotilla_descriptor* descriptor() const { return descriptor_.load(); }
  // What an entry of the group has switched to; empty: nothing yet.
  struct Switched {
    std::string sha256;
    raft::Index at = 0;
  };
  Switched switched() const;
  bool loaded() const { return loaded_.load(); }
  // The generation of the place of a machine on disk; kNoPlace: it has none.
  static constexpr uint64_t kNoPlace = UINT64_MAX;
  uint64_t place() const { return place_.load(); }
  uint64_t memoryBytes() const { return memoryBytes_.load(std::memory_order_relaxed); }
  // Of that, what a quota counts: not what the host itself holds for a machine on disk, which has
  // bounds of its own and which no command could free.
  uint64_t ownBytes() const { return ownBytes_.load(std::memory_order_relaxed); }
  // Whether its memory is to be known after each work: it is about to be judged by it.
  void weighOften(bool often) { weighOften_.store(often, std::memory_order_relaxed); }
  // How long workers have been in here, loading snapshots apart; of patient ones the time that they
  // had a core.
  int64_t workedUs() const { return workedUs_.load(std::memory_order_relaxed); }
  uint64_t digest() const { return digest_.load(std::memory_order_relaxed); }
  raft::Index digestAt() const { return digestAt_.load(std::memory_order_relaxed); }

private:
  struct Begin {};
  struct Rest {};
  struct Stop {  // a query beside has shown that the machine is out of order
    Fault fault;
    group::Position at;
    uint64_t machine = 0;  // which one
  };
  struct Trial {
    std::string sha256;
    std::function<void(Result<void>)> done;
  };
  using Job =
      std::variant<Begin, group::ApplyRequest, group::QueryRequest, group::SnapshotRequest,
                   group::SyncRequest, group::InstallRequest, Rest, Trial, EventsLook, Stop>;
  // What one stay of a worker brings home.
  struct Answers {
    std::vector<group::Applied> applied;
    std::vector<group::Queried> queried;
    std::vector<group::SnapshotSaved> saved;
    std::vector<group::Synced> synced;
    std::vector<group::InstallEnd> installed;
    std::vector<EventsSeen> seen;
    std::optional<group::Position> lastEvent;  // where its history ends after all of it
    uint64_t bytes = 0;                        // of what callers are answered
    bool noneButApplied() const {
      return queried.empty() && saved.empty() && synced.empty() && installed.empty() &&
             seen.empty();
    }
    bool isOneApplied() const { return applied.size() == 1 && noneButApplied(); }
    bool empty() const { return applied.empty() && noneButApplied(); }
  };

  void queue(Job job);
  void push(Job job, Hurry hurry = Hurry::some);
  void send(Answers answers, bool soon);
  uint64_t answersRoom(const Answers& answers) const;
  group::Outcome crowded() const;
  void carryOut(Job& job, Answers& answers);
  void carryOutBegin(Answers& answers);
  bool isCatalog() const;
  bool isLong(const group::QueryRequest& request) const;
  void carryOutQuery(const group::QueryRequest& request, Answers& answers);
  void carryOutSnapshot(const group::SnapshotRequest& request, Answers& answers);
  void save(uint64_t generation, bool amongMany, std::unique_ptr<group::StateCapture> capture);
  void carryOutLook(const EventsLook& look, Answers& answers);
  void carryOutSync(const group::SyncRequest& request, Answers& answers);
  void carryOutInstall(const group::InstallRequest& request, Answers& answers);
  Result<std::shared_ptr<group::MachineStore>> makePlace();
  Result<void> goBack();
  Result<const flotilla_descriptor*> descriptorOf(const std::string& sha256) const;
  void diesAtStart(Fault fault);
  Fault lacking(Fault fault) const;
  Result<std::unique_ptr<group::Machine>> makeMachine(const std::string& sha256);
  void carryOutTrial(Trial& trial, Answers& answers);
  Result<void> tryRows(const std::string& sha256, const group::Capture& rows) const;
  void followPlugin();
  Result<void> loadFrom(raft::LogPoint point);
  void publish();
  void giveBack(Answers& answers);
  void sayIfStopped(Answers& answers);
  void faultAll(Fault fault, group::Position at, Answers& answers);

  // What it takes to be given something: see prefetchToPush.
  Around around_;
  mutable std::mutex mutex_;
  std::vector<Job> jobs_;
  std::atomic<bool> closed_{false};
  LateApplied late_;

  LaneOrder order_;
  const std::weak_ptr<Replica> replica_;  // locked on the loop only
  // Of answers that are on their way to the loop, which may take them when the lane has gone.
  const std::shared_ptr<std::atomic<uint64_t>> leaving_ =
      std::make_shared<std::atomic<uint64_t>>(0);
  Switched switched_;

  // The worker's own.
  std::vector<Job> doing_;
  std::unique_ptr<group::Applier> applier_;
  bool resting_ = false;
  bool soon_ = false;                         // somebody waits for what this work answers
  std::optional<group::Position> toldEvent_;  // as the loop was told last
  uint32_t unweighedWorks_ = 0;               // since the machine was last asked for its memory
  uint64_t unweighedBytes_ = 0;
  int64_t loadedUs_ = 0;       // of this work: in snapshots, which no call has asked for
  std::optional<Fault> dead_;  // the machine could not be made or loaded
  group::Position deadAt_;
  uint64_t generation_ = 0;
  uint64_t fresh_ = 0;      // generation of the next place that is made ...
  bool freshMade_ = false;  // ... which was made

  std::atomic<bool> listened_{false};  // somebody waits for the next event
  std::atomic<uint64_t> place_{kNoPlace};
  std::atomic<const flotilla_descriptor*> descriptor_{nullptr};
  std::atomic<bool> loaded_{false};
  std::atomic<uint64_t> memoryBytes_{0};
  std::atomic<uint64_t> ownBytes_{0};
  std::atomic<int64_t> workedUs_{0};
  std::atomic<bool> weighOften_{false};
  std::atomic<uint64_t> digest_{0};
  std::atomic<raft::Index> digestAt_{0};
};

}  // namespace flotilla::runtime
