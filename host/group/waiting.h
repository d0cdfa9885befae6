// Callers whose commands are in the log and not yet decided.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "host/base/fifo.h"
#include "host/base/prefetch.h"
#include "host/group/meters.h"
#include "host/group/ports.h"
#include "host/raft/types.h"

namespace flotilla::group {

// Builds what a refused or undecided caller is told.
Outcome failure(ErrorCode code, std::string_view text);

// One batch an entry, ordered by index; batches of several terms may wait at one index until what
// stands there is committed. The entry of the batch's own term: its commands were executed.
// Another: they never will be.
//
// Owner:  Group; refers to Callers.
// Thread: its owner's.
// Errors: none.
// Time:   in ticks; microseconds of the monotonic clock for what is metered.
class Waiting {
public:
  explicit Waiting(Callers& callers) : callers_(callers) {}

  struct Batch {
    raft::LogPoint point{};
    uint64_t until = 0;             // the tick at which it is given up
    uint64_t bytes = 0;             // of its commands
    std::vector<CallId> callers{};  // by ordinal; 0: nobody waits
    int64_t madeUs = 0;             // when its entry was; 0: not to be metered
  };

  void add(Batch batch);

  // These committed entries are about to be applied: batches of other terms at their indices are
  // answered with notLeader, for they are certainly not executed. True where somebody waits for one
  // of the entries.
  bool decide(const std::vector<LogEntry>& committed, raft::ReplicaId leader,
              Metering metering = {});
  // Entries up to `applied.index` have been applied: gives out their answers. Who waits there still
  // has an `undecided` outcome.
  void answer(Applied& applied, const Outcome& undecided, Metering metering = {});
  // Entries up to `index` were replaced by a snapshot: what became of them is not known here.
  void passed(raft::Index index, const Outcome& undecided);
  void expire(uint64_t tick);
  // When there may first be something to expire.
  uint64_t nextUntil() const {
    return batches_.empty() ? std::numeric_limits<uint64_t>::max() : batches_.front().until;
  }
  void answerAll(const Outcome& outcome);
  void rest();  // gives memory back that is kept for the next ones
  void prefetch() const {
    if (!batches_.empty()) base::prefetch(batches_.front());
  }

  uint64_t count() const { return count_; }
  uint64_t bytes() const { return bytes_; }

private:
  void answerBatch(Batch& batch, const Outcome& outcome);
  void drop(size_t place);

  Callers& callers_;
  base::Fifo<Batch> batches_;
  uint64_t count_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace flotilla::group
