// Queries on their way: to a read index, to the machine, to their callers.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "host/base/fifo.h"
#include "host/group/ports.h"
#include "host/raft/types.h"

namespace flotilla::group {

// All linearizable queries of a turn share one read index. Once it is known they wait until entries
// up to it have been handed to the machine, which takes requests in order; then they follow them.
//
// Owner:  Group; refers to Callers and Machines.
// Thread: its owner's.
// Errors: none.
// Time:   in ticks.
class Questions {
public:
  Questions(Callers& callers, Machines& machines) : callers_(callers), machines_(machines) {}

  // One linearizable query more for this turn.
  void gather(CallId caller, Call call) { gathered_.push_back({caller, std::move(call)}); }
  bool gathered() const { return !gathered_.empty() && rounds_.size() < kRoundsMax; }
  // What is gathered now waits for this read.
  void ask(raft::ReadId read, uint64_t until);
  // The read's end. Not ok: those who waited for it are answered with `refusal`.
  void ready(const raft::ReadReady& read, const Outcome& refusal);
  bool asked() const { return !rounds_.empty(); }  // some wait for a read, or for entries
  // Hands to the machine what waits for entries up to `fed` at most.
  void release(raft::Index fed, uint64_t generation, uint64_t until);
  // Straight to the machine, whatever it has applied.
  void submit(CallId caller, Call call, uint64_t generation, uint64_t until);

  void queried(Queried queried);
  void expire(uint64_t tick);
  uint64_t nextUntil() const;  // when there may first be something to expire
  void answerAll(const Outcome& outcome);
  void rest();  // gives memory back that is kept for the next ones

  uint64_t count() const;

private:
  static constexpr size_t kRoundsMax = 64;  // then a turn's queries join the next one's

  struct Question {
    CallId caller = 0;
    Call call;
  };
  struct Round {
    raft::ReadId read = 0;
    uint64_t until = 0;
    raft::Index index = 0;
    bool known = false;  // the index is
    std::vector<Question> questions;
  };
  struct AtMachine {
    CallId caller = 0;  // 0: answered already
    uint64_t until = 0;
  };
  void answerRound(Round& round, const Outcome& outcome);

  Callers& callers_;
  Machines& machines_;
  std::vector<std::vector<Question>> spare_;
  uint64_t firstNumber_ = 1;

  // What each turn looks at.
  std::vector<Question> gathered_;
  base::Fifo<Round> rounds_;
  base::Fifo<AtMachine> atMachine_;  // the machine knows them by number, from firstNumber_ on
  uint64_t waitingRounds_ = 0;       // questions in rounds_
  uint64_t waitingAtMachine_ = 0;    // questions in atMachine_ not yet answered
};

}  // namespace flotilla::group
