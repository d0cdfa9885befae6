// One replica of one group: its core, its entries in memory, and the callers who wait.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/group/appends.h"
#include "host/group/digests.h"
#include "host/group/entry.h"
#include "host/group/feed.h"
#include "host/group/log_time.h"
#include "host/group/meters.h"
#include "host/group/ports.h"
#include "host/group/questions.h"
#include "host/group/quota.h"
#include "host/group/tail.h"
#include "host/group/waiting.h"
#include "host/raft/core.h"
#include "host/raft/effects.h"
#include "host/raft/input.h"
#include "host/raft/types.h"

namespace flotilla::group {

// Every bound of one replica. Bytes are payload bytes.
struct GroupLimits {
  uint32_t entryCommandsMax = 1024;       // commands packed into one entry
  uint32_t flushCommands = 256;           // gathered commands that make isFull
  uint64_t entryBytesMax = 1 << 20;       // an entry is closed once it reaches this
  uint64_t commandBytesMax = 8 << 20;     // one command's params; more is tooLarge
  uint64_t waitingCallsMax = 65536;       // commands, and again queries; more is overloaded
  uint64_t waitingBytesMax = 64 << 20;    // params of commands that wait; more is overloaded
  uint64_t tailBytesMax = 16 << 20;       // newest entries held in memory
  uint64_t applyBatchBytesMax = 4 << 20;  // entries handed to Machines in one request
  uint32_t applyBatchEntriesMax = 1024;
  uint32_t applyRequestsMax = 4;   // requests at Machines at a time
  uint32_t appendFetchesMax = 16;  // appends that wait for the disk at a time
};

struct GroupOptions {
  raft::CoreConfig core;  // self must equal key.replica
  ReplicaKey key;
  uint64_t incarnation = 1;
  GroupLimits limits;
  int64_t tickUs = 0;                          // between ticks, by Clock; 0: not known
  uint32_t callTimeoutTicks = 100;             // then a waiting call is answered `timeout`
  uint64_t snapshotEveryBytes = 128ULL << 20;  // applied since the last snapshot; 0: never by bytes
  uint64_t snapshotEveryEntries = 1'000'000;   // 0: never by entries
  uint64_t keepEntries = 10'000;               // left in the log behind a snapshot, for slow peers
  uint64_t logBytesMax = 0;  // a longer log takes nothing until a snapshot cuts it; 0: any does
  uint64_t digestEveryEntries = 10'000;       // applied since the last digest check; 0: never
  int64_t digestEveryUs = 60'000'000;         // since then, if anything was applied; 0: never
  uint32_t entriesVersion = kEntriesVersion;  // at first, see Group::entriesKnown
};

// Whether a replica's machine can be believed.
enum class Soundness : uint8_t {
  sound,
  quarantined,  // its digest is not the majority's: it waits for an operator
  rebuilding,   // a peer's snapshot is on its way, or not yet safe here
};

// What the host knows of the replica when it starts it.
struct Recovered {
  ReplicaState state;
  raft::LogPoint machineAt;  // where the machine at Machines stands already; index 0: empty
  // That is what a machine on disk has kept, or it has kept nothing. Of one in memory it is its
  // newest snapshot.
  bool onDisk = false;
  raft::LogPoint snapshot;  // of a machine on disk: the newest snapshot file; index 0: none
  std::optional<Fault> machineFault;  // what it has kept cannot be opened
  uint64_t logBytes = 0;              // of the log's entries, roughly
  // What the machine here held is not to be believed, and not begun with.
  Soundness soundness = Soundness::sound;
  raft::Index unsoundAt = 0;  // it differed from a majority there; 0: not that is known
  std::string unsoundBecause;
};

// Room for what one step wants done. Groups of one loop share it: with a room for each, a step's
// lists were cold whenever a group had its turn.
struct StepRoom {
  raft::Effects effects;
  bool taken = false;
};

// All of them outlive the Group.
struct Ports {
  Disk& disk;
  Outbox& outbox;
  Machines& machines;
  Callers& callers;
  Clock& clock;
  StepRoom& steps;
  TailRoom& tails;
  const uint64_t& ticks;  // the owner's, since it began: see Group::tick
};

// What an operator sees of a replica.
struct Status {
  ReplicaKey key;
  uint64_t incarnation = 0;
  raft::Role role = raft::Role::follower;
  raft::Term term = 0;
  raft::ReplicaId leader = 0;  // 0: none known
  raft::Configuration configuration;
  raft::Index commit = 0;
  raft::Index applied = 0;
  raft::Index firstIndex = 0;
  raft::Index lastIndex = 0;
  raft::Index snapshotIndex = 0;  // of the newest saved one; 0: none
  // Of the one that the record which would survive a crash now names, or that this start began
  // with: the next start may have no newer one to begin with, so its file must be there.
  raft::Index snapshotOnDisk = 0;
  // Of a machine on disk, the last entry that a start needs not; nothing: it is in memory.
  std::optional<raft::Index> durable;
  uint64_t generation = 0;
  uint64_t generationOnDisk = 0;             // that a crash now would bring back
  std::vector<raft::PeerProgress> progress;  // where this replica leads
  std::optional<Fault> fault;  // why it has stopped: the machine's (it still votes) or the log's
  Position faultAt;
  Soundness soundness = Soundness::sound;
  raft::Index quarantinedAt = 0;
  raft::Index splitAt = 0;  // where it leads: a digest check had no majority there; 0: none since
  bool ready = false;       // replayed what was committed at its start, has a leader, no fault
  bool installing = false;  // a snapshot is being loaded
  bool stopping = false;
  bool diskFull = false;
  bool asleep = false;        // nothing to do: no ticks are wanted, the group's hosts beat instead
  bool mute = false;          // the log has lost what the machine holds: no vote until it is back
  uint64_t logBytes = 0;      // of entries in the log, roughly
  uint64_t waitingCalls = 0;  // commands and queries that wait here
  Quotas quotas;
  std::string refuses;     // what the quotas have it refuse now; empty: nothing
  int64_t applyLagUs = 0;  // how long the oldest unanswered apply request has waited
  int64_t clockOffUs = 0;  // log time minus wall time, where this replica leads
};

// One Core and what it needs of the world. Calls go down to the ports at once; their answers come
// back as calls of persisted, fetched, applied and so on, never from inside a port's function.
// Within one turn of the loop any number of calls and inputs may be given; `flush` ends the turn:
// it packs the gathered commands into one entry (several, where they are too many) and asks for one
// read index for all gathered queries.
//
// Owner:  runtime, or the simulator.
// Thread: one loop's. Callers::answer may be called from inside any function here, so it must not
//         call back into the Group.
// Errors: a caller's in his Outcome. A machine's fault stops applying, Raft goes on. A log that
//         cannot be read stops the replica: it answers nobody and does not vote.
// Time:   in ticks, each the owner's heartbeat unit; microseconds from Clock for log time and ages.
class Group {
public:
  Group(GroupOptions options, Recovered recovered, Ports ports);
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  // ---- calls. Each CallId other than 0 is answered exactly once.
  void propose(CallId caller, Call call);
  void query(CallId caller, Call call, Freshness freshness);
  void openSession(CallId caller);  // the outcome's position.index is the session
  // The log is to become short soon: the volume has little room left for what lives there.
  void makeRoom();
  // It was asked to, and what it does for that has not ended.
  bool makesRoom() const { return crowded_ && (saving_ || syncing_) && !logFault_; }
  // From the entry's index on, another plugin's machine applies: see Applier. Answered by whether
  // it did.
  void switchPlugin(std::string_view sha256, CallId caller);
  void requestSnapshot(CallId caller);  // the outcome's position.index is the snapshot's
  // A machine on disk is made durable as it is now: a start has nothing to replay then.
  void requestSync(CallId caller);
  // Answered when the entry that begins the change is applied; the rest of a joint change follows.
  void changeMembership(std::vector<raft::ReplicaId> voters, std::vector<raft::ReplicaId> learners,
                        CallId caller);
  void transfer(raft::ReplicaId to);  // 0: to whichever voter is furthest
  void campaign();                    // stand for election now

  // ---- the world's answers and events
  // Ports::ticks has been counted on. Where a tick would change nothing that matters for so long,
  // it may be left out: see nextTick.
  void tick();
  // By the count of Ports::ticks, the next one that is to be given, as far as is known now; at most
  // kTicksLeftOutMax later than it would have been; TickPlace::kNever while the group sleeps.
  static constexpr uint64_t kTicksLeftOutMax = 9;
  uint64_t nextTick() const;
  void receive(PeerMessage message);
  void persisted(raft::WriteId write);
  void fetched(Fetched fetched);
  void applied(Applied applied);
  void queried(Queried queried);
  void snapshotLost(raft::LogPoint point);  // its file is damaged: another is saved
  void snapshotSaved(SnapshotSaved saved);
  void synced(Synced synced);
  void installEnd(InstallEnd end);
  void snapshotReceived(raft::Message head);  // its file is whole, verified and synced here
  // False while files of a machine that this one was built in place of go: with them would go
  // whatever came.
  bool takesSnapshots() const { return !settlesAt_; }
  void snapshotSent(raft::SnapshotSent sent);
  void unreachable(raft::ReplicaId peer);
  void volumeFull(bool full);
  // From now on each query is answered `faulted`, with these words; empty: none is.
  void refuseQueries(std::string because) { queriesRefused_ = std::move(because); }
  bool refusesQueries() const { return !queriesRefused_.empty(); }
  // Every host of the cluster knows the entries of that version: see kEntriesVersion.
  void entriesKnown(uint32_t version) { entriesVersion_ = version; }
  bool runsKnown() const { return entriesVersion_ >= kRunsVersion; }
  // Whether somebody here waits for events: the leader is asked to tell of commits at once.
  void listens(bool listens) { listens_ = listens; }
  // The group's sleep may not be what its leader's host believes: see sleepers.h.
  void wake(raft::Wake wake = {});
  // A faulted machine is built anew from the newest snapshot and the log; not one that is
  // quarantined, for its snapshots are its own.
  void retry();
  // The machine is built anew from a peer's snapshot. Until then it serves nobody, and its log and
  // its vote go on. To be given again at any time.
  void rebuild();
  // It has a peer's snapshot, and the log that follows it is safe: what lies on disk of its former
  // machine can go. Until `forgotten` says that it has gone, no snapshot is saved.
  bool isRebuilt() const;
  void forgotten();
  // What a step is going to read: of the group itself, then what that names, and what that does.
  void prefetchSelf() const { base::prefetchSpan(&options_.key, core_.endOfOften()); }
  void prefetch() const {
    core_.prefetch();
    tail_.prefetch();
    waiting_.prefetch();
  }
  void prefetchDeep() const { core_.prefetchDeep(); }
  // The end of the loop's turn.
  void flush();
  // So much has been gathered that it should not wait for the turn's end: the followers and the
  // disk are to have it while the rest of the turn's calls come in.
  bool isFull() const { return gatheredCalls_.size() >= options_.limits.flushCommands; }
  // What it does is counted here from now on; they outlive the group, or another call of this.
  void meter(Meters& meters) { meters_ = &meters; }
  // What it may take of its host. Judged where calls come in, never where they are applied: each
  // replica judges what it holds and does itself.
  void limit(Quotas quotas) { gauge_.set(quotas, ports_.clock.monotonicUs()); }
  bool isLimited() const { return gauge_.isSet(); }
  bool isOverQuota() const { return gauge_.isRefusing(ports_.clock.monotonicUs()); }
  bool isOverMemory() const { return gauge_.isFull(); }  // commands that free some are taken
  // What its machine holds, and how long it has had a thread since the last call; for groups that
  // are limited.
  void used(uint64_t memoryBytes, int64_t applyUs);
  // New calls are refused with groupStopping, waiting ones answered; Raft goes on until destroyed.
  void stop();

  // Never touches the machine or the disk.
  Status status() const;
  bool leads() const { return core_.role() == raft::Role::leader; }
  const std::optional<Fault>& fault() const { return fault_; }  // as Status::fault, without a copy
  Soundness soundness() const;
  raft::Index quarantinedAt() const { return quarantinedAt_; }
  raft::Index rebuildFrom() const { return rebuildFrom_; }
  raft::Index splitAt() const { return splitAt_; }
  uint64_t rebuilds() const { return rebuilds_; }  // that have ended well
  raft::ReplicaId leader() const { return core_.leader(); }
  // Ticks would change nothing: the owner may leave them out until the next call or event.
  bool idle() const { return core_.asleep() && !isBusy(); }
  uint64_t generationOnDisk() const { return generationOnDisk_; }
  raft::Index appliedIndex() const { return feed_.applied(); }
  uint64_t logBytes() const { return logBytes_; }   // of entries in the log, roughly
  const raft::Core& core() const { return core_; }  // for the simulator's invariants

private:
  // The bytes that go with one step: what a peer's append brought, or a proposal's payload.
  struct Brought {
    const std::vector<LogEntry>* entries = nullptr;
    Bytes payload;
    int64_t lastTimeUs = 0;  // the stamp of the last of them
  };
  struct Installing {
    uint64_t generation = 0;
    raft::LogPoint point;
    bool asked = false;  // by the core; else by retry or rebuild
    bool kept = false;   // goes back to what a machine on disk has kept
  };
  struct Offered {  // a snapshot's file that lies here, asked for by rebuild
    raft::LogPoint point;
    raft::Configuration configuration;
  };

  // group.cc: callers
  std::optional<Outcome> refusalOfCalls() const;
  std::optional<Outcome> refusalByQuota(const Call& call, bool command);
  std::optional<Outcome> refusalByRate();
  Outcome notLeader() const;
  Outcome refusalOf(raft::RefusedWhy why) const;
  void answer(CallId caller, const Outcome& outcome);
  void proposeGathered();
  void forgetGathered();
  void proposeCommands(size_t first, size_t count, uint64_t bytes);
  bool proposePayload(Bytes payload, Waiting::Batch batch);
  bool isFreshEnough(const Freshness& freshness) const;
  void failCalls(const Outcome& commands, const Outcome& queries);
  uint64_t deadline() const { return ports_.ticks + options_.callTimeoutTicks; }
  LogTime::Now now() const;

  // group_ticks.cc: time
  void proposeTimers();
  bool isBusy() const;
  uint64_t ticksToTell();
  void mindLateTicks();

  // group_log.cc: a step's effects, the log and the peers
  void take(const raft::Input& input);
  void hearTime(int64_t timeUs, bool rewritten);
  void nameSnapshot(raft::WriteId write);
  void step(const raft::Input& input);
  void carryOut(const Brought& brought);
  void write(const raft::Write& write, const Brought& brought);
  LogEntry entryAt(raft::Index index, const Brought& brought);
  bool takeEntries(PeerMessage& message, int64_t& lastTimeUs);
  void send(raft::Message message, std::vector<LogEntry> entries);
  void sendAppends();
  void sendSnapshot(raft::ReplicaId to);
  raft::Message snapshotHead(raft::ReplicaId to) const;
  void stopForLog(Fault fault);
  // Whether the log goes on from there, or is to be brought up to there; if not, why the machine
  // cannot go on.
  bool continuesFrom(raft::LogPoint at) const;
  Fault behindLog(raft::LogPoint at) const;
  // A machine that has stopped for want of room asks nobody to mend it.
  bool waitsForRoom() const { return fault_ && fault_->code == ErrorCode::diskFull; }
  void retryForRoom();
  // Where snapshots do not keep up, or the machine is stuck or stopped: what is committed alone,
  // for the rest no snapshot takes in, and it may have to be written over.
  bool logReaches(uint64_t bytes) const;
  bool logIsLong() const { return logReaches(options_.logBytesMax / 2); }
  // One that is being rebuilt needs its log up to where the state stands that it is offered. One
  // whose machine has faulted goes on counting for its group, or all of one command's group would
  // stand.
  bool logIsFull() const { return logReaches(options_.logBytesMax) && !rebuilding_ && !fault_; }
  bool isMute() const;

  // group_machine.cc: applying, snapshots, installs
  void feed();
  raft::Index wantedAbove() const;
  void fetchedForApply(Fetched fetched);
  void submit(std::vector<LogEntry> entries);
  void hurryMachine();
  void stopMachine(Fault fault, Position at);
  void considerSnapshot();
  void startSnapshot();
  void startSync();
  void cutBehindSyncs();
  // What a start here begins with: what a machine on disk has kept, or the newest snapshot.
  const raft::LogPoint& beginning() const { return durable_ ? *durable_ : snapshot_; }
  void startInstall(raft::LogPoint point, const raft::Configuration& configuration, bool asked,
                    bool kept = false);
  void startFromOwn(raft::LogPoint point);
  void sayNotLoaded();
  void compact(raft::LogPoint snapshot);
  raft::Index keepAfter(raft::Index snapshot);
  raft::Index neededAfter(raft::Index snapshot);
  void answerSnapshotCallers(const Outcome& outcome);
  void answerSyncCallers(const Outcome& outcome);
  void handOverIfUseless();
  void handOver();
  void refuseForSpace(CallId caller);
  void rest();

  // group_soundness.cc: digest checks, quarantine, rebuilding
  void tickSoundness();
  void considerCheck();
  bool muchIsUnchecked() const;
  bool canCheck() const;
  void tookDigests(const std::vector<DigestAt>& taken, uint64_t unchecked);
  void reportDigest();
  void onDigest(const raft::Message& report);
  void judgeDigests(raft::Index index);
  void onDigestVerdict(const raft::Message& word);
  void quarantine(raft::Index index, uint64_t majority);
  void askForSnapshot();
  void onSnapshotAsk(const raft::Message& ask);
  void sendAsked(raft::ReplicaId to);
  bool hasSnapshot() const;
  bool isSendingTo(raft::ReplicaId peer) const;
  void onAskedSnapshot(const raft::Message& head);
  bool takeOffered();
  void installed();
  raft::Message messageTo(raft::ReplicaId to, raft::MessageKind kind) const;

  static constexpr const char* kBeingRebuilt = "this replica is being rebuilt; ask another";
  static constexpr uint32_t kHandOversMax = 3;  // of a leader whose machine has stopped

  struct Naming {
    raft::WriteId write = 0;
    raft::Index snapshot = 0;
    uint64_t generation = 0;
  };

  // Of a thousand busy groups none is in a cache: what most steps read lies together, from the
  // options' key to the end of the core's first part. See prefetchSelf.
  const GroupOptions options_;
  Ports ports_;
  raft::Effects& effects_;  // of the step under way
  Meters* meters_ = nullptr;
  bool gaveWay_ = false;  // what the machine is at may be put off
  bool listens_ = false;  // somebody here waits for events
  bool syncing_ = false;
  bool saving_ = false;
  bool crowded_ = false;     // no more log is kept behind the next snapshot than peers read now
  bool rebuilding_ = false;  // no machine until a snapshot comes
  bool logFault_ = false;
  bool stopping_ = false;
  bool volumeFull_ = false;
  bool resting_ = false;  // asleep, and nothing is held that only the busy need
  uint32_t entriesVersion_ = options_.entriesVersion;  // that every host knows
  uint64_t coreTicks_ = ports_.ticks;                  // that the core has been told of
  uint64_t tickedAt_ = ports_.ticks;
  uint64_t gaveWayAt_ = 0;  // tick
  Feed feed_;
  Waiting waiting_;
  std::vector<Call> gatheredCalls_;  // since the last flush, in a room of the thread's
  std::vector<CallId> gatheredCallers_;
  std::vector<CallId> gatheredSessions_;
  uint64_t gatheredBytes_ = 0;
  Tail tail_;
  Appends appends_;
  LogTime logTime_;
  raft::Index logEnd_ = 0;  // the last entry ever handed to the disk and not taken back
  uint64_t logBytes_ = 0;
  raft::ProposalId lastProposal_ = 0;
  raft::WriteId lastWrite_ = 0;
  raft::WriteId persisted_ = 0;
  uint64_t applyFetch_ = 0;  // under way; 0: none
  uint64_t generation_ = 0;
  raft::LogPoint snapshot_;         // the newest saved
  raft::Index snapshotOnDisk_ = 0;  // what the last persisted write names
  uint64_t generationOnDisk_ = 0;
  // Writes under way that name another snapshot, or generation, than those before.
  std::vector<Naming> namings_;
  int64_t nextTimerUs_ = kNoTimer;  // the machine's earliest, as far as it has applied
  uint64_t saveNotBefore_ = 0;      // tick
  uint64_t reportAt_ = 0;           // tick
  uint64_t handOverAt_ = 0;         // tick
  uint64_t unchecked_ = 0;          // entries since the last check, as the machine last said
  int64_t checkedUs_ = 0;           // when the last check was applied here, or the start
  raft::Index checkAt_ = 0;         // the last check that we have proposed
  raft::Index splitAt_ = 0;
  raft::Index quarantinedAt_ = 0;
  raft::Index muteBelow_ = 0;  // no vote until the log is back up to here
  int64_t heardUs_ = 0;        // of the leader; 0: never
  std::vector<CallId> syncCallers_;
  std::vector<CallId> snapshotCallers_;
  std::vector<raft::ReplicaId> snapshotWanted_;  // by these peers, once there is one
  std::vector<raft::ReplicaId> askers_;          // of a snapshot, once there is one
  std::optional<raft::WriteId> settlesAt_;  // rebuilt, once this write is safe and all is forgotten
  std::optional<raft::LogPoint> durable_;   // of a machine on disk
  // The core hears later that this could not be loaded, or it would be sent again at once.
  std::optional<raft::LogPoint> notLoaded_;
  std::optional<DigestAt> reported_;  // that the leader has not yet answered
  std::optional<Installing> installing_;
  // Peers that a snapshot was sent to, until they have passed the newest: they go on from there.
  std::map<raft::ReplicaId, raft::Index> followUps_;
  std::optional<Fault> fault_;
  Questions questions_;
  QuotaGauge gauge_;
  raft::Core core_;

  // What few steps read.
  Position faultAt_;
  uint32_t handOvers_ = 0;
  uint32_t reports_ = 0;  // of reported_
  uint64_t roomAt_ = 0;   // tick; of the next look whether a machine that lacked it has room
  uint64_t countedFrom_ = ports_.ticks;  // see mindLateTicks; and when that was
  int64_t countedFromUs_ = ports_.clock.monotonicUs();
  raft::ReadId lastRead_ = 0;
  uint64_t lastFetch_ = 0;
  uint64_t lastGeneration_ = 0;  // ever asked for
  raft::LogPoint timersAt_;      // our last entry that fires timers
  uint64_t notLoadedUntil_ = 0;  // tick
  raft::Index readyAt_ = 0;      // committed at the start
  raft::Index rebuildFrom_ = 0;  // no older snapshot will do: a majority agreed there
  uint64_t askAt_ = 0;           // tick
  uint64_t asks_ = 0;
  uint64_t rebuilds_ = 0;
  std::unique_ptr<Offered> offered_;
  std::map<raft::ReplicaId, uint64_t> sendingTo_;  // snapshots under way, and since which tick
  std::string queriesRefused_;                     // why
  Digests digests_;
};

}  // namespace flotilla::group
