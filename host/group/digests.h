// Digests that replicas took at the same entries, and who is in the minority.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "host/raft/types.h"

namespace flotilla::group {

// A replica's digest of machine, group state and answers, at an entry that asked for it.
struct DigestAt {
  raft::Index index = 0;
  uint64_t digest = 0;

  bool operator==(const DigestAt&) const = default;
};

// The newest rounds of digests, as this replica knows them: its own, and what others said. Whoever
// leads judges them; that it leads is not this class's business.
//
// Owner:  Group.
// Thread: its owner's.
// Errors: none.
class Digests {
public:
  static constexpr size_t kRoundsMax = 8;
  static constexpr size_t kReportsMax = 128;  // of one round

  struct Verdict {
    std::optional<uint64_t> digest;  // a strict majority of the voters has it
    bool split = false;              // all voters have spoken, and there is none
  };

  // A word of ours or of a peer's; the last of one replica counts.
  void add(raft::ReplicaId replica, DigestAt word);
  std::optional<uint64_t> of(raft::ReplicaId replica, raft::Index index) const;
  Verdict judge(raft::Index index, const std::vector<raft::ReplicaId>& voters) const;
  // Who has spoken since they were asked for last, and whether they agree with `digest`.
  std::vector<std::pair<raft::ReplicaId, bool>> takeUntold(raft::Index index, uint64_t digest);

private:
  struct Report {
    uint64_t digest = 0;
    bool told = false;
  };
  using Round = std::map<raft::ReplicaId, Report>;

  std::map<raft::Index, Round> rounds_;
};

}  // namespace flotilla::group
