// One replica's part in one Raft group.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "host/base/prefetch.h"
#include "host/base/prng.h"
#include "host/raft/effects.h"
#include "host/raft/entry_sizes.h"
#include "host/raft/holdback.h"
#include "host/raft/input.h"
#include "host/raft/log_shape.h"
#include "host/raft/progress.h"
#include "host/raft/read_queue.h"
#include "host/raft/types.h"

namespace flotilla::raft {

struct CoreConfig {
  ReplicaId self = 0;
  uint64_t seed = 0;            // of this core alone; another at each start of the process
  uint32_t electionTicks = 10;  // a follower stands after this long to twice as long in silence
  uint32_t heartbeatTicks = 1;
  // After an entry that all were sent, and take, there is no heartbeat for so long; at least
  // heartbeatTicks, at most a quarter of electionTicks.
  uint32_t quietTicks = 0;
  // The same while all have taken all there is, so that nothing can be lost on its way; at least
  // quietTicks, at most half of electionTicks.
  uint32_t settledTicks = 0;
  uint32_t appendEntriesMax = 256;          // entries of one append
  uint64_t appendBytesMax = 1 << 20;        // bytes of one append, its first entry excepted
  uint32_t inflightMax = 1024;              // entries on their way to one peer
  uint64_t inflightBytesMax = 16 << 20;     // bytes on their way to one peer
  uint64_t uncommittedBytesMax = 64 << 20;  // beyond it proposals are refused as `full`
  uint32_t promotionLagMax = 256;           // entries a learner may be behind to become a voter
  bool preVote = true;
  bool checkQuorum = true;
  // The leader answers reads from a lease, which holds while all clocks of the group run at rates
  // within leaseDriftPermille of each other. Wants checkQuorum on every replica, and a caller that
  // has handed in all Ticks that are due, or has passed them, before it hands in a Read; or says
  // doubtLease where it cannot.
  bool leaseReads = false;
  uint32_t leaseDriftPermille = 100;
  uint32_t leaseLateTicks = 0;  // by so many the caller's Ticks may be late without doubtLease
  // After so long without anything to do, a group whose voters all have everything falls asleep: no
  // heartbeats, no lease, no Ticks wanted. Whoever runs it must then give Wake where the leader's
  // host may be gone, or may not know of the sleep. 0: never.
  uint32_t sleepTicks = 0;
  // After the start it waits so much longer to stand: many groups of one host then have time to be
  // led by those who are to stand first.
  uint32_t patienceTicks = 0;
  // Who has every entry hears of a new commit with the next one, and not at once: under load half
  // of all messages. Where none comes, a heartbeat tells of it, or the tenth Tick after the newest;
  // the next Tick where somebody has said that he waits for commits. Who asks in order to read
  // hears of it before the answer.
  bool lazyCommit = false;
  uint32_t priority = 100;  // 0 to 100: waits (100 - priority) % of electionTicks longer to stand
};

// The whole of Raft's judgement, and nothing else: a step takes one input and says what it wants
// done. A core reads no clock, touches no file, sends nothing, logs nothing and starts no thread,
// so the same inputs always give the same effects. That is what lets a simulator run a cluster in
// one process and replay any failure from its seed.
//
// The disk is one more party that answers by message: a step may ask for a Write, and learns of
// its end by Persisted. A vote or an acknowledgement waits inside the core until the writes
// before it are safe, so whoever carries out Effects has no order to keep.
//
// Owner:  group::Group, one core each.
// Thread: whichever holds the group; never two at once.
// Errors: none. Whatever a peer can send is handled, stale and repeated messages included; what
//         only a bug in this process can bring about is ASSERTed.
// Time:   in ticks. How long a tick lasts is the caller's business.
class Core {
public:
  // As read from disk; a replica that was never written is {} and an empty shape, or, where it
  // founds its group, LogShape({}, configuration). `logBytes`: of the log's entries together.
  Core(const CoreConfig& config, HardState hard, LogShape shape, uint64_t logBytes = 0);

  // Takes one input and adds what it calls for to `effects`, which the caller hands in empty.
  void step(const Input& input, Effects& effects);
  // So many Ticks from now on, `busy` or not as the last one was, would change nothing but the
  // time, if nothing else came: they may be left out. With the next input they have to be made up
  // for: by Tick::passed, or pass() before it. One that was due all the same is not lost: what it
  // calls for comes with the next.
  uint64_t spareTicks() const;
  void pass(uint64_t ticks);
  // Time has passed that no tick tells of, as where the process was stopped: what has been asked of
  // the others until now proves no lease any more.
  void doubtLease() { doubtedRound_ = round_; }

  Role role() const { return role_; }
  Term term() const { return hard_.term; }
  ReplicaId self() const { return config_.self; }
  ReplicaId leader() const { return leader_; }  // 0 while none is known
  Index commit() const { return hard_.commit; }
  Index applicable() const { return apply_; }  // Effects::apply as of the last step
  const HardState& hard() const { return hard_; }
  const LogShape& shape() const { return shape_; }
  // In force as soon as it is in the log, committed or not.
  const Configuration& configuration() const { return shape_.latestConfiguration().configuration; }
  bool leads(Term term) const { return role_ == Role::leader && hard_.term == term; }
  bool asleep() const { return asleep_; }  // Ticks change nothing until an input wakes it
  // Awake, we have called our leader and not heard of it since.
  bool callsLeader() const { return calling_ && !asleep_; }
  ReplicaId transferee() const { return transferee_; }  // 0: no transfer is under way
  uint64_t uncommittedBytes() const;
  std::vector<PeerProgress> progress() const;  // of all members but ourselves; empty unless leading

  // Where what most steps read of the core itself ends, for who fetches it; it begins with the
  // core.
  const void* endOfOften() const { return &transferUntil_; }
  // What most steps read beside that, where it has been fetched; then what that names.
  void prefetch() const {
    for (const Progress& peer : progress_) base::prefetch(peer);
    shape_.prefetch();
    sizes_.prefetch();
  }
  void prefetchDeep() const { shape_.prefetchDeep(); }

private:
  // How a candidate stands: of itself, or at the leader's request, which no lease refuses.
  enum class Stand { asked, forced };

  // core.cc: each input's door, terms, and the end of a step
  void on(const Tick& tick, Effects& effects);
  void on(const Receive& receive, Effects& effects);
  void on(const Propose& propose, Effects& effects);
  void on(const ProposeConfiguration& propose, Effects& effects);
  void on(const Persisted& persisted, Effects& effects);
  void on(const Read& read, Effects& effects);
  void on(const Transfer& transfer, Effects& effects);
  void on(const Compact& compact, Effects& effects);
  void on(const Installed& installed, Effects& effects);
  void on(const SnapshotSent& sent, Effects& effects);
  void on(const Unreachable& unreachable, Effects& effects);
  void on(const Wake& wake, Effects& effects);
  void on(const Campaign& campaign, Effects& effects);
  bool agreeOnTerm(const Message& message, Effects& effects);
  void answerOldTerm(const Message& message, Effects& effects);
  void dispatch(const Receive& receive, Effects& effects);
  void enterTerm(Term term, Effects& effects);
  void becomeFollower(ReplicaId leader, Effects& effects);
  void finish(Effects& effects);
  Message message(MessageKind kind, ReplicaId to) const;
  void hold(Message message, Index log = 0);
  void releaseHeld(Effects& effects);
  void entriesChanged(Index from);

  // follower.cc
  bool hearLeader(ReplicaId leader, Effects& effects);
  void onAppend(const Receive& receive, Effects& effects);
  Index agreedUpTo(LogPoint after, const std::vector<TermRun>& runs) const;
  void takeEntries(const Receive& receive, Index agreed);
  void refuseAppend(const Message& message);
  void acknowledge(ReplicaId to, Index match);
  void onHeartbeat(const Message& message, Effects& effects);
  void onSnapshot(const Message& message, Effects& effects);
  void onRemoved(Effects& effects);

  // candidate.cc
  bool mayStand() const;
  bool inLease() const;
  void resetElectionTimer();
  void campaign(Stand stand, Effects& effects);
  void becomeCandidate(Stand stand, Effects& effects);
  void askForVotes(Stand stand, Effects& effects);
  void onPreVote(const Message& message, Effects& effects);
  void stepBackFor(const Message& ask, Effects& effects);
  void onVote(const Message& message, Effects& effects);
  void onVoteReply(const Message& message, Effects& effects);
  void countVote(ReplicaId voter, bool granted, Effects& effects);
  void onTimeoutNow(const Message& message, Effects& effects);
  bool upToDate(LogPoint last) const;

  // leader.cc
  void becomeLeader(Effects& effects);
  void tickLeader(Effects& effects);
  uint64_t quietUntil() const;
  void endQuiet();
  LogPoint appendOwn(uint64_t bytes);
  void onAppendReply(const Message& message, Effects& effects);
  void onRefusal(Progress& peer, const Message& message, Effects& effects);
  void onHeartbeatReply(const Message& message, Effects& effects);
  void ownLogSafe(Effects& effects);
  void advanceCommit(Effects& effects);
  void stepDown(Effects& effects);
  ReplicaId furthestVoter() const;
  void sendTimeoutNow(ReplicaId to, Effects& effects);

  // replication.cc: what a leader sends
  Progress* find(ReplicaId replica);
  const Progress* find(ReplicaId replica) const;
  void sendAll(Effects& effects);
  void sendTo(Progress& peer, Effects& effects);
  void tellCommit(Progress& peer, Effects& effects);
  void tellCommits(Effects& effects);
  bool wantsSnapshot(Progress& peer, Effects& effects) const;
  bool sendMore(Progress& peer, Effects& effects);
  void sendAppend(Progress& peer, Index last, Effects& effects);
  Index lastToSend(const Progress& peer) const;

  // reads.cc
  void beginRound(Effects& effects);
  Message heartbeatFor(const Progress& peer) const;
  void addRead(WaitingRead read, Effects& effects);
  void confirmReads(Effects& effects);
  uint64_t quorumRound() const;
  bool leaseHolds() const;
  void onReadIndex(const Message& message, Effects& effects);
  void onReadIndexReply(const Message& message, Effects& effects);
  void answerRead(const WaitingRead& read, bool ok, Effects& effects);
  void failReads(Effects& effects);
  void expireReads(Effects& effects);

  // sleep.cc
  void stir(Effects& effects);
  void rest();
  bool restful() const;
  bool mayRest(const Message& heartbeat) const;
  void considerSleep(Effects& effects);
  void wakeUp(Effects& effects);
  bool disturbs(const Message& message) const;
  void callLeader(Effects& effects);

  // reconfiguration.cc
  std::optional<RefusedWhy> refusalOf(const Configuration& wanted) const;
  void appendConfiguration(Configuration configuration, Effects& effects);
  void alignProgress();
  void leaveJoint(Effects& effects);
  bool tellRemoved(const Message& message, Effects& effects) const;

  struct Vote {
    ReplicaId voter = 0;
    bool granted = false;
  };

  // Of a thousand busy groups none is in a cache: what most steps read lies together.
  const CoreConfig config_;
  base::Prng prng_;
  HardState hard_;
  LogShape shape_;
  Role role_ = Role::follower;
  bool hardChanged_ = false;  // term or vote, since the last write
  bool baseChanged_ = false;  // the log's beginning, since the last write
  bool logReset_ = false;     // by a snapshot, since the last write
  bool heard_ = false;        // a leader has been heard of, at heardAt_
  bool asleep_ = false;
  bool busy_ = false;     // as of the last Tick
  bool calling_ = false;  // awake without word from our leader, we ask it for a sign of life
  ReplicaId leader_ = 0;
  Index apply_ = 0;
  Holdback holdback_;
  Index changedFrom_ = 0;                // entries from here on, since the last write; 0: none
  std::unique_ptr<Install> installing_;  // the log stands still until Installed
  uint64_t now_ = 0;                     // ticks since the start
  uint64_t electionAt_ = 0;              // when we stand, unless something is heard
  uint64_t heardAt_ = 0;                 // no vote within electionTicks of it, but a forced one
  ReadQueue reads_;
  EntrySizes sizes_;

  // A leader's.
  std::vector<Progress> progress_;  // all members and ourselves, sorted
  uint64_t heartbeatAt_ = 0;
  uint64_t quorumCheckAt_ = 0;
  uint64_t tellCommitsAt_ = 0;  // lazyCommit: a peer is to be told by then; 0: none is
  uint64_t stirredAt_ = 0;      // when there was last something to do
  uint64_t restRound_ = 0;  // the first round since then that asked whether all may rest; 0: none
  ReplicaId transferee_ = 0;

  // What few steps read.
  uint64_t transferUntil_ = 0;
  Index termStart_ = 0;        // our no-op
  uint64_t round_ = 0;         // the last heartbeat round begun: tick << 16 | number in it
  uint64_t doubtedRound_ = 0;  // this and older ones prove no lease
  bool leaseOff_ = false;      // a timeoutNow of this term is out: votes may break the lease
  std::vector<Vote> votes_;
  uint64_t callAt_ = 0;      // when we ask our leader again
  uint64_t heardRound_ = 0;  // the newest round heard of from leader_
};

}  // namespace flotilla::raft
