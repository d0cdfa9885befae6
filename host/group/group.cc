// The callers' side of a group: calls come in, turns end.
#include "host/group/group.h"

#include <algorithm>
#include <utility>

#include "host/base/assert.h"
#include "host/base/spare_rooms.h"
#include "host/group/entry.h"

namespace flotilla::group {
namespace {

constexpr uint32_t kSwitchVersion = 2;  // of entries

// Disks of one size fill up together: an heir is to know by then that it has no room either.
constexpr uint64_t kHandOverFullTicks = 8;

// What the machine holds is committed, though the record may not say so yet.
raft::HardState withinLog(const Recovered& recovered) {
  raft::HardState hard = recovered.state.hard;
  hard.commit = std::max(hard.commit, recovered.machineAt.index);
  hard.commit = std::min(hard.commit, recovered.state.shape.lastIndex());
  return hard;
}

// Where the log should reach at least; 0: it does.
raft::Index lostUpTo(const Recovered& recovered) {
  raft::Index known = std::max(recovered.machineAt.index, recovered.state.hard.commit);
  return known > recovered.state.shape.lastIndex() ? known : 0;
}

}  // namespace

Group::Group(GroupOptions options, Recovered recovered, Ports ports)
    : options_(std::move(options)),
      ports_(ports),
      effects_(ports_.steps.effects),
      feed_(recovered.machineAt.index),
      waiting_(ports_.callers),
      tail_(options_.limits.tailBytesMax, ports_.tails),
      appends_({options_.limits.appendFetchesMax, options_.core.appendBytesMax}),
      logBytes_(recovered.logBytes),
      generation_(recovered.state.generation),
      snapshot_(recovered.onDisk ? recovered.snapshot : recovered.machineAt),
      snapshotOnDisk_(snapshot_.index),
      generationOnDisk_(recovered.state.generation),
      muteBelow_(lostUpTo(recovered)),
      questions_(ports_.callers, ports_.machines),
      core_(options_.core, withinLog(recovered), recovered.state.shape, recovered.logBytes),
      lastGeneration_(recovered.state.generation),
      readyAt_(recovered.state.hard.commit) {
  ASSERT(options_.core.self == options_.key.replica);
  ASSERT(options_.limits.commandBytesMax <= kPayloadBytesMax / 2);
  ASSERT(options_.limits.entryBytesMax <= kPayloadBytesMax / 4);
  ASSERT(options_.limits.entryCommandsMax <= kPayloadCommandsMax);
  checkedUs_ = ports_.clock.monotonicUs();
  logEnd_ = core_.shape().lastIndex();
  logTime_.heard(recovered.state.logTimeUs, ports_.clock.monotonicUs());
  if (recovered.onDisk) durable_ = recovered.machineAt;
  if (recovered.soundness != Soundness::sound) {
    ASSERT(recovered.machineAt.index == 0);
    if (recovered.soundness == Soundness::rebuilding) {
      rebuilding_ = true;
      rebuildFrom_ = recovered.unsoundAt;
    } else {
      quarantinedAt_ = std::max<raft::Index>(recovered.unsoundAt, 1);
      stopMachine({ErrorCode::faulted, recovered.unsoundBecause, {}}, {quarantinedAt_, 0});
    }
    return;
  }
  if (recovered.machineFault) {
    stopMachine(*recovered.machineFault, {recovered.machineAt.index + 1, 0});
    return;
  }
  raft::LogPoint at = recovered.machineAt;
  if (!continuesFrom(at)) stopMachine(behindLog(at), {at.index + 1, 0});
  feed();
}

bool Group::continuesFrom(raft::LogPoint at) const {
  if (at.index < core_.shape().base().index) return false;
  auto term = core_.shape().termAt(at.index);
  return at.index == 0 || !term || *term == at.term;
}

Fault Group::behindLog(raft::LogPoint at) const {
  return {ErrorCode::corrupt,
          "group " + std::to_string(options_.key.group) + ": the machine stands at " +
              std::to_string(at.index) + " of term " + std::to_string(at.term) +
              ", which the log after " + std::to_string(core_.shape().base().index) +
              " does not follow; rebuild this replica",
          {}};
}

// ---- calls -------------------------------------------------------------------------------------

void Group::propose(CallId caller, Call call) {
  if (auto refusal = refusalOfCalls()) return answer(caller, *refusal);
  if (!leads()) return answer(caller, notLeader());
  if (volumeFull_) return refuseForSpace(caller);
  if (auto refusal = refusalByQuota(call, true)) return answer(caller, *refusal);
  const GroupLimits& limits = options_.limits;
  if (call.params.size() > limits.commandBytesMax) {
    return answer(caller, failure(ErrorCode::tooLarge,
                                  "params of " + std::to_string(call.params.size()) +
                                      " bytes; at most " + std::to_string(limits.commandBytesMax)));
  }
  if (logIsFull()) {
    makeRoom();
    return answer(caller, failure(ErrorCode::overloaded,
                                  "the log holds " + std::to_string(logBytes_ >> 20) +
                                      " MiB that no snapshot has taken in yet; try later"));
  }
  uint64_t bytes = waiting_.bytes() + gatheredBytes_ + call.params.size();
  uint64_t count = waiting_.count() + gatheredCalls_.size() + gatheredSessions_.size();
  if (bytes > limits.waitingBytesMax || count >= limits.waitingCallsMax) {
    return answer(caller, failure(ErrorCode::overloaded,
                                  std::to_string(count) + " commands wait already; try later"));
  }
  if (auto refusal = refusalByRate()) return answer(caller, *refusal);
  if (gatheredCalls_.empty()) {
    gatheredCalls_ = base::SpareRooms<Call>::ofThread().take();
    gatheredCallers_ = base::SpareRooms<CallId>::ofThread().take();
  }
  gatheredBytes_ += call.params.size();
  gatheredCalls_.push_back(std::move(call));
  gatheredCallers_.push_back(caller);
}

void Group::query(CallId caller, Call call, Freshness freshness) {
  if (auto refusal = refusalOfCalls()) return answer(caller, *refusal);
  if (refusesQueries()) return answer(caller, failure(ErrorCode::faulted, queriesRefused_));
  if (questions_.count() >= options_.limits.waitingCallsMax) {
    return answer(caller, failure(ErrorCode::overloaded,
                                  std::to_string(questions_.count()) + " queries wait already"));
  }
  if (auto refusal = refusalByQuota(call, false)) return answer(caller, *refusal);
  bool stale = freshness.kind == Freshness::Kind::stale;
  if (stale && installing_) {
    return answer(caller, failure(ErrorCode::unavailable, "loads a snapshot"));
  }
  bool atOnce = stale && (freshness.maxAgeUs == 0 || isFreshEnough(freshness));
  // A leader is only as fresh as its last quorum's word, and a sleeping group as its last awake
  // moment: they ask.
  if (stale && !atOnce && !leads() && !core_.asleep()) return answer(caller, notLeader());
  if (auto refusal = refusalByRate()) return answer(caller, *refusal);
  hurryMachine();
  if (meters_ != nullptr) ++meters_->queries;
  if (!atOnce) return questions_.gather(caller, std::move(call));
  questions_.submit(caller, std::move(call), generation_, deadline());
}

bool Group::isFreshEnough(const Freshness& freshness) const {
  if (leads() || heardUs_ == 0) return false;
  return ports_.clock.monotonicUs() - heardUs_ <= freshness.maxAgeUs;
}

void Group::openSession(CallId caller) {
  if (auto refusal = refusalOfCalls()) return answer(caller, *refusal);
  if (!leads()) return answer(caller, notLeader());
  if (volumeFull_) return refuseForSpace(caller);
  if (waiting_.count() + gatheredSessions_.size() >= options_.limits.waitingCallsMax) {
    return answer(caller, failure(ErrorCode::overloaded, "too many calls wait; try later"));
  }
  gatheredSessions_.push_back(caller);
}

void Group::switchPlugin(std::string_view sha256, CallId caller) {
  if (auto refusal = refusalOfCalls()) return answer(caller, *refusal);
  if (!leads()) return answer(caller, notLeader());
  if (volumeFull_) return refuseForSpace(caller);
  if (entriesVersion_ < kSwitchVersion) {
    return answer(caller, failure(ErrorCode::unavailable,
                                  "not every host is known to run a version that can; try again"));
  }
  proposePayload(encodeSwitchPlugin(logTime_.stamp(now()), sha256), {.callers = {caller}});
}

void Group::changeMembership(std::vector<raft::ReplicaId> voters,
                             std::vector<raft::ReplicaId> learners, CallId caller) {
  // A stopped machine is no reason to keep its members as they are.
  if (stopping_ || logFault_) return answer(caller, *refusalOfCalls());
  if (volumeFull_) return refuseForSpace(caller);
  raft::ProposalId proposal = ++lastProposal_;
  step(raft::ProposeConfiguration{proposal, std::move(voters), std::move(learners)});
  if (!effects_.accepted.empty()) {
    waiting_.add(
        {.point = effects_.accepted.front().point, .until = deadline(), .callers = {caller}});
  } else if (!effects_.refused.empty()) {
    answer(caller, refusalOf(effects_.refused.front().why));
  } else {
    answer(caller, notLeader());
  }
  carryOut({});
}

void Group::transfer(raft::ReplicaId to) {
  if (!logFault_) take(raft::Transfer{to});
}

void Group::campaign() {
  if (!logFault_ && !isMute()) take(raft::Campaign{});
}

std::optional<Outcome> Group::refusalOfCalls() const {
  if (stopping_) return failure(ErrorCode::groupStopping, "this replica is stopping");
  if (rebuilding_ && !logFault_) return failure(ErrorCode::unavailable, kBeingRebuilt);
  if (!fault_) return {};
  return failure(ErrorCode::faulted, "stopped at " + std::to_string(faultAt_.index) + "." +
                                         std::to_string(faultAt_.ordinal) + ": " + fault_->text);
}

// Timers, and what the host itself proposes, go on: they were promised, or repair something.
std::optional<Outcome> Group::refusalByQuota(const Call& call, bool command) {
  if (!gauge_.isSet()) return {};
  if (command && gauge_.isFull() && !call.frees) {
    if (meters_ != nullptr) ++meters_->overMemory;
    return failure(ErrorCode::tooLarge, gauge_.whyFull());
  }
  if (!gauge_.isTired(ports_.clock.monotonicUs())) return {};
  if (meters_ != nullptr) ++meters_->overTime;
  return failure(ErrorCode::overloaded, gauge_.whyTired());
}

// Asked last, for a call that is let through counts.
std::optional<Outcome> Group::refusalByRate() {
  if (!gauge_.isSet() || gauge_.takesCall(ports_.clock.monotonicUs())) return {};
  if (meters_ != nullptr) ++meters_->overRate;
  return failure(ErrorCode::overloaded, gauge_.whyOverRate());
}

// What is replayed after a start was done before it.
void Group::used(uint64_t memoryBytes, int64_t applyUs) {
  bool replays = feed_.applied() < readyAt_;
  gauge_.used(memoryBytes, replays ? 0 : applyUs, ports_.clock.monotonicUs());
}

Outcome Group::notLeader() const {
  raft::ReplicaId known = core_.leader();
  if (known == core_.self()) {
    return failure(ErrorCode::unavailable, "this leader could not confirm itself; try again");
  }
  Outcome outcome =
      failure(ErrorCode::notLeader, known == 0 ? std::string("no leader is known here; try again")
                                               : "replica " + std::to_string(known) + " leads");
  outcome.leaderHint = known;
  return outcome;
}

Outcome Group::refusalOf(raft::RefusedWhy why) const {
  switch (why) {
    case raft::RefusedWhy::notLeader:
      return notLeader();
    case raft::RefusedWhy::transferring:
      return failure(ErrorCode::unavailable, "leadership is being handed over; try again");
    case raft::RefusedWhy::full:
      return failure(ErrorCode::overloaded, "too much waits for a quorum; try later");
    case raft::RefusedWhy::changing:
      return failure(ErrorCode::unavailable, "another membership change is under way; try again");
    case raft::RefusedWhy::notCaughtUp:
      return failure(ErrorCode::unavailable, "a learner has not caught up yet; try again");
    case raft::RefusedWhy::noChange:
      return failure(ErrorCode::alreadyExists, "the members are these already");
    case raft::RefusedWhy::notMember:
      return failure(ErrorCode::badRequest, "these cannot be the members; name at least one voter");
  }
  return failure(ErrorCode::unavailable, "refused");
}

void Group::answer(CallId caller, const Outcome& outcome) {
  if (caller != 0) ports_.callers.answer(caller, outcome);
}

// ---- the turn's end ----------------------------------------------------------------------------

void Group::flush() {
  proposeGathered();
  if (questions_.gathered() && !logFault_) {
    raft::ReadId read = ++lastRead_;
    questions_.ask(read, deadline());
    take(raft::Read{read});
  }
  feed();
  bool rested = std::exchange(resting_, core_.asleep());
  if (resting_ && !rested) rest();
}

// Packs what was gathered: entries end at a count and at a size, whichever comes first.
void Group::proposeGathered() {
  const GroupLimits& limits = options_.limits;
  size_t first = 0;
  uint64_t bytes = 0;
  for (size_t i = 0; i < gatheredCalls_.size(); ++i) {
    bytes += gatheredCalls_[i].params.size();
    size_t count = i + 1 - first;
    bool last = i + 1 == gatheredCalls_.size();
    if (!last && count < limits.entryCommandsMax && bytes < limits.entryBytesMax) continue;
    proposeCommands(first, count, bytes);
    first = i + 1;
    bytes = 0;
  }
  forgetGathered();
  for (CallId caller : gatheredSessions_) {
    if (!leads()) {
      answer(caller, notLeader());
      continue;
    }
    proposePayload(encodeOpenSession(logTime_.stamp(now()), lastProposal_ + 1),
                   {.callers = {caller}});
  }
  gatheredSessions_.clear();
}

void Group::forgetGathered() {
  if (gatheredCalls_.empty()) return;
  base::SpareRooms<Call>::ofThread().giveBack(gatheredCalls_);
  base::SpareRooms<CallId>::ofThread().giveBack(gatheredCallers_);
  gatheredBytes_ = 0;
}

void Group::proposeCommands(size_t first, size_t count, uint64_t bytes) {
  auto from = gatheredCallers_.begin() + static_cast<std::ptrdiff_t>(first);
  auto limit = from + static_cast<std::ptrdiff_t>(count);
  if (!leads() || logFault_) {
    Outcome outcome = logFault_ ? *refusalOfCalls() : notLeader();
    for (auto caller = from; caller != limit; ++caller) answer(*caller, outcome);
    return;
  }
  std::vector<CallId> callers(from, limit);
  LogTime::Now made = now();
  Bytes payload = encodeCommands(logTime_.stamp(made), {&gatheredCalls_[first], count});
  bool accepted =
      proposePayload(std::move(payload),
                     {.bytes = bytes, .callers = std::move(callers), .madeUs = made.monotonicUs});
  if (!accepted || meters_ == nullptr) return;
  meters_->commands += count;
  meters_->entryCommands.add(count);
}

// False: refused, and the callers know.
bool Group::proposePayload(Bytes payload, Waiting::Batch batch) {
  step(raft::Propose{++lastProposal_, payload.size()});
  bool accepted = !effects_.accepted.empty();
  if (accepted) {
    batch.point = effects_.accepted.front().point;
    batch.until = deadline();
    waiting_.add(std::move(batch));
  } else {
    Outcome outcome =
        effects_.refused.empty() ? notLeader() : refusalOf(effects_.refused.front().why);
    for (CallId caller : batch.callers) answer(caller, outcome);
  }
  carryOut({nullptr, std::move(payload)});
  return accepted;
}

void Group::wake(raft::Wake wake) {
  if (!logFault_) take(wake);
}

// Fallen asleep: thousands of groups may, and each keeps what it last had in its hands. What is in
// the log is on the disk.
void Group::rest() {
  tail_.forget();
  waiting_.rest();
  questions_.rest();
  gatheredSessions_.shrink_to_fit();
  ports_.machines.rest();
}

void Group::queried(Queried queried) {
  questions_.queried(std::move(queried));
}

void Group::volumeFull(bool full) {
  volumeFull_ = full;
  if (full) handOverAt_ = ports_.ticks + kHandOverFullTicks;
  if (!full && waitsForRoom()) retry();
}

// A group that slept when its disk filled up is handed over as soon as somebody wants it.
void Group::refuseForSpace(CallId caller) {
  answer(caller, failure(ErrorCode::diskFull, "the leader's disk is full"));
  if (leads() && core_.asleep()) handOver();
}

void Group::stop() {
  stopping_ = true;
  Outcome refusal = *refusalOfCalls();
  for (CallId caller : gatheredCallers_) answer(caller, refusal);
  for (CallId caller : gatheredSessions_) answer(caller, refusal);
  forgetGathered();
  gatheredSessions_.clear();
  failCalls(failure(ErrorCode::unknown, "this replica stopped before the outcome was known"),
            refusal);
  answerSnapshotCallers(refusal);
  answerSyncCallers(refusal);
}

void Group::failCalls(const Outcome& commands, const Outcome& queries) {
  waiting_.answerAll(commands);
  questions_.answerAll(queries);
}

LogTime::Now Group::now() const {
  return {ports_.clock.monotonicUs(), ports_.clock.wallUs()};
}

// ---- what is seen from outside -----------------------------------------------------------------

Status Group::status() const {
  const raft::LogShape& shape = core_.shape();
  Status status;
  status.key = options_.key;
  status.incarnation = options_.incarnation;
  status.role = core_.role();
  status.term = core_.term();
  status.leader = core_.leader();
  status.configuration = core_.configuration();
  status.commit = core_.commit();
  status.applied = feed_.applied();
  status.firstIndex = shape.firstIndex();
  status.lastIndex = shape.lastIndex();
  status.snapshotIndex = snapshot_.index;
  status.snapshotOnDisk = snapshotOnDisk_;
  if (durable_) status.durable = durable_->index;
  status.generationOnDisk = generationOnDisk_;
  status.generation = generation_;
  status.progress = core_.progress();
  status.fault = fault_;
  status.faultAt = faultAt_;
  status.soundness = soundness();
  status.quarantinedAt = quarantinedAt_;
  status.splitAt = leads() ? splitAt_ : 0;
  status.installing = installing_.has_value();
  status.stopping = stopping_;
  status.diskFull = volumeFull_;
  status.asleep = core_.asleep();
  status.mute = isMute();
  status.ready = !fault_ && !rebuilding_ && !installing_ && !stopping_ && !status.mute &&
                 feed_.applied() >= readyAt_ && core_.leader() != 0;
  status.logBytes = logBytes_;
  status.waitingCalls = waiting_.count() + gatheredCalls_.size() + questions_.count();
  status.quotas = gauge_.quotas();
  status.refuses =
      refusesQueries() ? "queries: " + queriesRefused_ : gauge_.refuses(ports_.clock.monotonicUs());
  status.applyLagUs = feed_.lagUs(ports_.clock.monotonicUs());
  status.clockOffUs = leads() ? logTime_.aheadOfWallUs(now()) : 0;
  return status;
}

}  // namespace flotilla::group
