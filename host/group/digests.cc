// Digests that replicas took at the same entries, and who is in the minority.
#include "host/group/digests.h"

#include <algorithm>

namespace flotilla::group {

void Digests::add(raft::ReplicaId replica, DigestAt word) {
  if (rounds_.size() >= kRoundsMax && !rounds_.contains(word.index)) {
    if (word.index < rounds_.begin()->first) return;
    rounds_.erase(rounds_.begin());
  }
  Round& round = rounds_[word.index];
  if (round.size() >= kReportsMax && !round.contains(replica)) return;
  round[replica] = {word.digest, false};
}

std::optional<uint64_t> Digests::of(raft::ReplicaId replica, raft::Index index) const {
  auto round = rounds_.find(index);
  if (round == rounds_.end()) return {};
  auto report = round->second.find(replica);
  if (report == round->second.end()) return {};
  return report->second.digest;
}

Digests::Verdict Digests::judge(raft::Index index,
                                const std::vector<raft::ReplicaId>& voters) const {
  std::map<uint64_t, size_t> votes;
  size_t spoken = 0;
  for (raft::ReplicaId voter : voters) {
    auto digest = of(voter, index);
    if (!digest) continue;
    ++spoken;
    if (2 * ++votes[*digest] > voters.size()) return {*digest, false};
  }
  return {{}, spoken == voters.size() && spoken > 0};
}

std::vector<std::pair<raft::ReplicaId, bool>> Digests::takeUntold(raft::Index index,
                                                                  uint64_t digest) {
  std::vector<std::pair<raft::ReplicaId, bool>> untold;
  auto round = rounds_.find(index);
  if (round == rounds_.end()) return untold;
  for (auto& [replica, report] : round->second) {
    if (std::exchange(report.told, true)) continue;
    untold.emplace_back(replica, report.digest == digest);
  }
  return untold;
}

}  // namespace flotilla::group
