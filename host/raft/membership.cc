// How configurations follow one another.
#include "host/raft/membership.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "host/base/assert.h"

namespace flotilla::raft {

namespace {

bool soundList(const std::vector<ReplicaId>& list) {
  if (list.size() > kMembersMax) return false;
  if (!list.empty() && list.front() == 0) return false;
  return std::adjacent_find(list.begin(), list.end(), std::greater_equal<>()) == list.end();
}

bool disjoint(const std::vector<ReplicaId>& a, const std::vector<ReplicaId>& b) {
  return std::none_of(a.begin(), a.end(), [&](ReplicaId replica) { return contains(b, replica); });
}

std::vector<ReplicaId> united(const std::vector<ReplicaId>& a, const std::vector<ReplicaId>& b) {
  std::vector<ReplicaId> all;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all));
  return all;
}

}  // namespace

bool contains(const std::vector<ReplicaId>& sorted, ReplicaId replica) {
  return std::binary_search(sorted.begin(), sorted.end(), replica);
}

bool isVoter(const Configuration& configuration, ReplicaId replica) {
  return contains(configuration.voters, replica) || contains(configuration.outgoing, replica);
}

bool isMember(const Configuration& configuration, ReplicaId replica) {
  return isVoter(configuration, replica) || contains(configuration.learners, replica) ||
         contains(configuration.learnersNext, replica);
}

std::vector<ReplicaId> membersOf(const Configuration& configuration) {
  return united(united(configuration.voters, configuration.outgoing),
                united(configuration.learners, configuration.learnersNext));
}

bool sound(const Configuration& configuration) {
  if (configuration.voters.empty()) return false;
  for (const auto* list : {&configuration.voters, &configuration.outgoing, &configuration.learners,
                           &configuration.learnersNext}) {
    if (!soundList(*list)) return false;
  }
  if (!disjoint(configuration.learners, configuration.voters)) return false;
  if (!disjoint(configuration.learners, configuration.outgoing)) return false;
  return std::all_of(configuration.learnersNext.begin(), configuration.learnersNext.end(),
                     [&](ReplicaId replica) {
                       return contains(configuration.outgoing, replica) &&
                              !contains(configuration.voters, replica);
                     });
}

Configuration stepTowards(const Configuration& current, std::vector<ReplicaId> voters,
                          std::vector<ReplicaId> learners) {
  ASSERT(!current.joint());
  std::vector<ReplicaId> changed;
  std::set_symmetric_difference(current.voters.begin(), current.voters.end(), voters.begin(),
                                voters.end(), std::back_inserter(changed));
  Configuration next;
  next.voters = std::move(voters);
  if (changed.size() <= 1) {
    next.learners = std::move(learners);
    return next;
  }
  next.outgoing = current.voters;
  next.autoLeave = true;
  for (ReplicaId learner : learners) {
    (contains(next.outgoing, learner) ? next.learnersNext : next.learners).push_back(learner);
  }
  return next;
}

Configuration leaving(const Configuration& joint) {
  Configuration next;
  next.voters = joint.voters;
  next.learners = united(joint.learners, joint.learnersNext);
  return next;
}

}  // namespace flotilla::raft
