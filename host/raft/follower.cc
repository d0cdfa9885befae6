// A follower's page: entries, commit and snapshots as a leader sends them.
#include <algorithm>
#include <utility>

#include "host/base/assert.h"
#include "host/raft/core.h"
#include "host/raft/membership.h"

namespace flotilla::raft {

namespace {

constexpr uint64_t kRemovedTimeouts = 20;    // a removed replica waits so many before it stands
constexpr Index kIndexMax = Index{1} << 62;  // beyond it an index is garbage

// What an append must be before anything in it is believed.
bool sound(const Message& append) {
  if (append.after.index >= kIndexMax || append.after.term > append.term) return false;
  TermRun before{append.after.index, append.after.term};
  for (const TermRun& run : append.runs) {
    bool rises = run.last > before.last && run.term >= before.term;
    if (!rises || run.last >= kIndexMax || run.term == 0 || run.term > append.term) return false;
    before = run;
  }
  Index after = append.after.index;
  for (const ConfigurationAt& at : append.configurations) {
    if (at.index <= after || at.index > before.last || !sound(at.configuration)) return false;
    after = at.index;
  }
  return true;
}

// The term of entry `index`, which is among `runs`.
Term termIn(const std::vector<TermRun>& runs, Index index) {
  for (const TermRun& run : runs) {
    if (run.last >= index) return run.term;
  }
  return 0;
}

}  // namespace

// A message of our term from one who leads it. False where that cannot be: such a message is lost.
bool Core::hearLeader(ReplicaId leader, Effects& effects) {
  if (role_ == Role::leader) return false;
  if (leader_ != 0 && leader_ != leader) return false;
  if (role_ != Role::follower || leader_ != leader) becomeFollower(leader, effects);
  heard_ = true;
  heardAt_ = now_;
  calling_ = false;
  resetElectionTimer();
  return true;
}

void Core::onAppend(const Receive& receive, Effects& effects) {
  const Message& append = receive.message;
  if (!sound(append) || !hearLeader(append.from, effects)) return;
  if (installing_) return;  // the log is about to be replaced; the leader will ask again
  Index last = append.lastOfRuns();
  if (last <= hard_.commit) return acknowledge(append.from, hard_.commit);

  // What lies at or below our commit index is the same in both logs; the rest is compared.
  LogPoint after = append.after;
  if (after.index < shape_.base().index) {
    after = shape_.base();
    if (termIn(append.runs, after.index) != after.term) return;
  } else if (shape_.termAt(after.index) != after.term) {
    if (after.index > hard_.commit) refuseAppend(append);
    return;
  }
  Index agreed = agreedUpTo(after, append.runs);
  if (agreed < hard_.commit) return;  // it contradicts what is committed: no leader can send that
  if (agreed < last) takeEntries(receive, agreed);
  hard_.commit = std::max(hard_.commit, std::min(append.commit, last));
  sizes_.release(hard_.commit);
  acknowledge(append.from, last);
}

// The last index up to which our log has the same terms as `runs`, which follow `after`.
Index Core::agreedUpTo(LogPoint after, const std::vector<TermRun>& runs) const {
  Index agreed = after.index;
  for (const TermRun& run : runs) {
    if (run.last <= agreed) continue;
    // Ours that is of this run's term reaches as far as its run here does.
    if (shape_.termAt(agreed + 1) != run.term) return agreed;
    Index ours = shape_.lastAtMost(run.last, run.term).index;
    if (ours < run.last) return ours;
    agreed = run.last;
  }
  return agreed;
}

void Core::takeEntries(const Receive& receive, Index agreed) {
  const Message& append = receive.message;
  if (agreed < shape_.lastIndex()) {
    shape_.truncateAfter(agreed);
    holdback_.truncateAfter(agreed);
    sizes_.truncateAfter(agreed);
  }
  for (const TermRun& run : append.runs) {
    if (run.last > agreed) shape_.append(run.last, run.term);
  }
  // Only the sum of its entries' bytes is known: each counts alike.
  uint64_t share = receive.bytes / (append.lastOfRuns() - append.after.index);
  for (Index index = agreed; index < shape_.lastIndex(); ++index) sizes_.add(share);
  for (const ConfigurationAt& at : append.configurations) {
    if (at.index > agreed) shape_.addConfiguration(at);
  }
  entriesChanged(agreed + 1);
}

// Our log does not hold append.after. The hint is the last place where it still may agree: no
// higher in term than what was asked for, and never below what is committed.
void Core::refuseAppend(const Message& append) {
  Message reply = message(MessageKind::appendReply, append.from);
  reply.index = append.after.index;
  reply.hint = shape_.lastAtMost(append.after.index, append.after.term);
  if (reply.hint.index < hard_.commit) {
    reply.hint = {hard_.commit, *shape_.termAt(hard_.commit)};
  }
  hold(std::move(reply));
}

void Core::acknowledge(ReplicaId to, Index match) {
  Message reply = message(MessageKind::appendReply, to);
  reply.granted = true;
  reply.index = match;
  hold(std::move(reply), match);
}

void Core::onHeartbeat(const Message& heartbeat, Effects& effects) {
  if (!hearLeader(heartbeat.from, effects)) return;
  // Its commit index is at most what it knows our log to share with its own.
  if (!installing_) {
    hard_.commit = std::max(hard_.commit, std::min(heartbeat.commit, shape_.lastIndex()));
  }
  bool rests = mayRest(heartbeat);
  heardRound_ = std::max(heardRound_, heartbeat.context);
  asleep_ = rests && heartbeat.force;
  if (asleep_) return;  // as its leader does
  if (heartbeat.force) return callLeader(effects);
  Message reply = message(MessageKind::heartbeatReply, heartbeat.from);
  reply.context = heartbeat.context;
  reply.index = shape_.lastIndex();
  reply.granted = rests;
  hold(std::move(reply));
}

void Core::onSnapshot(const Message& snapshot, Effects& effects) {
  LogPoint point = snapshot.after;
  bool sane = point.index != 0 && point.index < kIndexMax && point.term != 0 &&
              point.term <= snapshot.term && snapshot.configurations.size() == 1 &&
              sound(snapshot.configurations.front().configuration);
  if (!sane || !hearLeader(snapshot.from, effects)) return;
  if (installing_) return;
  // A late one: what it brings is committed here.
  if (point.index <= hard_.commit) return acknowledge(snapshot.from, hard_.commit);
  if (shape_.termAt(point.index) == point.term) {
    // Our log reaches there by itself: keep it, and what follows it, and learn what is committed.
    hard_.commit = point.index;
    return acknowledge(snapshot.from, point.index);
  }
  Install install{point, snapshot.configurations.front().configuration, snapshot.from};
  installing_ = std::make_unique<Install>(install);
  effects.install = std::move(install);
}

void Core::on(const Installed& installed, Effects&) {
  if (!installing_ || installing_->point != installed.point) return;
  Install install = std::move(*std::exchange(installing_, nullptr));
  if (!installed.ok) return;
  // While it was under way nothing could be appended, committed or won.
  ASSERT(role_ == Role::follower);
  ASSERT(hard_.commit < install.point.index);
  shape_.reset(install.point, std::move(install.configuration));
  holdback_.reset();
  sizes_.restart(install.point.index, 0);
  hard_.commit = install.point.index;
  apply_ = install.point.index;
  logReset_ = true;
  changedFrom_ = 0;
  if (leader_ != 0) acknowledge(leader_, install.point.index);
}

// We stood, and are not in the group any more, says a leader. It may be a late message, so we stand
// less often rather than never.
void Core::onRemoved(Effects& effects) {
  if (role_ == Role::leader || leader_ != 0) return;
  becomeFollower(0, effects);
  electionAt_ = std::max(electionAt_, now_ + kRemovedTimeouts * config_.electionTicks);
}

}  // namespace flotilla::raft
