// Who waits for which call.
#pragma once

#include <cstdint>
#include <vector>

#include <kj/async.h>
#include <kj/refcount.h>

#include "host/base/assert.h"
#include "host/group/ports.h"
#include "host/runtime/answer_budget.h"

namespace flotilla::runtime {

// The calls of one request, which are answered together, within an AnswerBudget. No promise a call.
//
// Owner:  shared by the calls that still wait.
// Thread: the loop's.
// Errors: none.
class CallBatch : public kj::Refcounted {
public:
  CallBatch(CallKind kind, std::size_t calls, AnswerShare share)
      : calls_(calls), waiting_(calls), budget_(kind, calls, kj::mv(share)) {}

  void answer(uint32_t place, group::Outcome outcome) {
    ASSERT(waiting_ != 0);
    budget_.fit(outcome);
    if (outcomes_.empty()) outcomes_.resize(calls_);
    outcomes_[place] = std::move(outcome);
    if (--waiting_ == 0) ended(std::move(outcomes_));
  }

private:
  // Called once, from inside the last call's answer.
  virtual void ended(std::vector<group::Outcome> outcomes) = 0;

  const std::size_t calls_;
  std::vector<group::Outcome> outcomes_;  // none while all wait
  std::size_t waiting_;
  AnswerBudget budget_;
};

// One that a promise waits for.
//
// Owner:  shared by the calls that still wait.
// Thread: the loop's.
// Errors: none; a promise that was dropped is not told.
class AwaitedBatch final : public CallBatch {
public:
  AwaitedBatch(CallKind kind, std::size_t calls,
               kj::Own<kj::PromiseFulfiller<std::vector<group::Outcome>>> end,
               AnswerShare share = {})
      : CallBatch(kind, calls, kj::mv(share)), end_(kj::mv(end)) {}

private:
  void ended(std::vector<group::Outcome> outcomes) override { end_->fulfill(std::move(outcomes)); }

  kj::Own<kj::PromiseFulfiller<std::vector<group::Outcome>>> end_;
};

// Gives each call a CallId and brings its answer home. Slots are used again; an id carries its
// slot's round, so an answer that comes twice finds nobody.
//
// Owner:  Host's parts; outlives every Group.
// Thread: the loop's.
// Errors: none.
class CallTable final : public group::Callers {
public:
  group::CallId add(kj::Own<CallBatch> batch, uint32_t place) {
    uint32_t slot;
    if (free_.empty()) {
      slot = static_cast<uint32_t>(slots_.size());
      slots_.emplace_back();
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    Slot& it = slots_[slot];
    it.batch = kj::mv(batch);
    it.place = place;
    return (static_cast<uint64_t>(it.round) << 32) | (slot + 1ULL);
  }

  void answer(group::CallId call, group::Outcome outcome) override {
    uint64_t slot = (call & 0xffffffffULL) - 1;
    if (slot >= slots_.size() || slots_[slot].round != call >> 32) return;
    Slot& it = slots_[slot];
    KJ_IF_MAYBE (batch, it.batch) {
      (outcome.ok() || outcome.code == ErrorCode::app ? answered_ : refused_) += 1;
      kj::Own<CallBatch> held = kj::mv(*batch);
      it.batch = nullptr;
      ++it.round;
      free_.push_back(static_cast<uint32_t>(slot));
      held->answer(it.place, std::move(outcome));
    }
  }

  std::size_t waiting() const { return slots_.size() - free_.size(); }
  uint64_t answered() const { return answered_; }
  uint64_t refused() const { return refused_; }

private:
  struct Slot {
    kj::Maybe<kj::Own<CallBatch>> batch;
    uint32_t place = 0;
    uint32_t round = 1;
  };
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  uint64_t answered_ = 0;
  uint64_t refused_ = 0;
};

}  // namespace flotilla::runtime
