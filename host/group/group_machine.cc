// The machine's side of a group: applying, snapshots, installs, faults.
#include <algorithm>
#include <limits>
#include <utility>

#include "host/base/assert.h"
#include "host/group/group.h"

namespace flotilla::group {
namespace {

constexpr uint64_t kHandOverEveryTicks = 50;
constexpr uint64_t kSaveAgainTicks = 100;  // after a snapshot that was not saved
constexpr size_t kSnapshotCallersMax = 1024;
constexpr uint64_t kFollowUpSnapshots = 4;
constexpr uint64_t kLookForRoomTicks = 200;
constexpr uint64_t kLoadAgainTicks = 100;  // after a snapshot that could not be loaded

}  // namespace

// ---- applying ----------------------------------------------------------------------------------

// Hands committed entries to the machine, from memory or by way of the disk, and queries after
// them.
void Group::feed() {
  if (fault_ || installing_ || rebuilding_) return;
  const GroupLimits& limits = options_.limits;
  while (applyFetch_ == 0 && feed_.fed() < core_.applicable() &&
         feed_.requests() < limits.applyRequestsMax) {
    raft::Index last = std::min(core_.applicable(), feed_.fed() + limits.applyBatchEntriesMax);
    if (tail_.find(feed_.fed() + 1) == nullptr) {
      applyFetch_ = ++lastFetch_;
      ports_.disk.fetch(options_.key, {applyFetch_, feed_.fed(), last, limits.applyBatchBytesMax});
      break;
    }
    std::vector<LogEntry> entries;
    entries.reserve(last - feed_.fed());
    uint64_t bytes = 0;
    for (raft::Index index = feed_.fed() + 1; index <= last && bytes < limits.applyBatchBytesMax;
         ++index) {
      entries.push_back(*tail_.find(index));
      bytes += entries.back().payload.size();
    }
    submit(std::move(entries));
  }
  if (questions_.asked()) questions_.release(feed_.fed(), generation_, deadline());
}

// The entries in memory that the machine is still to be given; one that is given nothing wants
// none.
raft::Index Group::wantedAbove() const {
  return fault_ || rebuilding_ ? std::numeric_limits<raft::Index>::max() : feed_.fed();
}

void Group::fetchedForApply(Fetched fetched) {
  applyFetch_ = 0;
  if (fault_ || installing_ || rebuilding_) return;
  if (!fetched.entries) return stopForLog(fetched.entries.fault());
  std::vector<LogEntry> entries = std::move(fetched.entries).value();
  raft::Index index = feed_.fed();
  bool sound = !entries.empty();
  for (const LogEntry& entry : entries) {
    sound = sound && entry.index == ++index && index <= core_.applicable() &&
            core_.shape().termAt(index) == entry.term;
  }
  if (!sound) {
    return stopForLog({ErrorCode::corrupt,
                       "group " + std::to_string(options_.key.group) +
                           ": log: the disk gave other entries after " +
                           std::to_string(feed_.fed()) + " than the log's shape says",
                       {}});
  }
  submit(std::move(entries));
  feed();
}

void Group::submit(std::vector<LogEntry> entries) {
  int64_t nowUs = ports_.clock.monotonicUs();
  bool wanted = waiting_.decide(entries, core_.leader(), {meters_, nowUs});
  uint64_t bytes = 0;
  for (const LogEntry& entry : entries) bytes += entry.payload.size();
  bool awaited = wanted || questions_.count() != 0 || feed_.lagUs(nowUs) > kGiveWayUs;
  feed_.sent(entries.back().index, bytes, nowUs);
  bool more = feed_.fed() < core_.applicable() || feed_.requests() > 1;
  if (!gaveWay_) gaveWayAt_ = ports_.ticks;
  gaveWay_ = !awaited;
  ports_.machines.apply(
      {generation_, std::move(entries), wanted, wanted || more, gaveWay_, runsKnown()});
}

void Group::hurryMachine() {
  if (std::exchange(gaveWay_, false)) ports_.machines.hurry();
}

void Group::applied(Applied applied) {
  if (applied.generation != generation_ || fault_) return;
  // Of a machine that is being retried: what was still asked of it finds it as it was.
  if (applied.fault && installing_ && !installing_->asked) return;
  ASSERT(applied.fault || applied.index >= feed_.applied());  // in the order of the entries
  feed_.applied(applied.index);
  if (feed_.requests() == 0) gaveWay_ = false;
  nextTimerUs_ = applied.nextTimerUs;
  int64_t nowUs = waiting_.count() == 0 ? 0 : ports_.clock.monotonicUs();
  if (waiting_.count() != 0) {
    waiting_.answer(applied, failure(ErrorCode::unknown, "applied, but its answer was lost"),
                    {meters_, nowUs});
  }
  if (applied.durable) durable_ = applied.durable;
  if (applied.fault) return stopMachine(std::move(*applied.fault), applied.faultAt);
  tookDigests(applied.digests, applied.unchecked);
  considerSnapshot();
  feed();
}

// The machine is out of order; the log is not, and Raft goes on with it.
void Group::stopMachine(Fault fault, Position at) {
  fault_ = std::move(fault);
  faultAt_ = at;
  nextTimerUs_ = kNoTimer;  // of a machine that is no more
  handOvers_ = 0;
  handOverAt_ = ports_.ticks;
  roomAt_ = ports_.ticks + kLookForRoomTicks;
  askers_.clear();
  Outcome outcome =
      failure(ErrorCode::faulted, "stopped at " + std::to_string(at.index) + "." +
                                      std::to_string(at.ordinal) + ": " + fault_->text);
  failCalls(outcome, outcome);
  answerSnapshotCallers(outcome);
  answerSyncCallers(outcome);
}

// A leader that cannot apply, or takes no commands for lack of space, is of no use to callers;
// another's machine may be well, and its disk.
void Group::handOverIfUseless() {
  if (!leads() || ports_.ticks < handOverAt_) return;
  if (volumeFull_) return handOver();
  bool tired = handOvers_ >= kHandOversMax && quarantinedAt_ == 0;
  if (!fault_ || tired) return;
  ++handOvers_;
  handOver();
}

void Group::handOver() {
  handOverAt_ = ports_.ticks + kHandOverEveryTicks;
  take(raft::Transfer{0});
}

void Group::retry() {
  if (!fault_ || logFault_ || installing_ || quarantinedAt_ != 0) return;
  if (rebuilding_) return rebuild();
  raft::LogPoint point = beginning();
  if (point.index < core_.shape().base().index) return;  // nothing to begin anew from
  fault_.reset();
  faultAt_ = {};
  startFromOwn(point);
}

// From what its disk keeps of it, a snapshot, or the log's beginning.
void Group::startFromOwn(raft::LogPoint point) {
  bool kept = durable_ && point.index != 0;
  startInstall(point, core_.shape().configurationAt(point.index).configuration, false, kept);
}

// The log's volume may never have been full: it has laid out its journals ahead, and what a machine
// lacks is more. So whether there is room by now shows when it tries.
void Group::retryForRoom() {
  if (!waitsForRoom() || volumeFull_ || ports_.ticks < roomAt_) return;
  roomAt_ = ports_.ticks + kLookForRoomTicks;
  retry();
}

// ---- snapshots ---------------------------------------------------------------------------------

void Group::requestSnapshot(CallId caller) {
  if (auto refusal = refusalOfCalls()) return answer(caller, *refusal);
  if (feed_.fed() == snapshot_.index && feed_.fed() != 0) {
    Outcome outcome;
    outcome.position.index = snapshot_.index;
    return answer(caller, outcome);
  }
  if (feed_.fed() == 0 || installing_) {
    return answer(caller, failure(ErrorCode::unavailable, "there is nothing to save yet"));
  }
  if (snapshotCallers_.size() >= kSnapshotCallersMax) {
    return answer(caller, failure(ErrorCode::overloaded, "too many wait for a snapshot"));
  }
  snapshotCallers_.push_back(caller);
  startSnapshot();
}

// A sleeping group does it in its sleep.
void Group::makeRoom() {
  if (logFault_) return;
  crowded_ = true;
  if (feed_.applied() > beginning().index) {
    considerSnapshot();
  } else if (!saving_ && !syncing_) {
    compact(beginning());
  }
}

// The log is kept short by snapshots; with a machine on disk by its syncs, and then a snapshot is
// made only for those who ask for one.
void Group::considerSnapshot() {
  if (ports_.ticks < saveNotBefore_) return;
  bool asked = !snapshotWanted_.empty() || !askers_.empty();
  if (asked && !saving_ && feed_.applied() > snapshot_.index) startSnapshot();
  if (saving_ || syncing_) return;
  raft::Index begun = beginning().index;
  bool byBytes =
      options_.snapshotEveryBytes != 0 && feed_.bytesSinceSnapshot() >= options_.snapshotEveryBytes;
  if (feed_.applied() <= begun) {
    if (durable_ && byBytes) cutBehindSyncs();
    return;
  }
  bool byEntries = options_.snapshotEveryEntries != 0 &&
                   feed_.applied() - begun >= options_.snapshotEveryEntries;
  if (!byBytes && !byEntries && !crowded_ && !logIsLong()) return;
  if (durable_) {
    startSync();
  } else {
    startSnapshot();
  }
}

// Where each request changes much, each is synced by itself, and never is there anything to ask
// for.
void Group::cutBehindSyncs() {
  if (fault_ || installing_ || rebuilding_) return;
  feed_.snapshotBegun();
  compact(*durable_);
}

void Group::startSync() {
  if (syncing_ || fault_ || installing_ || rebuilding_) return;
  syncing_ = true;
  feed_.snapshotBegun();
  ports_.machines.sync({generation_});
}

void Group::requestSync(CallId caller) {
  if (auto refusal = refusalOfCalls()) return answer(caller, *refusal);
  if (!durable_ || installing_ || syncCallers_.size() >= kSnapshotCallersMax) {
    return answer(caller, failure(ErrorCode::unavailable, "there is nothing to sync"));
  }
  syncCallers_.push_back(caller);
  startSync();
}

void Group::synced(Synced synced) {
  if (synced.generation != generation_ || logFault_) return;
  syncing_ = false;
  if (synced.fault) {
    saveNotBefore_ = ports_.ticks + kSaveAgainTicks;
    return answerSyncCallers(failure(ErrorCode::unavailable, synced.fault->text));
  }
  durable_ = synced.point;
  answerSyncCallers({});
  compact(synced.point);
}

void Group::startSnapshot() {
  bool sound = soundness() == Soundness::sound && !logFault_;
  bool stopped = fault_ && !durable_;  // one on disk gives what it has kept
  if (saving_ || stopped || installing_ || !sound || feed_.fed() == 0) return;
  saving_ = true;
  feed_.snapshotBegun();
  bool amongMany = crowded_ && snapshotCallers_.empty();
  ports_.machines.snapshot({generation_, core_.shape(), amongMany, runsKnown()});
}

// Whoever needed it asks again, and would find the same file.
void Group::snapshotLost(raft::LogPoint point) {
  if (snapshot_ == point && !logFault_) startSnapshot();
}

void Group::snapshotSaved(SnapshotSaved saved) {
  if (saved.generation != generation_ || logFault_) return;
  saving_ = false;
  if (saved.fault) {
    saveNotBefore_ = ports_.ticks + kSaveAgainTicks;
    answerSnapshotCallers(failure(ErrorCode::unavailable, saved.fault->text));
    return;
  }
  if (saved.point.index > snapshot_.index) snapshot_ = saved.point;
  if (durable_ && saved.point.index > durable_->index) durable_ = saved.point;
  Outcome outcome;
  outcome.position.index = snapshot_.index;
  answerSnapshotCallers(outcome);
  compact(saved.point);
  std::vector<raft::ReplicaId> wanted = std::exchange(snapshotWanted_, {});
  if (!leads()) wanted.clear();  // whoever leads now finds out itself who needs one
  for (raft::ReplicaId to : wanted) sendSnapshot(to);
  for (raft::ReplicaId to : std::exchange(askers_, {})) {
    if (!isSendingTo(to)) sendAsked(to);
  }
}

void Group::compact(raft::LogPoint snapshot) {
  uint64_t before = core_.shape().lastIndex() - core_.shape().base().index;
  take(raft::Compact{snapshot, keepAfter(snapshot.index)});
  uint64_t left = core_.shape().lastIndex() - core_.shape().base().index;
  if (before != 0) logBytes_ = logBytes_ / before * left;
  crowded_ = false;
}

bool Group::logReaches(uint64_t bytes) const {
  if (options_.logBytesMax == 0 || logBytes_ < bytes) return false;
  const raft::LogShape& shape = core_.shape();
  uint64_t length = shape.lastIndex() - shape.base().index;
  uint64_t committed = std::max(core_.commit(), shape.base().index) - shape.base().index;
  return length != 0 && logBytes_ / length * committed >= bytes;
}

// How much of the log stays behind a snapshot: for peers that are a little slow, within a quarter
// of the bytes that a snapshot is made for, or one busy group would crowd a volume's log; and what
// is being read. Where room is short, for those only that answer and would else be sent the
// snapshot.
raft::Index Group::keepAfter(raft::Index snapshot) {
  uint64_t length = core_.shape().lastIndex() - core_.shape().base().index;
  uint64_t keep = options_.keepEntries;
  if (length != 0 && options_.snapshotEveryBytes != 0) {
    uint64_t entryBytes = std::max<uint64_t>(logBytes_ / length, 1);
    keep = std::min(keep, options_.snapshotEveryBytes / 4 / entryBytes);
  }
  raft::Index after = snapshot > keep ? snapshot - keep : 0;
  after = std::min(after, neededAfter(snapshot));
  if (crowded_ || logIsLong()) {
    raft::Index needed = snapshot;
    for (const raft::PeerProgress& peer : core_.progress()) {
      if (peer.active && peer.match != 0) needed = std::min(needed, peer.match);
    }
    after = std::max(after, needed);
  }
  if (auto pinned = appends_.pinnedAfter()) after = std::min(after, *pinned);
  return std::max(after, core_.shape().base().index);
}

// A large snapshot takes its time, while newer ones are saved here. What follows it stays for the
// peer that it was sent to, or it would need the next one at once, and so on for ever; but for
// kFollowUpSnapshots times the bytes that a snapshot is made for, no more.
raft::Index Group::neededAfter(raft::Index snapshot) {
  if (followUps_.empty()) return snapshot;
  std::map<raft::ReplicaId, raft::Index> matches;
  for (const raft::PeerProgress& peer : core_.progress()) matches[peer.replica] = peer.match;
  raft::Index after = snapshot;
  std::erase_if(followUps_, [&](const auto& sent) {
    auto peer = matches.find(sent.first);
    if (peer == matches.end() || peer->second >= snapshot) return true;
    after = std::min(after, std::max(sent.second, peer->second));
    return false;
  });
  uint64_t length = core_.shape().lastIndex() - core_.shape().base().index;
  if (length == 0 || options_.snapshotEveryBytes == 0) return after;
  uint64_t entryBytes = std::max<uint64_t>(logBytes_ / length, 1);
  uint64_t entriesMax = options_.snapshotEveryBytes * kFollowUpSnapshots / entryBytes;
  if (core_.shape().lastIndex() - after > entriesMax) return snapshot;  // hopeless: the next one
  return after;
}

void Group::answerSnapshotCallers(const Outcome& outcome) {
  for (CallId caller : std::exchange(snapshotCallers_, {})) answer(caller, outcome);
}

void Group::answerSyncCallers(const Outcome& outcome) {
  for (CallId caller : std::exchange(syncCallers_, {})) answer(caller, outcome);
}

// ---- installs ----------------------------------------------------------------------------------

void Group::startInstall(raft::LogPoint point, const raft::Configuration& configuration, bool asked,
                         bool kept) {
  installing_ = Installing{++lastGeneration_, point, asked, kept};
  ports_.machines.install({lastGeneration_, point, configuration, kept});
}

void Group::installEnd(InstallEnd end) {
  if (!installing_ || end.generation != installing_->generation || logFault_) return;
  Installing installing = *std::exchange(installing_, std::nullopt);
  if (installing.kept && !end.fault && !continuesFrom(end.point)) {
    end.fault = behindLog(end.point);
    installing.point = end.point;
  }
  bool ok = !end.fault;
  if (ok) {
    generation_ = installing.generation;
    saving_ = syncing_ = false;
    durable_ = end.durable;
    answerSyncCallers(failure(ErrorCode::unavailable, "another state was installed"));
    answerSnapshotCallers(failure(ErrorCode::unavailable, "a newer snapshot was installed"));
    fault_.reset();
    faultAt_ = {};
    applyFetch_ = 0;
    const raft::LogPoint& point = installing.kept ? end.point : installing.point;
    // It could not be opened at the start, and was further than the log, which has lost something.
    if (installing.kept && point.index > core_.shape().lastIndex()) muteBelow_ = point.index;
    feed_.restart(point.index);
    nextTimerUs_ = end.nextTimerUs;
    if (!installing.kept) snapshot_ = installing.point;
    logTime_.heard(end.logTimeUs, ports_.clock.monotonicUs());
    waiting_.passed(point.index,
                    failure(ErrorCode::unknown, "a snapshot took the place of its entry"));
    unchecked_ = 0;
  } else if (!installing.asked) {
    stopMachine(std::move(*end.fault), {installing.point.index + 1, 0});
  }
  if (installing.asked && ok) take(raft::Installed{installing.point, true});
  if (installing.asked && !ok) {
    notLoaded_ = installing.point;
    notLoadedUntil_ = ports_.ticks + kLoadAgainTicks;
  }
  if (ok && (installing.asked || rebuilding_)) installed();
  feed();
}

// Without the wait a leader sends it anew at once: all of a large state, for as long as a disk is
// full.
void Group::sayNotLoaded() {
  if (!notLoaded_ || ports_.ticks < notLoadedUntil_) return;
  take(raft::Installed{*std::exchange(notLoaded_, std::nullopt), false});
}

}  // namespace flotilla::group
