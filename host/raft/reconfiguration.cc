// Membership changes, as a leader makes them.
#include <algorithm>
#include <tuple>
#include <utility>

#include "host/base/assert.h"
#include "host/raft/core.h"
#include "host/raft/membership.h"

namespace flotilla::raft {

void Core::on(const ProposeConfiguration& propose, Effects& effects) {
  Configuration wanted;
  wanted.voters = propose.voters;
  wanted.learners = propose.learners;
  std::sort(wanted.voters.begin(), wanted.voters.end());
  std::sort(wanted.learners.begin(), wanted.learners.end());
  if (std::optional<RefusedWhy> why = refusalOf(wanted)) {
    effects.refused.push_back({propose.proposal, *why, leader_});
    return;
  }
  stir(effects);
  appendConfiguration(
      stepTowards(configuration(), std::move(wanted.voters), std::move(wanted.learners)), effects);
  effects.accepted.push_back({propose.proposal, shape_.last()});
  sendAll(effects);
}

std::optional<RefusedWhy> Core::refusalOf(const Configuration& wanted) const {
  if (role_ != Role::leader) return RefusedWhy::notLeader;
  if (transferee_ != 0) return RefusedWhy::transferring;
  if (!sound(wanted)) return RefusedWhy::notMember;
  // Two changes under way could have majorities that do not meet, and so could one of ours and one
  // of an older leader that we do not know to be committed (the bug of the dissertation's 4.1).
  bool changing = configuration().joint() || shape_.latestConfiguration().index > hard_.commit ||
                  hard_.commit < termStart_;
  if (changing) return RefusedWhy::changing;
  if (wanted == configuration()) return RefusedWhy::noChange;
  for (ReplicaId voter : wanted.voters) {
    if (contains(configuration().voters, voter)) continue;
    // A stranger has nothing yet, and a learner that does not answer may never catch up.
    const Progress* known = find(voter);
    bool answers = known == nullptr || known->state == ProgressState::replicate;
    Index match = known == nullptr ? 0 : known->match;
    bool near = answers && match + config_.promotionLagMax >= shape_.lastIndex();
    if (!near) return RefusedWhy::notCaughtUp;
  }
  return std::nullopt;
}

// In force from now on, committed or not.
void Core::appendConfiguration(Configuration next, Effects& effects) {
  LogPoint point = appendOwn(0);
  shape_.addConfiguration({point.index, next});
  effects.made.push_back(
      {MadeEntry::Kind::configuration, point.index, point.term, std::move(next)});
  alignProgress();
}

// One Progress for each member and for ourselves; those that stay keep what is known of them.
void Core::alignProgress() {
  std::vector<ReplicaId> members = membersOf(configuration());
  if (!contains(members, config_.self)) {
    members.insert(std::lower_bound(members.begin(), members.end(), config_.self), config_.self);
  }
  std::vector<Progress> aligned;
  aligned.reserve(members.size());
  for (ReplicaId member : members) {
    if (const Progress* known = find(member)) {
      aligned.push_back(*known);
      continue;
    }
    Progress& fresh = aligned.emplace_back();
    fresh.replica = member;
    fresh.next = shape_.lastIndex() + 1;
    fresh.active = true;  // it could not yet answer
    endQuiet();
  }
  progress_ = std::move(aligned);
}

// Whoever leads when a joint configuration is committed leaves it; a new leader only after an entry
// of its own term, since only then it knows that the joint one is committed.
void Core::leaveJoint(Effects& effects) {
  const ConfigurationAt& latest = shape_.latestConfiguration();
  bool due = latest.configuration.joint() && latest.configuration.autoLeave &&
             latest.index <= hard_.commit && hard_.commit >= termStart_;
  if (due) appendConfiguration(leaving(latest.configuration), effects);
}

// A removed replica never hears of its removal from the log, and would stand for ever. Told only by
// a leader that knows what is committed, to one whose log ends before ours: one that a leader we
// have not heard of may have added since has a later log.
bool Core::tellRemoved(const Message& ask, Effects& effects) const {
  if (role_ != Role::leader || hard_.commit < termStart_) return false;
  bool earlier = std::tie(ask.last.term, ask.last.index) <=
                 std::make_tuple(shape_.lastTerm(), shape_.lastIndex());
  bool member = isMember(configuration(), ask.from) ||
                isMember(shape_.configurationAt(hard_.commit).configuration, ask.from);
  if (!earlier || member) return false;
  effects.sends.push_back(message(MessageKind::removed, ask.from));
  return true;
}

}  // namespace flotilla::raft
