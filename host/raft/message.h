// What replicas of one group say to each other.
#pragma once

#include <cstdint>
#include <vector>

#include "host/raft/types.h"

namespace flotilla::raft {

enum class MessageKind : uint8_t {
  preVote,         // last
  preVoteReply,    // granted
  vote,            // last, force
  voteReply,       // granted
  append,          // after, runs, configurations, commit
  appendReply,     // granted: index = match; refused: index = after.index, hint;
                   // force, put in by a Group: somebody here waits for commits
  heartbeat,       // commit, context, index = last; granted: may you rest? force: sleep now
  heartbeatReply,  // context, index = last; granted: nothing keeps us from sleeping
  snapshot,        // after = the snapshot's last point, configurations = its configuration;
                   // force: it was asked for, by a Group
  timeoutNow,      // leader transfer: stand for election at once
  readIndex,       // context = ReadId of the asker
  readIndexReply,  // context, index; granted=false: not leading, ask again
  removed,         // "you are not in the group any more", to one that campaigns after removal
  wake,            // to the leader of one's sleep: give a sign of life
  // Between Groups; a core lets them pass.
  digest,         // to the leader: context = our digest at index
  digestVerdict,  // context = what a majority has at index; granted: so have you
  snapshotAsk,    // send me a snapshot, of index or later
};

constexpr MessageKind kLastMessageKind = MessageKind::snapshotAsk;

// One message. Fields that a kind does not name above are 0. A message carries the shape of
// entries, never their bytes: Group fills an append before it leaves, and strips it on arrival.
struct Message {
  MessageKind kind = MessageKind::heartbeat;
  ReplicaId from = 0;
  ReplicaId to = 0;
  Term term = 0;   // the sender's; a preVote carries the term it would stand in
  LogPoint after;  // append: entries follow this point; snapshot: its last point
  LogPoint last;   // vote, preVote: the candidate's last entry
  LogPoint hint;   // refused appendReply: the refuser's best guess where the logs agree
  Index commit = 0;
  Index index = 0;
  uint64_t context = 0;  // heartbeat and readIndex: which round or read is meant
  bool granted = false;
  bool force = false;  // as above; vote: at the leader's own request, so a lease does not refuse it
  std::vector<TermRun> runs;                    // append: the entries' terms; empty is a probe
  std::vector<ConfigurationAt> configurations;  // append: those among the entries

  Index lastOfRuns() const { return runs.empty() ? after.index : runs.back().last; }
  bool operator==(const Message&) const = default;
};

}  // namespace flotilla::raft
