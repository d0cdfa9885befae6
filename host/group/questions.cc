// Queries on their way: to a read index, to the machine, to their callers.
#include "host/group/questions.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "host/base/give_back.h"
#include "host/group/waiting.h"

namespace flotilla::group {
namespace {

constexpr size_t kSpareVectorsMax = 16;

}  // namespace

void Questions::ask(raft::ReadId read, uint64_t until) {
  Round round{.read = read, .until = until, .index = 0, .known = false, .questions = {}};
  if (!spare_.empty()) {
    round.questions = std::move(spare_.back());
    spare_.pop_back();
  }
  std::swap(round.questions, gathered_);
  waitingRounds_ += round.questions.size();
  rounds_.push_back(std::move(round));
}

void Questions::ready(const raft::ReadReady& read, const Outcome& refusal) {
  for (size_t i = 0; i < rounds_.size(); ++i) {
    Round& round = rounds_[i];
    if (round.read != read.read) continue;
    if (read.ok) {
      round.index = read.index;
      round.known = true;
    } else {
      answerRound(round, refusal);
      rounds_.erase(rounds_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    return;
  }
}

void Questions::release(raft::Index fed, uint64_t generation, uint64_t until) {
  for (size_t i = 0; i < rounds_.size();) {
    Round& round = rounds_[i];
    if (!round.known || round.index > fed) {
      ++i;
      continue;
    }
    waitingRounds_ -= round.questions.size();
    for (Question& it : round.questions) submit(it.caller, std::move(it.call), generation, until);
    round.questions.clear();
    if (spare_.size() < kSpareVectorsMax) spare_.push_back(std::move(round.questions));
    rounds_.erase(rounds_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

void Questions::submit(CallId caller, Call call, uint64_t generation, uint64_t until) {
  uint64_t number = firstNumber_ + atMachine_.size();
  atMachine_.push_back({caller, until});
  ++waitingAtMachine_;
  machines_.query({generation, number, std::move(call)});
}

void Questions::queried(Queried queried) {
  if (queried.call < firstNumber_ || queried.call - firstNumber_ >= atMachine_.size()) return;
  CallId caller = std::exchange(atMachine_[queried.call - firstNumber_].caller, 0);
  while (!atMachine_.empty() && atMachine_.front().caller == 0) {
    atMachine_.pop_front();
    ++firstNumber_;
  }
  if (caller == 0) return;
  --waitingAtMachine_;
  callers_.answer(caller, std::move(queried.outcome));
}

uint64_t Questions::nextUntil() const {
  uint64_t until = std::numeric_limits<uint64_t>::max();
  if (!rounds_.empty()) until = rounds_.front().until;
  if (!atMachine_.empty()) until = std::min(until, atMachine_.front().until);
  return until;
}

void Questions::expire(uint64_t tick) {
  while (!rounds_.empty() && rounds_.front().until <= tick) {
    answerRound(rounds_.front(), failure(ErrorCode::timeout, "not answered in time"));
    rounds_.pop_front();
  }
  while (!atMachine_.empty() && atMachine_.front().until <= tick) {
    CallId caller = atMachine_.front().caller;
    atMachine_.pop_front();
    ++firstNumber_;
    if (caller == 0) continue;
    --waitingAtMachine_;
    callers_.answer(caller, failure(ErrorCode::timeout, "the machine did not answer in time"));
  }
}

void Questions::answerAll(const Outcome& outcome) {
  for (Question& it : gathered_) callers_.answer(it.caller, outcome);
  gathered_.clear();
  for (Round& round : rounds_) answerRound(round, outcome);
  rounds_.clear();
  for (AtMachine& it : atMachine_) {
    CallId caller = std::exchange(it.caller, 0);
    if (caller != 0) callers_.answer(caller, outcome);
  }
  firstNumber_ += atMachine_.size();
  atMachine_.clear();
  waitingAtMachine_ = 0;
}

void Questions::rest() {
  base::giveBack(spare_);
  gathered_.shrink_to_fit();
  if (rounds_.empty()) rounds_ = {};
  if (atMachine_.empty()) atMachine_ = {};
}

void Questions::answerRound(Round& round, const Outcome& outcome) {
  waitingRounds_ -= round.questions.size();
  for (Question& it : round.questions) callers_.answer(it.caller, outcome);
  round.questions.clear();
}

uint64_t Questions::count() const {
  return gathered_.size() + waitingRounds_ + waitingAtMachine_;
}

}  // namespace flotilla::group
