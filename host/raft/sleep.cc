// Sleep: a group with nothing to do falls silent, and what wakes it.
#include <algorithm>
#include <utility>

#include "host/base/assert.h"
#include "host/base/give_back.h"
#include "host/raft/core.h"
#include "host/raft/membership.h"

namespace flotilla::raft {

// A leader has something to do: it is awake, and does not sleep soon.
void Core::stir(Effects& effects) {
  ASSERT(role_ == Role::leader);
  if (asleep_) wakeUp(effects);
  stirredAt_ = now_;
  restRound_ = 0;
}

// Nothing is under way, and every voter has all there is. A learner that does not answer holds
// nothing up: it is sent what it lacks when its host is back.
bool Core::restful() const {
  bool quiet = config_.sleepTicks != 0 && now_ - stirredAt_ >= config_.sleepTicks && !busy_ &&
               transferee_ == 0 && reads_.empty() && hard_.commit == shape_.lastIndex() &&
               !configuration().joint();
  return quiet && std::all_of(progress_.begin(), progress_.end(), [&](const Progress& peer) {
           bool waitedFor = peer.active || isVoter(configuration(), peer.replica);
           return !waitedFor || peer.match == shape_.lastIndex();
         });
}

// A follower's word: it holds and knows committed all that its leader does.
bool Core::mayRest(const Message& heartbeat) const {
  bool asked = (heartbeat.granted || heartbeat.force) && heartbeat.context >= heardRound_;
  return asked && config_.sleepTicks != 0 && !busy_ && !installing_ && reads_.empty() &&
         shape_.lastIndex() == heartbeat.index && apply_ == heartbeat.index;
}

// Once every voter has agreed to a round that asked: the order to sleep goes out, and we do. It may
// be lost; who did not get it misses us, calls, and so wakes us.
void Core::considerSleep(Effects& effects) {
  if (restRound_ == 0 || asleep_ || !restful()) return;
  bool agreed = std::all_of(progress_.begin(), progress_.end(), [&](const Progress& peer) {
    bool asked =
        peer.replica != config_.self && (peer.active || isVoter(configuration(), peer.replica));
    return !asked || (peer.rests && peer.confirmedRound >= restRound_);
  });
  if (!agreed) return;
  for (Progress& peer : progress_) {
    if (peer.replica == config_.self) continue;
    peer.rests = peer.rests && peer.confirmedRound >= restRound_;
    Message sleep = heartbeatFor(peer);
    sleep.force = true;
    effects.sends.push_back(std::move(sleep));
  }
  asleep_ = true;
  restRound_ = 0;
  // How long we sleep is not known here. Leases end now, whatever is still answered to old rounds.
  now_ += config_.electionTicks;
}

// Thousands may sleep: what only the busy need is memory.
void Core::rest() {
  sizes_.forget();
  holdback_.rest();
  if (votes_.empty()) base::giveBack(votes_);
}

// A leader tells all at once, and goes on with each heartbeat. A follower asks its leader for a
// sign of life, again and again, and stands for election where none comes.
void Core::wakeUp(Effects& effects) {
  ASSERT(asleep_);
  asleep_ = false;
  if (role_ != Role::leader) {
    resetElectionTimer();
    return callLeader(effects);
  }
  // Its host had a doubt; until somebody asks something that is all.
  stirredAt_ = now_ - (config_.sleepTicks - std::min(config_.sleepTicks, config_.electionTicks));
  quorumCheckAt_ = now_ + config_.electionTicks;
  for (Progress& peer : progress_) peer.active = peer.rests = false;
  beginRound(effects);
}

void Core::callLeader(Effects& effects) {
  calling_ = leader_ != 0;
  callAt_ = now_ + config_.heartbeatTicks;
  if (calling_) effects.sends.push_back(message(MessageKind::wake, leader_));
}

void Core::on(const Wake& wake, Effects& effects) {
  if (asleep_) wakeUp(effects);
  // We slept, or cannot stand, and the leader cannot answer our call: there is nobody to keep our
  // vote for. But a lease, which may have begun after our sleep, is waited out.
  if (!wake.leaderGone || !calling_ || config_.leaseReads) return;
  heard_ = false;
  uint64_t soon = std::max(1U, config_.electionTicks / 4);  // a connection may yet come back
  if (wake.first) electionAt_ = std::min(electionAt_, now_ + soon);
}

// Whether a message calls for more than to be let pass: a late answer does not, nor one of an
// older term.
bool Core::disturbs(const Message& message) const {
  if (message.term < hard_.term) return false;
  const Progress* peer = role_ == Role::leader ? find(message.from) : nullptr;
  switch (message.kind) {
    case MessageKind::heartbeatReply:
      return peer != nullptr && message.context > peer->confirmedRound && !message.granted;
    case MessageKind::appendReply:
      return peer != nullptr && message.index > peer->match;
    case MessageKind::heartbeat:
      return message.context > heardRound_;
    case MessageKind::preVoteReply:
    case MessageKind::voteReply:
    case MessageKind::readIndexReply:
    case MessageKind::removed:
      return message.term > hard_.term;
    default:
      return true;
  }
}

}  // namespace flotilla::raft
