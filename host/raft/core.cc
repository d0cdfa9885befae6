// Each input's door, terms, and the end of a step.
#include "host/raft/core.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "host/base/assert.h"
#include "host/raft/membership.h"

namespace flotilla::raft {

namespace {

constexpr Term kTermMax = Term{1} << 62;  // no group lives so long: a higher one is garbage

// What core.h promises of a configuration's numbers, whatever was handed in.
CoreConfig settled(CoreConfig config) {
  config.electionTicks = std::max(config.electionTicks, 2U);
  config.heartbeatTicks = std::clamp(config.heartbeatTicks, 1U, config.electionTicks - 1);
  config.quietTicks =
      std::max(std::min(config.quietTicks, config.electionTicks / 4), config.heartbeatTicks);
  config.settledTicks =
      std::max(std::min(config.settledTicks, config.electionTicks / 2), config.quietTicks);
  config.appendEntriesMax = std::max(config.appendEntriesMax, 1U);
  config.inflightMax = std::max(config.inflightMax, 1U);
  config.leaseDriftPermille = std::min(config.leaseDriftPermille, 1000U);
  config.priority = std::min(config.priority, 100U);
  return config;
}

}  // namespace

Core::Core(const CoreConfig& config, HardState hard, LogShape shape, uint64_t logBytes)
    : config_(settled(config)),
      prng_(config.seed ^ (config.self * 0xd6e8feb86659fd93ULL)),
      hard_(hard),
      shape_(std::move(shape)),
      holdback_(shape_.lastIndex()) {
  ASSERT(config_.self != 0);
  // The commit index is written along with other things and may lag, also behind the base.
  hard_.commit = std::clamp(hard_.commit, shape_.base().index, shape_.lastIndex());
  apply_ = hard_.commit;
  Index entries = shape_.lastIndex() - shape_.base().index;
  sizes_.restart(shape_.lastIndex(), entries == 0 ? 0 : logBytes / entries);
  // Before this start we may have promised a leader not to vote for an election timeout.
  heard_ = config_.leaseReads && hard_.term > 0;
  resetElectionTimer();
  if (membersOf(configuration()).size() > 1) electionAt_ += config_.patienceTicks;
}

void Core::step(const Input& input, Effects& effects) {
  bool slept = asleep_;
  std::visit([&](const auto& it) { on(it, effects); }, input);
  finish(effects);
  if (asleep_ && !slept) rest();
}

uint64_t Core::spareTicks() const {
  if (asleep_) return std::numeric_limits<uint64_t>::max();
  if (!reads_.empty()) return 0;
  uint64_t due = electionAt_;
  if (role_ == Role::leader) {
    due = heartbeatAt_;
    due = std::min(due, quorumCheckAt_);
    if (tellCommitsAt_ != 0) due = std::min(due, tellCommitsAt_);
    if (transferee_ != 0) due = std::min(due, transferUntil_);
  } else if (calling_) {
    due = std::min(due, callAt_);
  }
  return due > now_ ? due - now_ - 1 : 0;
}

void Core::pass(uint64_t ticks) {
  if (asleep_ || ticks == 0) return;
  now_ += ticks;
  if (role_ != Role::leader || !busy_) return;
  stirredAt_ = now_ - 1;
  restRound_ = 0;
}

void Core::on(const Tick& tick, Effects& effects) {
  if (tick.passed > 1) pass(tick.passed - 1);
  busy_ = tick.busy;
  if (role_ == Role::leader && busy_) stir(effects);
  if (asleep_) return;
  if (tick.passed > 0) ++now_;
  expireReads(effects);
  if (role_ == Role::leader) {
    tickLeader(effects);
  } else if (now_ >= electionAt_) {
    campaign(Stand::asked, effects);
    if (now_ >= electionAt_) {
      resetElectionTimer();
      // A learner that has missed the order to sleep cannot stand; it asks.
      if (config_.sleepTicks != 0) callLeader(effects);
    }
  } else if (calling_ && now_ >= callAt_) {
    callLeader(effects);
  }
}

void Core::on(const Receive& receive, Effects& effects) {
  const Message& message = receive.message;
  bool strange = message.to != config_.self || message.from == config_.self || message.from == 0 ||
                 message.term >= kTermMax;
  if (strange) return;
  if (asleep_ && disturbs(message)) wakeUp(effects);
  if (agreeOnTerm(message, effects) && !asleep_) dispatch(receive, effects);
}

void Core::on(const Persisted& persisted, Effects& effects) {
  holdback_.persisted(persisted.write);
  releaseHeld(effects);
  if (role_ == Role::leader) ownLogSafe(effects);
}

void Core::on(const Compact& compact, Effects&) {
  Index to = std::min({compact.keepAfter, compact.point.index, apply_});
  if (to <= shape_.base().index) return;
  shape_.compactTo(to);
  baseChanged_ = true;
}

void Core::on(const Unreachable& unreachable, Effects& effects) {
  if (asleep_ && unreachable.peer == leader_) wakeUp(effects);
  Progress* peer = find(unreachable.peer);
  if (peer == nullptr) return;
  peer->listens = false;  // until it says so again
  if (peer->state != ProgressState::replicate) return;
  peer->state = ProgressState::probe;
  peer->paused = false;
  peer->next = peer->match + 1;
  endQuiet();
}

void Core::on(const Campaign&, Effects& effects) {
  if (role_ == Role::leader) return;
  if (asleep_) wakeUp(effects);
  // With lease reads, standing early would break what a leader counts on.
  if (config_.leaseReads && inLease()) return;
  campaign(Stand::asked, effects);
}

// True where the message is to be dispatched: it is of our term, or one that stands beside terms.
bool Core::agreeOnTerm(const Message& message, Effects& effects) {
  if (message.kind == MessageKind::removed) return true;
  if (message.term < hard_.term) {
    if (message.kind == MessageKind::preVoteReply) return true;
    answerOldTerm(message, effects);
    return false;
  }
  if (message.term == hard_.term || message.kind == MessageKind::preVote) return true;
  if (message.kind == MessageKind::preVoteReply && message.granted) return true;
  if (message.kind == MessageKind::vote && !message.force) {
    // A live leader is not deposed by one who has merely not heard of it (dissertation 4.2.3), nor
    // by one who is out of the group.
    if (tellRemoved(message, effects) || (config_.checkQuorum && inLease())) return false;
  }
  enterTerm(message.term, effects);
  return true;
}

// A sender that lags behind in terms would never learn of it from silence: a cut-off leader with
// check-quorum followers, or a replica that came back, would go on for ever (etcd #5451, #5468).
void Core::answerOldTerm(const Message& old, Effects& effects) {
  switch (old.kind) {
    case MessageKind::append:
    case MessageKind::heartbeat:
    case MessageKind::snapshot: {
      Message reply = message(MessageKind::appendReply, old.from);
      reply.index = old.after.index;
      hold(std::move(reply));
      return;
    }
    case MessageKind::preVote:
      effects.sends.push_back(message(MessageKind::preVoteReply, old.from));
      return;
    case MessageKind::vote:
      hold(message(MessageKind::voteReply, old.from));
      return;
    case MessageKind::readIndex: {
      Message reply = message(MessageKind::readIndexReply, old.from);
      reply.context = old.context;
      effects.sends.push_back(std::move(reply));
      return;
    }
    default:
      return;
  }
}

void Core::dispatch(const Receive& receive, Effects& effects) {
  const Message& message = receive.message;
  switch (message.kind) {
    case MessageKind::preVote:
      return onPreVote(message, effects);
    case MessageKind::vote:
      return onVote(message, effects);
    case MessageKind::preVoteReply:
    case MessageKind::voteReply:
      return onVoteReply(message, effects);
    case MessageKind::append:
      return onAppend(receive, effects);
    case MessageKind::appendReply:
      return onAppendReply(message, effects);
    case MessageKind::heartbeat:
      return onHeartbeat(message, effects);
    case MessageKind::heartbeatReply:
      return onHeartbeatReply(message, effects);
    case MessageKind::snapshot:
      return onSnapshot(message, effects);
    case MessageKind::timeoutNow:
      return onTimeoutNow(message, effects);
    case MessageKind::readIndex:
      return onReadIndex(message, effects);
    case MessageKind::readIndexReply:
      return onReadIndexReply(message, effects);
    case MessageKind::removed:
      return onRemoved(effects);
    case MessageKind::wake:
      if (role_ == Role::leader) stir(effects);
      return;
    case MessageKind::digest:
    case MessageKind::digestVerdict:
    case MessageKind::snapshotAsk:
      return;
  }
  // A kind that a later version knows: as if lost.
}

void Core::enterTerm(Term term, Effects& effects) {
  ASSERT(term > hard_.term);
  hard_.term = term;
  hard_.vote = 0;
  hardChanged_ = true;
  // An acknowledgement of the old term may speak of entries that the new one replaces.
  holdback_.dropHeld();
  becomeFollower(0, effects);
}

// `leader` 0: of nobody yet. Keeps the election timer of one who followed before, since a
// candidate that cannot win must not keep others from standing.
void Core::becomeFollower(ReplicaId leader, Effects& effects) {
  if (leader != leader_) failReads(effects);
  leader_ = leader;
  asleep_ = calling_ = false;
  heardRound_ = 0;
  if (role_ == Role::follower) return;
  role_ = Role::follower;
  votes_.clear();
  progress_.clear();
  transferee_ = 0;
  resetElectionTimer();
}

// Asks for the write that this step's changes call for, and ties what was held to it.
void Core::finish(Effects& effects) {
  if (hardChanged_ || baseChanged_ || logReset_ || changedFrom_ != 0) {
    Index last = shape_.lastIndex();
    Write& write = effects.write.emplace();
    write.id = holdback_.begin(last, hardChanged_);
    write.hard = hard_;
    write.first = changedFrom_ != 0 ? changedFrom_ : last + 1;
    write.last = last;
    write.reset = logReset_;
    hardChanged_ = baseChanged_ = logReset_ = false;
    changedFrom_ = 0;
  }
  holdback_.bind();
  releaseHeld(effects);
  // A vote of our own waits for a write that has only just been asked for.
  ASSERT(!hardChanged_);
  ASSERT(changedFrom_ == 0);
  apply_ = std::max(apply_, std::min(hard_.commit, holdback_.safe()));
  effects.apply = apply_;
}

Message Core::message(MessageKind kind, ReplicaId to) const {
  Message message;
  message.kind = kind;
  message.from = config_.self;
  message.to = to;
  message.term = hard_.term;
  return message;
}

// Keeps a message until our term, our vote and the log up to `log` are safe. To ourselves, it is
// then received like any other.
void Core::hold(Message message, Index log) {
  holdback_.hold(std::move(message), log);
}

void Core::releaseHeld(Effects& effects) {
  size_t before = effects.sends.size();
  holdback_.release(effects.sends);
  auto first = effects.sends.begin() + static_cast<std::ptrdiff_t>(before);
  auto own = std::find_if(first, effects.sends.end(),
                          [&](const Message& message) { return message.to == config_.self; });
  if (own == effects.sends.end()) return;
  Message vote = std::move(*own);  // there is never more than one: a new term drops the old ones
  effects.sends.erase(own);
  if (vote.term == hard_.term) dispatch(Receive{std::move(vote)}, effects);
}

void Core::entriesChanged(Index from) {
  changedFrom_ = changedFrom_ == 0 ? from : std::min(changedFrom_, from);
}

}  // namespace flotilla::raft
