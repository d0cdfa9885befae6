// The values Raft is about.
#pragma once

#include <cstdint>
#include <vector>

namespace flotilla::raft {

using Index = uint64_t;       // place in the log, from 1; 0 is "before the first"
using Term = uint64_t;        // from 1; 0 is "none yet"
using ReplicaId = uint64_t;   // never reused within a group; 0 is nobody
using WriteId = uint64_t;     // from 1, one higher for each Write of a core
using ProposalId = uint64_t;  // the proposer's name for what it proposed
using ReadId = uint64_t;      // the asker's name for a read; unique per core while it waits

enum class Role { follower, preCandidate, candidate, leader };

// Who takes part (dissertation, chapter 4). Joint while `outgoing` is not empty: then a majority of
// `voters` and one of `outgoing` must agree. All lists are sorted and without repeats.
struct Configuration {
  std::vector<ReplicaId> voters;
  std::vector<ReplicaId> outgoing;      // the old voters of a joint configuration
  std::vector<ReplicaId> learners;      // receive the log, do not count
  std::vector<ReplicaId> learnersNext;  // voters of `outgoing` that are learners once it is left
  bool autoLeave = false;               // the leader itself proposes leaving once this commits

  bool joint() const { return !outgoing.empty(); }
  bool operator==(const Configuration&) const = default;
};

// What must survive a crash beside the log itself. `commit` may lag behind what was known.
struct HardState {
  Term term = 0;
  ReplicaId vote = 0;
  Index commit = 0;

  bool operator==(const HardState&) const = default;
};

// A place in the log together with what stands there.
struct LogPoint {
  Index index = 0;
  Term term = 0;

  bool operator==(const LogPoint&) const = default;
};

// Neighbouring entries of one term: all entries after the previous run's last, up to `last`.
struct TermRun {
  Index last = 0;
  Term term = 0;

  bool operator==(const TermRun&) const = default;
};

// A configuration and the entry that carries it.
struct ConfigurationAt {
  Index index = 0;
  Configuration configuration;

  bool operator==(const ConfigurationAt&) const = default;
};

}  // namespace flotilla::raft
