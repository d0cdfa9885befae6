// Linearizable reads (dissertation 6.4): heartbeat rounds confirm that we still lead.
#include <algorithm>
#include <limits>
#include <utility>

#include "host/base/assert.h"
#include "host/raft/core.h"
#include "host/raft/quorum.h"

namespace flotilla::raft {

namespace {
constexpr int kRoundBits = 16;  // of a round's number; the bits above are the tick it began in
}

void Core::on(const Read& read, Effects& effects) {
  WaitingRead waiting;
  waiting.asker = config_.self;
  waiting.read = read.read;
  waiting.until = now_ + config_.electionTicks;
  if (role_ == Role::leader) return addRead(waiting, effects);
  if (leader_ == 0 || reads_.full()) return answerRead(waiting, false, effects);
  if (asleep_) wakeUp(effects);
  // A name nobody can have guessed or remembered: an answer that comes after our restart must not
  // be taken for one to a new read.
  waiting.context = prng_.next();
  reads_.add(waiting);
  Message ask = message(MessageKind::readIndex, leader_);
  ask.context = waiting.context;
  effects.sends.push_back(std::move(ask));
}

void Core::onReadIndex(const Message& ask, Effects& effects) {
  WaitingRead waiting;
  waiting.asker = ask.from;
  waiting.context = ask.context;
  waiting.until = now_ + config_.electionTicks;
  if (role_ != Role::leader) return answerRead(waiting, false, effects);
  addRead(waiting, effects);
}

void Core::addRead(WaitingRead read, Effects& effects) {
  if (reads_.full()) return answerRead(read, false, effects);
  stir(effects);
  // Before an entry of our term commits we do not know what older leaders committed.
  bool known = hard_.commit >= termStart_;
  if (known) read.index = hard_.commit;
  if (known && leaseHolds()) return answerRead(read, true, effects);
  reads_.add(read);
  // Those that come while a round is under way share the next one.
  if (known && !reads_.inRound()) beginRound(effects);
}

void Core::beginRound(Effects& effects) {
  ASSERT(role_ == Role::leader);
  heartbeatAt_ = now_ + config_.heartbeatTicks;
  uint64_t next = std::max(round_, now_ << kRoundBits) + 1;
  if (next >> kRoundBits > now_) return;  // this tick's numbers are used up; the next tick goes on
  round_ = next;
  reads_.giveRound(round_);
  restRound_ = !restful() ? 0 : restRound_ == 0 ? round_ : restRound_;
  for (Progress& peer : progress_) {
    if (peer.replica == config_.self) continue;
    Message heartbeat = heartbeatFor(peer);
    peer.commitSent = std::max(peer.commitSent, heartbeat.commit);
    heartbeat.granted = restRound_ != 0;
    effects.sends.push_back(std::move(heartbeat));
  }
  confirmReads(effects);
  considerSleep(effects);
}

Message Core::heartbeatFor(const Progress& peer) const {
  Message heartbeat = message(MessageKind::heartbeat, peer.replica);
  heartbeat.commit = std::min(hard_.commit, peer.match);
  heartbeat.context = round_;
  heartbeat.index = shape_.lastIndex();
  return heartbeat;
}

// The newest round that a quorum has answered; with us alone, the newest.
uint64_t Core::quorumRound() const {
  return quorumValue(configuration(), [&](ReplicaId replica) {
    return replica == config_.self ? round_ : find(replica)->confirmedRound;
  });
}

void Core::confirmReads(Effects& effects) {
  if (reads_.empty()) return;
  for (const WaitingRead& read : reads_.takeConfirmed(quorumRound())) {
    answerRead(read, true, effects);
  }
  if (reads_.wantsRound() && !reads_.inRound()) beginRound(effects);
}

// A quorum that answered a round promised not to vote for electionTicks of its own clock, counted
// from later than the round's beginning. One tick is lost at either end to where within a tick
// things happen, the rest is scaled by how much slower our clock may be than theirs.
bool Core::leaseHolds() const {
  if (!config_.leaseReads || !config_.checkQuorum || leaseOff_) return false;
  uint64_t round = quorumRound();
  if (round == 0 || round <= doubtedRound_) return false;
  uint64_t ticks = now_ - (round >> kRoundBits) + 1;
  ticks += config_.leaseLateTicks;
  return ticks * 1000 <=
         (uint64_t{config_.electionTicks} - 1) * (1000 - config_.leaseDriftPermille);
}

void Core::onReadIndexReply(const Message& reply, Effects& effects) {
  if (role_ == Role::leader) return;
  std::optional<WaitingRead> read = reads_.takeContext(reply.context);
  if (!read) return;
  read->index = reply.index;
  answerRead(*read, reply.granted, effects);
}

void Core::answerRead(const WaitingRead& read, bool ok, Effects& effects) {
  Index index = ok ? read.index : 0;
  if (read.asker == config_.self) {
    effects.reads.push_back({read.read, index, ok});
    return;
  }
  // It will wait until it has applied the entry: so it must know that it may.
  Progress* asker = ok ? find(read.asker) : nullptr;
  if (config_.lazyCommit && asker != nullptr && asker->commitSent < index) {
    tellCommit(*asker, effects);
  }
  Message reply = message(MessageKind::readIndexReply, read.asker);
  reply.context = read.context;
  reply.index = index;
  reply.granted = ok;
  effects.sends.push_back(std::move(reply));
}

void Core::failReads(Effects& effects) {
  for (const WaitingRead& read : reads_.takeAll()) answerRead(read, false, effects);
}

void Core::expireReads(Effects& effects) {
  if (reads_.empty()) return;
  for (const WaitingRead& read : reads_.takeExpired(now_)) answerRead(read, false, effects);
}

}  // namespace flotilla::raft
