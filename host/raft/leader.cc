// A leader's page: its term, what its peers answer, and what is committed.
#include <algorithm>
#include <utility>

#include "host/base/assert.h"
#include "host/raft/core.h"
#include "host/raft/membership.h"
#include "host/raft/quorum.h"

namespace flotilla::raft {
namespace {

constexpr uint32_t kHeartbeatsForQuiet = 4;  // in an election timeout, at least

}  // namespace

void Core::becomeLeader(Effects& effects) {
  ASSERT(role_ == Role::candidate);
  ASSERT(hard_.vote == config_.self);
  role_ = Role::leader;
  leader_ = config_.self;
  votes_.clear();
  heartbeatAt_ = now_ + config_.heartbeatTicks;
  quorumCheckAt_ = now_ + config_.electionTicks;
  round_ = restRound_ = 0;
  // Nobody has asked anything yet: what is begun, or taken over, by the thousand soon sleeps.
  stirredAt_ = now_ - (config_.sleepTicks - std::min(config_.sleepTicks, config_.electionTicks));
  leaseOff_ = false;
  alignProgress();
  for (Progress& peer : progress_) peer.active = false;
  tellCommitsAt_ = 0;

  // Nothing of older terms commits before an entry of ours does: so there is one at once.
  LogPoint noOp = appendOwn(0);
  termStart_ = noOp.index;
  effects.made.push_back({MadeEntry::Kind::noOp, noOp.index, noOp.term, {}});
  ownLogSafe(effects);
  sendAll(effects);
}

LogPoint Core::appendOwn(uint64_t bytes) {
  Index index = shape_.lastIndex() + 1;
  shape_.append(index, hard_.term);
  sizes_.add(bytes);
  entriesChanged(index);
  return {index, hard_.term};
}

uint64_t Core::uncommittedBytes() const {
  if (role_ != Role::leader) return 0;
  return sizes_.between(hard_.commit, shape_.lastIndex());
}

std::vector<PeerProgress> Core::progress() const {
  std::vector<PeerProgress> peers;
  for (const Progress& peer : progress_) {
    if (peer.replica == config_.self) continue;
    peers.push_back({peer.replica, peer.match, peer.next, peer.state, peer.active, peer.rests});
  }
  return peers;
}

void Core::on(const Propose& propose, Effects& effects) {
  auto refuse = [&](RefusedWhy why) {
    effects.refused.push_back({propose.proposal, why, leader_});
  };
  if (role_ != Role::leader) return refuse(RefusedWhy::notLeader);
  if (transferee_ != 0) return refuse(RefusedWhy::transferring);
  stir(effects);
  // One entry is let through however large it is, or it never would be.
  uint64_t uncommitted = uncommittedBytes();
  bool over = propose.bytes > config_.uncommittedBytesMax ||
              uncommitted > config_.uncommittedBytesMax - propose.bytes;
  if (uncommitted > 0 && over) return refuse(RefusedWhy::full);
  effects.accepted.push_back({propose.proposal, appendOwn(propose.bytes)});
  sendAll(effects);
}

void Core::tickLeader(Effects& effects) {
  if (now_ >= quorumCheckAt_) {
    quorumCheckAt_ = now_ + config_.electionTicks;
    bool heard = quorumAgrees(configuration(), [&](ReplicaId replica) {
      return replica == config_.self || find(replica)->active;
    });
    if (config_.checkQuorum && !heard) return becomeFollower(0, effects);
    for (Progress& peer : progress_) peer.active = false;
  }
  // The heir did not take over in time: we go on ourselves (dissertation 3.10).
  if (transferee_ != 0 && now_ >= transferUntil_) transferee_ = 0;
  if (now_ >= heartbeatAt_) heartbeatAt_ = quietUntil();
  if (now_ >= heartbeatAt_) beginRound(effects);
  if (tellCommitsAt_ != 0 && now_ >= tellCommitsAt_) tellCommits(effects);
}

// Entries that every peer is sent, and takes, do what a heartbeat does, unless somebody waits for a
// round. The tick in which the next one is due. An append may wait for the disk or be dropped on
// its way, so there must be time for other heartbeats before anybody stands; for fewer where all
// have taken all there is.
uint64_t Core::quietUntil() const {
  bool alone = progress_.size() == 1;  // then a round ends at once
  bool often = config_.electionTicks >= kHeartbeatsForQuiet * config_.heartbeatTicks;
  if (alone || !often || !reads_.empty() || config_.leaseReads || transferee_ != 0) return now_;
  uint64_t since = now_;
  bool isSettled = true;
  for (const Progress& peer : progress_) {
    if (peer.replica == config_.self) continue;
    if (peer.state != ProgressState::replicate) return now_;
    since = std::min({since, peer.sentAt, peer.movedAt});
    isSettled = isSettled && peer.match == shape_.lastIndex();
  }
  return since + (isSettled ? config_.settledTicks : config_.quietTicks);
}

// What is to be asked for, or found out, waits for no longer than it always did.
void Core::endQuiet() {
  heartbeatAt_ = std::min(heartbeatAt_, now_ + config_.heartbeatTicks);
}

void Core::onAppendReply(const Message& reply, Effects& effects) {
  Progress* peer = find(reply.from);
  if (peer == nullptr) return;
  peer->active = true;
  peer->listens = reply.force;
  if (!reply.granted) return onRefusal(*peer, reply, effects);
  if (reply.index > shape_.lastIndex()) return;  // it cannot hold what we do not
  bool moved = reply.index > peer->match;
  if (!moved && (peer->state != ProgressState::probe || reply.index < peer->match)) return;

  if (moved) peer->movedAt = now_;
  peer->match = std::max(peer->match, reply.index);
  peer->next = std::max(peer->next, peer->match + 1);
  bool caughtUp = peer->match >= shape_.base().index;
  if (peer->state == ProgressState::probe || (peer->state == ProgressState::snapshot && caughtUp)) {
    peer->state = ProgressState::replicate;
    peer->paused = false;
    peer->next = peer->match + 1;
  }
  if (moved) advanceCommit(effects);
  peer = find(reply.from);  // we may have stepped down
  if (peer == nullptr) return;
  if (peer->replica == transferee_ && peer->match == shape_.lastIndex()) {
    sendTimeoutNow(transferee_, effects);
  }
  sendTo(*peer, effects);
}

void Core::onRefusal(Progress& peer, const Message& reply, Effects& effects) {
  Index refused = reply.index;
  // What it once acknowledged it holds: this is an answer from before.
  if (peer.state == ProgressState::snapshot || refused <= peer.match) return;
  // While probing only the answer to the probe counts.
  if (peer.state == ProgressState::probe && refused != peer.next - 1) return;
  // Everything up to the hint's term may agree; nothing of a higher term can (our log's terms at
  // or below the hint's). It must come down in any case, whatever the hint says.
  LogPoint agreed = shape_.lastAtMost(reply.hint.index, reply.hint.term);
  peer.next = std::clamp(agreed.index + 1, peer.match + 1, refused);
  peer.state = ProgressState::probe;
  peer.paused = false;
  endQuiet();
  sendTo(peer, effects);
}

void Core::onHeartbeatReply(const Message& reply, Effects& effects) {
  Progress* peer = find(reply.from);
  if (peer == nullptr || reply.context > round_) return;
  peer->active = true;
  if (reply.context >= peer->confirmedRound) {
    peer->confirmedRound = reply.context;
    peer->rests = reply.granted;
  }
  if (peer->state == ProgressState::probe) {
    peer->paused = false;  // the probe or its answer may be lost
    sendTo(*peer, effects);
  } else if (peer->state == ProgressState::replicate && peer->match < shape_.lastIndex()) {
    // Were the last append lost, nothing after it would show the gap: ask.
    bool sendable = !wantsSnapshot(*peer, effects);
    if (sendable && !sendMore(*peer, effects)) sendAppend(*peer, peer->next - 1, effects);
  }
  confirmReads(effects);
  considerSleep(effects);
}

void Core::on(const SnapshotSent& sent, Effects& effects) {
  Progress* peer = find(sent.to);
  if (peer == nullptr || peer->state != ProgressState::snapshot) return;
  peer->state = ProgressState::probe;
  peer->next = peer->match + 1;
  // Broken: tried again when the peer is heard of.
  peer->paused = !sent.ok;
  endQuiet();
  if (!sent.ok) return;
  bool ours = shape_.termAt(sent.point.index) == sent.point.term;
  if (ours) peer->next = std::max(peer->next, sent.point.index + 1);
  sendTo(*peer, effects);
}

void Core::ownLogSafe(Effects& effects) {
  Progress* own = find(config_.self);
  own->match = std::max(own->match, holdback_.safe());
  own->next = shape_.lastIndex() + 1;
  advanceCommit(effects);
}

// Commits what a quorum holds, once that includes an entry of our own term (Raft paper 5.4.2).
void Core::advanceCommit(Effects& effects) {
  Index held =
      quorumValue(configuration(), [&](ReplicaId replica) { return find(replica)->match; });
  if (held <= hard_.commit || shape_.termAt(held) != hard_.term) return;
  hard_.commit = held;
  sizes_.release(held);
  reads_.giveIndex(held);
  if (reads_.wantsRound() && !reads_.inRound()) beginRound(effects);
  leaveJoint(effects);
  bool out = shape_.latestConfiguration().index <= held && !isVoter(configuration(), config_.self);
  if (out) return stepDown(effects);
  sendAll(effects);
}

// The configuration that takes our vote is committed (dissertation 4.2.2).
void Core::stepDown(Effects& effects) {
  sendAll(effects);
  tellCommits(effects);
  ReplicaId heir = furthestVoter();
  if (heir != 0) sendTimeoutNow(heir, effects);
  becomeFollower(0, effects);
}

// Of the other voters that have answered in this term; 0: there is none.
ReplicaId Core::furthestVoter() const {
  const Progress* best = nullptr;
  for (const Progress& peer : progress_) {
    bool fit = peer.replica != config_.self && peer.match != 0 &&
               contains(configuration().voters, peer.replica);
    if (fit && (best == nullptr || peer.match > best->match)) best = &peer;
  }
  return best == nullptr ? 0 : best->replica;
}

void Core::on(const Transfer& transfer, Effects& effects) {
  auto refuse = [&](RefusedWhy why) { effects.refused.push_back({0, why, leader_}); };
  if (role_ != Role::leader) return refuse(RefusedWhy::notLeader);
  ReplicaId to = transfer.to != 0 ? transfer.to : furthestVoter();
  if (to == config_.self || (to != 0 && to == transferee_)) return;
  if (!contains(configuration().voters, to)) return refuse(RefusedWhy::notMember);
  stir(effects);
  transferee_ = to;
  transferUntil_ = now_ + config_.electionTicks;
  endQuiet();
  Progress& heir = *find(to);
  if (heir.match == shape_.lastIndex()) {
    sendTimeoutNow(to, effects);
  } else {
    sendTo(heir, effects);
  }
}

// From here on this term's lease is worth nothing: the order may arrive at any time, and the votes
// it brings about heed no lease.
void Core::sendTimeoutNow(ReplicaId to, Effects& effects) {
  leaseOff_ = true;
  effects.sends.push_back(message(MessageKind::timeoutNow, to));
}

}  // namespace flotilla::raft
