// What must hold at every step of a simulated world.
#include "tests/sim/judge.h"

#include <algorithm>
#include <utility>

#include "host/base/checksum.h"
#include "host/group/appends.h"
#include "host/group/entry.h"
#include "host/raft/describe.h"
#include "host/raft/membership.h"
#include "host/raft/quorum.h"

namespace flotilla::sim {
namespace {

std::string at(raft::Index index) {
  return std::to_string(index);
}

}  // namespace

std::string nameOf(group::ReplicaKey replica) {
  return "g" + std::to_string(replica.group) + " n" + std::to_string(replica.replica);
}

void Judge::fail(const std::string& who, const std::string& what) {
  if (verdict_) return;
  verdict_ = "at " + std::to_string(events_.nowUs()) + " us: " + who + ": " + what;
}

void Judge::founded(uint64_t group, raft::Configuration configuration) {
  facts(group).configurations[0] = std::move(configuration);
}

// A new process: what it had promised must still be there, what it had not may be gone.
void Judge::started(group::ReplicaKey replica, const group::ReplicaState& state) {
  Seen& seen = seen_[replica];
  seen = {};
  seen.term = state.hard.term;
  for (const auto& [vote, to] : facts(replica.group).votes) {
    if (vote.first != replica.replica || vote.second != state.hard.term) continue;
    if (state.hard.vote != to) {
      fail(nameOf(replica), "voted for n" + std::to_string(to) + " in term " +
                                std::to_string(vote.second) + " and has forgotten it");
    }
  }
}

// ---- the log -----------------------------------------------------------------------------------

void Judge::writes(group::ReplicaKey replica, const group::DiskWrite& write) {
  const raft::LogShape& shape = write.state.shape;
  raft::Index index = write.entries.empty() ? 0 : write.entries.front().index;
  for (const group::LogEntry& entry : write.entries) {
    if (entry.index != index++) return fail(nameOf(replica), "writes entries with a gap");
    checkEntry(replica, entry, shape);
  }
  if (!write.entries.empty() && index != shape.lastIndex() + 1) {
    fail(nameOf(replica),
         "writes entries up to " + at(index - 1) + ", its log ends at " + at(shape.lastIndex()));
  }
}

// Log matching (Raft paper, figure 3): an index and a term name one entry, and one predecessor.
void Judge::checkEntry(group::ReplicaKey replica, const group::LogEntry& entry,
                       const raft::LogShape& shape) {
  if (shape.termAt(entry.index) != entry.term) {
    return fail(nameOf(replica),
                "writes entry " + at(entry.index) + " of another term than its log");
  }
  uint64_t checksum = base::checksum(entry.payload.view(), entry.term);
  raft::Term before = shape.termAt(entry.index - 1).value_or(0);
  auto [known, fresh] =
      facts(replica.group).written.insert({{entry.index, entry.term}, {checksum, before}});
  if (known->second.checksum != checksum) {
    return fail(nameOf(replica), "entry " + at(entry.index) + " of term " +
                                     std::to_string(entry.term) + " differs between logs");
  }
  if (known->second.before != before) {
    return fail(nameOf(replica), "logs agree at " + at(entry.index) + " and not before it");
  }
  group::EntryGlance glance;
  if (!group::glanceAtEntry(entry.payload.view(), glance)) {
    return fail(nameOf(replica), "writes an entry that cannot be read");
  }
  const raft::ConfigurationAt& inForce = shape.configurationAt(entry.index);
  bool carries = inForce.index == entry.index;
  if (carries != glance.isConfiguration ||
      (carries && inForce.configuration != glance.configuration)) {
    fail(nameOf(replica), "the configuration at " + at(entry.index) + " is not its entry's");
  }
  // The step that writes it may also have committed what makes it right.
  if (carries) changes_.push_back({replica, shape.configurationAt(entry.index - 1).index, entry});
}

// One change at a time, and none before the leader knows what is committed (the bug of the
// dissertation's 4.1); so a joint configuration is left only once it is committed.
void Judge::lookAtChanges() {
  for (const Change& change : std::exchange(changes_, {})) {
    const std::vector<GroupFacts::Committed>& committed = facts(change.replica.group).committed;
    std::string what = "changes members at " + at(change.entry.index);
    if (change.before > committed.size()) {
      return fail(nameOf(change.replica),
                  what + " while the change at " + at(change.before) + " is not committed");
    }
    auto ofTerm = std::lower_bound(
        committed.begin(), committed.end(), change.entry.term,
        [](const GroupFacts::Committed& it, raft::Term term) { return it.term < term; });
    if (ofTerm != committed.end() && ofTerm->term == change.entry.term) continue;
    fail(nameOf(change.replica),
         what + " before anything of term " + std::to_string(change.entry.term) + " is committed");
  }
}

// ---- promises ----------------------------------------------------------------------------------

void Judge::sends(const group::PeerMessage& message) {
  const raft::Message& it = message.message;
  group::ReplicaKey from{message.group, it.from};
  using Kind = raft::MessageKind;
  bool votes = it.kind == Kind::vote || (it.kind == Kind::voteReply && it.granted);
  bool acknowledges = it.kind == Kind::appendReply && it.granted;
  if (it.kind == Kind::append && !it.runs.empty() && !group::matchesRuns(message.entries, it)) {
    return fail(nameOf(from), "sends other entries than its append names: " + raft::describe(it));
  }
  if (!votes && !acknowledges) return;
  const Stored* safe = safeAt_(from);
  if (safe == nullptr || safe->state.hard.term < it.term) {
    return fail(nameOf(from), "says " + raft::describe(it) + " before that term is on its disk");
  }
  if (votes) {
    raft::ReplicaId to = it.kind == Kind::vote ? it.from : it.to;
    auto [known, fresh] = facts(message.group).votes.insert({{it.from, it.term}, to});
    if (known->second != to) {
      return fail(nameOf(from), "votes for n" + std::to_string(known->second) + " and n" +
                                    std::to_string(to) + " in term " + std::to_string(it.term));
    }
    bool kept = safe->state.hard.term > it.term || safe->state.hard.vote == to;
    if (!kept) fail(nameOf(from), "votes before its vote is on its disk");
  } else if (safe->state.shape.lastIndex() < it.index) {
    fail(nameOf(from), "acknowledges " + at(it.index) + ", its disk ends at " +
                           at(safe->state.shape.lastIndex()));
  }
}

void Judge::sendsSnapshot(group::ReplicaKey from, const raft::Message& head) {
  const GroupFacts& known = facts(from.group);
  auto after = known.configurations.upper_bound(head.after.index);
  if (head.after.index == 0 || head.after.index > known.committed.size()) {
    return fail(nameOf(from), "sends a snapshot of what is not committed");
  }
  if (head.configurations.size() != 1 ||
      head.configurations.front().configuration != std::prev(after)->second) {
    fail(nameOf(from), "sends a snapshot at " + at(head.after.index) +
                           " with another configuration than the one in force there");
  }
}

// ---- each step ---------------------------------------------------------------------------------

void Judge::look(group::ReplicaKey replica, const group::Group& group) {
  const raft::Core& core = group.core();
  Seen& seen = seen_[replica];
  bool leads = core.role() == raft::Role::leader;
  if (core.term() < seen.term) fail(nameOf(replica), "its term goes back");
  if (core.commit() < seen.commit) fail(nameOf(replica), "its commit index goes back");
  bool started = leads && (!seen.leads || core.term() != seen.term);
  if (started) lookAtLeader(replica, core);
  if (core.commit() > seen.commit) lookAtCommit(replica, core, seen.commit);
  bool out = leads && core.shape().latestConfiguration().index <= core.commit() &&
             !raft::isVoter(core.configuration(), replica.replica);
  if (out) fail(nameOf(replica), "leads, and its removal is committed");
  if (!changes_.empty()) lookAtChanges();
  if (group.appliedIndex() < seen.applied && seen.applied != 0) {
    // A faulted machine that is built anew begins behind.
    if (group.status().generation == seen.generation) fail(nameOf(replica), "applied goes back");
  }
  if (group.appliedIndex() > core.commit() || core.commit() > core.shape().lastIndex()) {
    // What the machine holds beyond the log is known lost: such a replica is mute.
    if (!group.status().mute) fail(nameOf(replica), "applied, commit and last are out of order");
  }
  raft::Index quarantinedAt = group.quarantinedAt();
  if (quarantinedAt != 0 && seen.quarantinedAt == 0) {
    ++report_[Count::quarantines];
    if (facts(replica.group).strays.empty()) {
      fail(nameOf(replica), "is quarantined at " + at(quarantinedAt) + ", and nobody is astray");
    }
  }
  seen.quarantinedAt = quarantinedAt;
  if (group.appliedIndex() != seen.applied) seen.generation = group.status().generation;
  seen.term = core.term();
  seen.commit = core.commit();
  seen.applied = group.appliedIndex();
  seen.leads = leads;
}

void Judge::lookAtLeader(group::ReplicaKey replica, const raft::Core& core) {
  ++report_[Count::elections];
  GroupFacts& known = facts(replica.group);
  auto [leader, fresh] = known.leaders.insert({core.term(), replica.replica});
  if (leader->second != replica.replica) {
    return fail(nameOf(replica), "leads term " + std::to_string(core.term()) + ", and so does n" +
                                     std::to_string(leader->second));
  }
  auto votes = [&](raft::ReplicaId voter) {
    auto vote = known.votes.find({voter, core.term()});
    return voter == replica.replica ||
           (vote != known.votes.end() && vote->second == replica.replica);
  };
  if (!raft::quorumAgrees(core.configuration(), votes)) {
    return fail(nameOf(replica),
                "leads term " + std::to_string(core.term()) + " without the votes of a quorum");
  }
  // Leader completeness: all that was committed in earlier terms is in its log.
  for (raft::Index index = core.shape().firstIndex(); index <= known.committed.size(); ++index) {
    const GroupFacts::Committed& entry = known.committed[index - 1];
    if (entry.inTerm >= core.term()) break;
    if (core.shape().termAt(index) != entry.term) {
      return fail(nameOf(replica), "leads term " + std::to_string(core.term()) +
                                       " without committed entry " + at(index));
    }
  }
}

void Judge::countChange(group::ReplicaKey replica, const raft::Core& core,
                        const raft::Configuration& before, const raft::Configuration& now) {
  ++report_[Count::membershipChanges];
  if (now.joint()) {
    ++report_[Count::joints];
    return;
  }
  size_t voters = before.joint() ? before.outgoing.size() : before.voters.size();
  if (voters >= now.voters.size() + 2) ++report_[Count::shrinks];
  if (now.voters.size() >= voters + 2) ++report_[Count::grows];
  auto leader = facts(replica.group).leaders.find(core.term());
  bool led = leader != facts(replica.group).leaders.end() &&
             raft::isVoter(before, leader->second) && !raft::isVoter(now, leader->second);
  if (led) ++report_[Count::leadersRemoved];
}

void Judge::lookAtCommit(group::ReplicaKey replica, const raft::Core& core, raft::Index since) {
  GroupFacts& known = facts(replica.group);
  const raft::LogShape& shape = core.shape();
  for (raft::Index index = std::max(since + 1, shape.firstIndex()); index <= core.commit();
       ++index) {
    raft::Term term = *shape.termAt(index);
    if (index <= known.committed.size()) {
      if (known.committed[index - 1].term != term) {
        return fail(nameOf(replica), "commits entry " + at(index) + " of term " +
                                         std::to_string(term) + ", which was committed as one of " +
                                         std::to_string(known.committed[index - 1].term));
      }
      continue;
    }
    if (index != known.committed.size() + 1) {
      return fail(nameOf(replica), "commits past what any leader has committed");
    }
    known.committed.push_back({term, core.term(), 0});
    const raft::ConfigurationAt& carries = shape.configurationAt(index);
    if (carries.index == index) {
      countChange(replica, core, known.committedConfiguration(), carries.configuration);
      known.configurations[index] = carries.configuration;
    }
    auto holds = [&](raft::ReplicaId member) {
      const Stored* safe = safeAt_({replica.group, member});
      if (safe == nullptr) return false;
      const raft::LogShape& its = safe->state.shape;
      return its.base().index >= index || its.termAt(index) == term;
    };
    if (!raft::quorumAgrees(core.configuration(), holds)) {
      return fail(nameOf(replica), "entry " + at(index) +
                                       " is committed, and a crash of all hosts "
                                       "now would lose it");
    }
  }
}

}  // namespace flotilla::sim
