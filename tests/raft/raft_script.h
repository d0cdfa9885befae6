// The words of tests/raft/scripts: one or several cores, their disks and the messages between them.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "tests/raft/fleet.h"
#include "tests/support/script.h"

namespace flotilla::test {

// A script begins with its cores:
//
//   core 1 voters=1,2,3 [learners=4] [term=2] [vote=1] [commit=1] [log=1,1,2] [base=10@1]
//   [outgoing=]
//          log=: the term of each entry after the base
//   cores 1 2 3 [voters=1,2,3] …   the same for each
//     options: disk=hand|auto (hand for one core, auto for several: writes end at once),
//     preVote=off, checkQuorum=off, leaseReads, lazyCommit, quietTicks=, settledTicks=,
//     priority=, electionTicks=,
//     uncommittedBytesMax=, inflightMax=, …
//
// and goes on, N a replica:
//
//   tick N [times=] [busy]
//   wake N    campaign N    crash N    state [N]    pool
//   propose N [id=] [bytes=]
//   configure N voters= [learners=]
//   read N id=    transfer N [to=]    compact N to=
//   unreachable N peer=    persisted N [write=]
//   installed N [no]    sent N to= at=INDEX@TERM [no]
//   receive N KIND from= term= [after=] [last=] [hint=] [commit=] [index=] [context=]
//             [to=LAST@TERM,…] [voters=] [outgoing=] [learners=] [at=INDEX] [granted] [force]
//             [bytes=]
//   deliver | repeat | drop [from=] [to=] [kind=] [count=] [backwards]   of what is in the pool
//   cut N M   heal    what crosses a cut is lost
//   stabilize         delivers, persists, sends snapshots until nothing more happens
//   time ticks= [count=KIND]   so many ticks of every core, stabilized after each
//
// Owner:  a test, one a script.
// Thread: one.
// Errors: a word it does not know is a doctest failure.
class RaftScript {
public:
  RaftScript();
  std::string run(const Command& command);

private:
  using Word = std::function<void(const Command&)>;

  void addCore(const Command& command, raft::ReplicaId self);
  void addInputWords();
  void addWorldWords();
  void take(raft::ReplicaId replica, const raft::Input& input);
  void show(raft::ReplicaId replica, const raft::Effects& effects);
  void showChanges();
  std::string status(raft::ReplicaId replica) const;
  void persistAll(raft::ReplicaId replica);
  bool crossesCut(const raft::Message& message) const;
  void deliver(const Command& command, bool keep, bool lose);
  bool settleOnce();
  void settle();
  raft::Message forged(const Command& command) const;
  void showState(raft::ReplicaId replica);

  std::map<std::string, Word> words_;
  Fleet fleet_;
  bool auto_ = false;   // writes end at once
  bool quiet_ = false;  // only reads' ends and changed states are shown
  std::set<std::pair<raft::ReplicaId, raft::ReplicaId>> cuts_;
  std::map<raft::ReplicaId, std::string> shown_;
  std::map<std::string, size_t> sent_;  // kinds, since the last `time`
  std::string out_;
};

}  // namespace flotilla::test
