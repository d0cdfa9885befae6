// What a leader sends its peers: entries as far as the windows let it, else a word of the commit.
#include <algorithm>
#include <utility>

#include "host/base/assert.h"
#include "host/raft/core.h"

namespace flotilla::raft {
namespace {

constexpr uint32_t kTellTicksMax = 10;  // however seldom heartbeats are

}  // namespace

const Progress* Core::find(ReplicaId replica) const {
  auto at =
      std::lower_bound(progress_.begin(), progress_.end(), replica,
                       [](const Progress& it, ReplicaId wanted) { return it.replica < wanted; });
  return at != progress_.end() && at->replica == replica ? &*at : nullptr;
}

Progress* Core::find(ReplicaId replica) {
  return const_cast<Progress*>(std::as_const(*this).find(replica));
}

void Core::sendAll(Effects& effects) {
  for (Progress& peer : progress_) sendTo(peer, effects);
}

void Core::sendTo(Progress& peer, Effects& effects) {
  if (peer.replica == config_.self || peer.state == ProgressState::snapshot) return;
  if (peer.state == ProgressState::probe) {
    if (peer.paused || wantsSnapshot(peer, effects)) return;
    if (!sendMore(peer, effects)) sendAppend(peer, peer.next - 1, effects);
    return;
  }
  if (wantsSnapshot(peer, effects)) return;
  while (sendMore(peer, effects)) {
  }
  // Under load the next append says what is committed; one that has everything is told at once.
  bool idle = peer.match == shape_.lastIndex();
  if (!idle || peer.commitSent >= hard_.commit) return;
  if (config_.lazyCommit) {
    bool listens = std::any_of(progress_.begin(), progress_.end(),
                               [](const Progress& each) { return each.listens; });
    tellCommitsAt_ = now_ + (listens ? 1 : kTellTicksMax);
  } else {
    tellCommit(peer, effects);
  }
}

// An append without entries.
void Core::tellCommit(Progress& peer, Effects& effects) {
  bool follows = peer.state == ProgressState::replicate && peer.next > shape_.base().index;
  if (peer.replica == config_.self || !follows || peer.commitSent >= hard_.commit) return;
  sendAppend(peer, peer.next - 1, effects);
}

void Core::tellCommits(Effects& effects) {
  tellCommitsAt_ = 0;
  for (Progress& peer : progress_) {
    if (peer.match == shape_.lastIndex()) tellCommit(peer, effects);
  }
}

// What it needs next is compacted: from here on it waits for a snapshot, asked for once.
bool Core::wantsSnapshot(Progress& peer, Effects& effects) const {
  if (peer.next > shape_.base().index) return false;
  peer.state = ProgressState::snapshot;
  effects.snapshots.push_back({peer.replica});
  return true;
}

// True where entries were sent and more may be.
bool Core::sendMore(Progress& peer, Effects& effects) {
  if (peer.next > shape_.lastIndex()) return false;
  Index last = lastToSend(peer);
  if (last < peer.next) return false;
  sendAppend(peer, last, effects);
  return true;
}

// The last entry of the next append: within what one append and what the peer's window takes.
Index Core::lastToSend(const Progress& peer) const {
  Index after = peer.next - 1;
  Index last = std::min(shape_.lastIndex(), after + config_.appendEntriesMax);
  if (peer.state == ProgressState::replicate) {
    Index limit = peer.match + config_.inflightMax;
    uint64_t underWay = sizes_.between(peer.match, after);
    bool full = after >= limit || underWay >= config_.inflightBytesMax;
    if (full && after > peer.match) return after;
    last = std::max(std::min(last, limit), after + 1);
  }
  return sizes_.lastWithin(after, last, config_.appendBytesMax);
}

// Sends entries (next - 1, last]; without any it is a question whether the peer's log holds
// next - 1, or word of a new commit index.
void Core::sendAppend(Progress& peer, Index last, Effects& effects) {
  ASSERT(peer.state != ProgressState::snapshot);
  LogPoint after{peer.next - 1, 0};
  after.term = shape_.termAt(after.index).value();
  Message append = message(MessageKind::append, peer.replica);
  append.after = after;
  append.commit = hard_.commit;
  append.runs = shape_.runs(after.index, last);
  for (const ConfigurationAt& at : shape_.configurations()) {
    if (at.index > after.index && at.index <= last) append.configurations.push_back(at);
  }
  effects.sends.push_back(std::move(append));
  peer.commitSent = std::min(hard_.commit, last);
  if (last >= peer.next) {
    peer.sentAt = now_;
    heartbeatAt_ = std::min(heartbeatAt_, now_ + config_.quietTicks);  // it may be lost
  }
  if (peer.state == ProgressState::probe) {
    peer.paused = true;
  } else {
    peer.next = last + 1;
  }
}

}  // namespace flotilla::raft
