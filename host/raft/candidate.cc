// A candidate's page, and everyone's part in elections.
#include <algorithm>
#include <tuple>
#include <utility>

#include "host/base/assert.h"
#include "host/raft/core.h"
#include "host/raft/membership.h"
#include "host/raft/quorum.h"

namespace flotilla::raft {

// A voter may stand, and so may one whom only an uncommitted configuration takes out: perhaps
// nobody else has a log long enough to win (dissertation 4.2.2).
bool Core::mayStand() const {
  if (installing_) return false;
  const std::vector<ConfigurationAt>& all = shape_.configurations();
  for (auto at = all.rbegin(); at != all.rend(); ++at) {
    if (isVoter(at->configuration, config_.self)) return true;
    if (at->index <= hard_.commit) return false;
  }
  return false;
}

// A leader is alive, as far as we know. Outlives the leader's term: it was promised to the leader's
// lease, whoever has raised the term meanwhile.
bool Core::inLease() const {
  return role_ == Role::leader || (heard_ && now_ - heardAt_ < config_.electionTicks);
}

void Core::resetElectionTimer() {
  const Configuration& members = configuration();
  bool alone =
      members.voters.size() == 1 && members.voters.front() == config_.self && !members.joint();
  if (alone && !heard_) {  // nobody to wait for
    electionAt_ = now_ + 1;
    return;
  }
  uint64_t ticks = config_.electionTicks + prng_.below(config_.electionTicks) +
                   uint64_t{config_.electionTicks} * (100 - config_.priority) / 100;
  electionAt_ = now_ + ticks;
}

void Core::campaign(Stand stand, Effects& effects) {
  if (role_ == Role::leader || !mayStand()) return;
  if (stand == Stand::forced || !config_.preVote) return becomeCandidate(stand, effects);
  becomeFollower(0, effects);
  role_ = Role::preCandidate;
  votes_.clear();
  resetElectionTimer();
  countVote(config_.self, true, effects);
  if (role_ == Role::preCandidate) askForVotes(stand, effects);
}

void Core::becomeCandidate(Stand stand, Effects& effects) {
  enterTerm(hard_.term + 1, effects);
  hard_.vote = config_.self;
  role_ = Role::candidate;
  votes_.clear();
  resetElectionTimer();
  // Our vote must survive a crash before anybody acts on it, ourselves included.
  Message own = message(MessageKind::voteReply, config_.self);
  own.granted = true;
  hold(std::move(own));
  askForVotes(stand, effects);
}

void Core::askForVotes(Stand stand, Effects& effects) {
  const Configuration& members = configuration();
  bool pre = role_ == Role::preCandidate;
  for (ReplicaId member : membersOf(members)) {
    if (member == config_.self || !isVoter(members, member)) continue;
    Message ask = message(pre ? MessageKind::preVote : MessageKind::vote, member);
    ask.last = shape_.last();
    ask.force = stand == Stand::forced;
    if (pre) {
      ++ask.term;  // promises nothing, so need not wait
      effects.sends.push_back(std::move(ask));
    } else {
      hold(std::move(ask));
    }
  }
}

// Raft paper 5.4.1.
bool Core::upToDate(LogPoint last) const {
  return std::tie(last.term, last.index) >= std::make_tuple(shape_.lastTerm(), shape_.lastIndex());
}

void Core::onPreVote(const Message& ask, Effects& effects) {
  bool free =
      ask.term > hard_.term || (leader_ == 0 && (hard_.vote == 0 || hard_.vote == ask.from));
  bool granted = free && upToDate(ask.last) && !inLease();
  if (!granted) tellRemoved(ask, effects);
  Message reply = message(MessageKind::preVoteReply, ask.from);
  reply.granted = granted;
  // Refused, it tells our term, so that one who lags behind in terms catches up.
  if (granted) reply.term = ask.term;
  effects.sends.push_back(std::move(reply));
  if (granted) stepBackFor(ask, effects);
}

// Of two who ask for pre-votes at once, one goes on: if both did, each would give its vote to
// itself. Whose log is the longer, or of equal ones whose id is the larger. The other's answer
// reaches us after its question, so one of us steps back before it could count that answer (on one
// connection; else both go on, as they would have).
void Core::stepBackFor(const Message& ask, Effects& effects) {
  if (role_ != Role::preCandidate || !isVoter(configuration(), ask.from)) return;
  LogPoint ours = shape_.last();
  if (ask.last == ours && ask.from < config_.self) return;
  uint64_t electionAt = electionAt_;
  becomeFollower(0, effects);
  electionAt_ = electionAt;  // the other may be one that cannot win
}

void Core::onVote(const Message& ask, Effects&) {
  bool free = hard_.vote == ask.from || (hard_.vote == 0 && leader_ == 0);
  Message reply = message(MessageKind::voteReply, ask.from);
  reply.granted = free && upToDate(ask.last);
  if (reply.granted) {
    if (hard_.vote != ask.from) hardChanged_ = true;
    hard_.vote = ask.from;
    resetElectionTimer();
  }
  hold(std::move(reply));
}

void Core::onVoteReply(const Message& reply, Effects& effects) {
  if (reply.kind == MessageKind::preVoteReply) {
    if (role_ != Role::preCandidate) return;
    if (reply.granted && reply.term != hard_.term + 1) return;
  } else if (role_ != Role::candidate) {
    return;
  }
  countVote(reply.from, reply.granted, effects);
}

// One vote a voter, the first: a repeated one says nothing new.
void Core::countVote(ReplicaId voter, bool granted, Effects& effects) {
  auto same = [&](const Vote& vote) { return vote.voter == voter; };
  if (!isVoter(configuration(), voter)) return;
  if (std::any_of(votes_.begin(), votes_.end(), same)) return;
  votes_.push_back({voter, granted});

  auto said = [&](ReplicaId replica, bool what) {
    return std::any_of(votes_.begin(), votes_.end(), [&](const Vote& vote) {
      return vote.voter == replica && vote.granted == what;
    });
  };
  const Configuration& members = configuration();
  if (quorumAgrees(members, [&](ReplicaId replica) { return said(replica, true); })) {
    if (role_ == Role::candidate) return becomeLeader(effects);
    return becomeCandidate(Stand::asked, effects);
  }
  if (!quorumAgrees(members, [&](ReplicaId replica) { return !said(replica, false); })) {
    becomeFollower(0, effects);  // lost
  }
}

// The leader hands over to us: no pre-vote, and no lease refuses us.
void Core::onTimeoutNow(const Message& order, Effects& effects) {
  if (leader_ != 0 && leader_ != order.from) return;
  if (role_ != Role::follower) return;
  campaign(Stand::forced, effects);
}

}  // namespace flotilla::raft
