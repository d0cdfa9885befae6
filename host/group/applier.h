// What committed entries do: the group state and the machine, moved on together.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "flotilla/byte_pages.h"
#include "flotilla/result.h"
#include "host/group/aside_query.h"
#include "host/group/entry.h"
#include "host/group/group_state.h"
#include "host/group/machine_store.h"
#include "host/group/ports.h"
#include "host/group/snapshot.h"

namespace flotilla::group {

// Commands handed to a machine at once. One run may span entries.
constexpr size_t kRunCommandsMax = 1024;

// What a machine on disk has changed and not yet written is written once it takes so much memory,
// or as much as the group state beside it, up to the second figure; where the machines of a disk
// together hold much, from the last one on. Where the disk has no room it may grow to the third, or
// where they hold much, to the last; then the replica stops.
constexpr uint64_t kSyncBytes = 4 << 20;
constexpr uint64_t kSyncBytesMax = 32 << 20;
constexpr uint64_t kUnsyncedBytesMax = 64 << 20;
constexpr uint64_t kSyncCrowdedBytes = 64 << 10;

// The group state and the machine's capture at one boundary, ready to be saved.
//
// Owner:  whoever saves it.
// Thread: any one, beside later applies.
// Errors: the sink's or the machine's.
class StateCapture {
public:
  StateCapture(SnapshotHead head, Bytes groupSection, std::unique_ptr<Capture> machine)
      : head_(std::move(head)),
        groupSection_(std::move(groupSection)),
        machine_(std::move(machine)) {}

  raft::LogPoint point() const { return head_.point; }
  const SnapshotHead& head() const { return head_; }
  Result<uint64_t> save(SnapshotSink& file) const;  // a whole snapshot file; its size

private:
  SnapshotHead head_;
  Bytes groupSection_;
  std::unique_ptr<Capture> machine_;
};

// Applies each committed entry once, in order: dedups stamped commands, hands runs of many entries'
// commands, and the timers that have come due, to the machine, keeps what it answers and wants.
// Whoever carries out Machines owns one of these a replica. After a fault nothing is applied any
// more until `begin` or `install` put a fresh machine in its place.
//
// Owner:  runtime, or the simulator.
// Thread: one apply worker at a time.
// Errors: a machine's Fault and an unreadable entry stop it, at a position; an author's error is an
//         answer like any other.
class Applier {
public:
  // An empty machine of the plugin with that hash; of the group's first one where it is empty. A
  // machine that refuses the group's settings is `badRequest`, as everywhere; any other fault is of
  // this host alone.
  using MachineFactory = std::function<Result<std::unique_ptr<Machine>>(const std::string& sha256)>;
  // A fresh place for a machine on disk.
  using StoreFactory = std::function<Result<std::shared_ptr<MachineStore>>()>;

  // `makeStore`: may be empty where no machine is on disk. `events`: equal on all replicas of the
  // group.
  Applier(ReplicaKey key, MachineFactory makeMachine, StoreFactory makeStore = {},
          EventBounds events = {});

  // A fresh, empty machine before the first entry. Needed before anything else, unless `install` or
  // `resume`.
  Result<void> begin();
  // A machine on disk, as its last sync has left it: where it stands is what its store has kept.
  Result<void> resume(std::shared_ptr<MachineStore> store);
  // Loads a snapshot file into a fresh machine and, if all of it held, switches to it. `point`: the
  // file must stand there; nothing: wherever it stands.
  Result<raft::LogPoint> install(SnapshotSource& file, std::optional<raft::LogPoint> point);

  // `answersBytesMax`: what this host has room for on their way to callers. It changes nothing that
  // is kept: who finds no room is told that its command was applied.
  Applied apply(const ApplyRequest& request, uint64_t answersBytesMax = UINT64_MAX);
  uint64_t answersBytes() const { return answersBytes_; }  // of the last apply
  Queried query(const QueryRequest& request);
  // The query, on the state as it is now, to be carried out beside later applies; nothing where it
  // is none that its machine wants asked so: `query` then.
  std::optional<AsideQuery> aside(const QueryRequest& request);
  uint64_t machineNumber() const { return machineNumber_; }  // rises with each that takes over
  // `shape` gives the configuration at the boundary; it must cover it, but where a machine on disk
  // and its log were damaged apart: a fault then, which stops nothing. A machine on disk is synced
  // first; one that has stopped gives what it has kept. `runsKnown`: see ApplyRequest.
  Result<std::unique_ptr<StateCapture>> capture(const raft::LogShape& shape, bool runsKnown);
  // Makes a machine on disk durable where it stands. Without room on the disk it goes on as before;
  // any other fault stops it.
  Result<void> sync();
  // Whether a machine of that kind could take over from this one by its layout: see applySwitch.
  Result<void> fits(bool onDisk, uint32_t stateVersion) const;
  // Up to where it is; nothing: it is none on disk.
  std::optional<raft::LogPoint> durable() const;

  // Gives memory back that is kept for the next request.
  void rest();

  // Stops it at its next command for a reason found outside (a crash mark, a watchdog, a query
  // beside). False: it has stopped already, or the reason is of another machine than this one.
  bool stop(Fault fault, Position at, uint64_t machine = 0);  // 0: of whichever there is

  const GroupState& state() const { return state_; }
  raft::LogPoint at() const { return state_.at; }
  Machine* machine() { return machine_.get(); }  // null before begin
  const std::optional<Fault>& fault() const { return fault_; }
  Position faultAt() const { return faultAt_; }

private:
  struct Pending {
    Stamp stamp;
    size_t answer = 0;  // in Applied::answers; kNoAnswer where nobody waits
    bool answered = false;
  };
  class RunAnswers;
  static constexpr size_t kNoAnswer = SIZE_MAX;
  class Passage;

  bool applyEntry(const LogEntry& entry, Applied& applied);
  bool applyCommands(const LogEntry& entry, Applied& applied);
  bool judgeCommand(const CommandView& command, Position position, Applied& applied);
  void addToRun(const CommandView& command, Position position, size_t answer);
  void applyOpenSession(Position position, Applied& applied);
  bool applyTimers(raft::Index index, Applied& applied);
  bool applyDigestCheck(raft::Index index, Applied& applied);
  bool applySwitch(Position position, Applied& applied);
  Result<void> moveTo(Machine& next);
  Result<void> moveOnDisk(Machine& next);
  void syncIfMuch();
  Result<void> openFresh(Machine& machine);
  void takeOver(std::unique_ptr<Machine> machine, GroupState state);
  static bool within(const raft::LogShape& shape, raft::LogPoint at) {
    return shape.base().index <= at.index && at.index <= shape.lastIndex();
  }
  static Result<void> learnMembers(const raft::LogShape& shape, GroupState& state);
  void knowRuns(bool known) { form_ = known ? Sessions::Form::runs : Sessions::Form::each; }
  Result<std::unique_ptr<StateCapture>> captureKept(const raft::LogShape& shape) const;
  std::unique_ptr<StateCapture> captureOf(const GroupState& state,
                                          std::unique_ptr<Capture> machine) const;
  void carryOut(const CommandView& command, Position position, size_t answer, Applied& applied);
  bool applyRun(Applied& applied);
  size_t addAnswer(Position position, Applied& applied) const;
  bool takeRoom(size_t bytes);
  bool stopAt(Position position, Fault fault);
  void endEntries(raft::LogPoint point);

  ReplicaKey key_;
  MachineFactory makeMachine_;
  StoreFactory makeStore_;
  const EventBounds eventBounds_;
  std::unique_ptr<Machine> machine_;
  uint64_t machineNumber_ = 0;
  GroupState state_;
  std::optional<Fault> fault_;
  Position faultAt_;
  std::shared_ptr<const FrozenMachine> frozen_;  // of what is applied now, if one was wanted
  raft::Index wholeUpTo_ = 0;  // with a fault: the last entry that was applied whole

  Sessions::Form form_ = Sessions::Form::each;  // that every host of the cluster loads

  // Of the request that is being applied.
  bool answersWanted_ = false;
  uint64_t answersBytesMax_ = 0;
  uint64_t answersBytes_ = 0;
  raft::Term term_ = 0;
  std::vector<MachineCommand> run_;    // it, pending_ and entry_.commands: in borrowed rooms
  std::vector<Pending> pending_;       // one for each command of run_
  std::vector<Timers::Timer> wanted_;  // by the command that is answered next
  std::vector<Event> told_;            // the same
  uint64_t toldBytes_ = 0;
  std::vector<Timers::Timer> due_;
  BytePages page_;
  DecodedEntry entry_;
};

}  // namespace flotilla::group
