// How configurations follow one another.
#pragma once

#include <cstddef>
#include <vector>

#include "host/raft/types.h"

namespace flotilla::raft {

constexpr size_t kMembersMax = 32;  // of each kind in one configuration

bool contains(const std::vector<ReplicaId>& sorted, ReplicaId replica);
bool isVoter(const Configuration& configuration, ReplicaId replica);   // outgoing ones too
bool isMember(const Configuration& configuration, ReplicaId replica);  // of any kind
// All members, sorted, each once.
std::vector<ReplicaId> membersOf(const Configuration& configuration);

// What a configuration from elsewhere must be: lists sorted, without repeats or 0 and not too long,
// at least one voter, nobody voter and learner at once.
bool sound(const Configuration& configuration);

// The configuration to append in order to get from `current`, which is not joint, to these members:
// they themselves where at most one voter comes or goes, since then any two majorities meet
// (dissertation 4.1); else a joint one, which its leader will leave.
Configuration stepTowards(const Configuration& current, std::vector<ReplicaId> voters,
                          std::vector<ReplicaId> learners);
// What a joint configuration becomes once it is left.
Configuration leaving(const Configuration& joint);

}  // namespace flotilla::raft
