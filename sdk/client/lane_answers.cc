// What comes back for a lane's calls: answers, and setbacks after which they are made again.
#include <algorithm>
#include <string>
#include <utility>

#include "sdk/client/fault_text.h"
#include "sdk/client/lane.h"
#include "sdk/client/retry.h"

namespace flotilla::client {
namespace {

// How often a call is tried whose machine faults: another replica's may not.
constexpr uint32_t kFaultsMax = 3;

// How often where a disk is full, which is about a second: another host may have room, and lead by
// then.
constexpr uint32_t kFullDisksMax = 11;

constexpr uint64_t kPauseMsMin = 10;
constexpr uint64_t kPauseMsMax = 160;
constexpr uint32_t kStaleSetbacksMax = 10;  // about a second

}  // namespace

// Long answers are expected at once, and their end is learned in steps.
void Lane::learnSize(const std::vector<Outcome>& outcomes) {
  size_t longest = 0;
  bool any = false;
  for (const Outcome& outcome : outcomes) {
    any = any || outcome.ok();
    longest = std::max(longest, outcome.answer.size());
  }
  if (any) answerBytes_ = std::max(longest, answerBytes_ / 2);
}

void Lane::landed(uint64_t id, std::vector<Outcome>&& outcomes) {
  auto it = flights_.find(id);
  if (it == flights_.end()) return;
  Flight flight = std::move(it->second);
  flights_.erase(it);
  std::vector<Call>& calls = flight.batch.calls;
  if (outcomes.size() != calls.size()) {
    Fault fault{ErrorCode::unknown, "host: answered another number of calls than it was asked", ""};
    outcomes.assign(calls.size(), Outcome::failed(std::move(fault)));
  }
  learnSize(outcomes);
  bool answered = false;
  for (size_t i = 0; i < calls.size(); ++i) {
    if (calls[i].ended) continue;
    answered = answered || outcomes[i].ok();
    judge(calls[i], std::move(outcomes[i]), flight.turn);
  }
  if (answered) {
    setbacks_ = 0;
    heard_ = true;
  }
  again(std::move(flight.batch));
  deliver();
  if (!open_.empty()) gather();  // with what callers ask next who have just been answered
  pump();
}

void Lane::broke(uint64_t id, const kj::Exception& exception) {
  auto it = flights_.find(id);
  if (it == flights_.end()) return;
  Fault fault = faultOf(exception);
  landed(id, std::vector<Outcome>(it->second.batch.calls.size(), Outcome::failed(fault)));
}

void Lane::judge(Call& call, Outcome&& outcome, uint64_t turn) {
  if (outcome.ok()) return end(call, std::move(outcome));
  ErrorCode code = outcome.fault->code;
  trouble_ = outcome.fault->text;
  Verdict verdict = verdictOn(code, repeatable());
  if (code == ErrorCode::faulted && ++call.faultCount >= kFaultsMax) verdict = Verdict::final;
  if (code == ErrorCode::diskFull && ++call.faultCount >= kFullDisksMax) verdict = Verdict::final;
  if (kind_ == Kind::commands && code == ErrorCode::unknown && outcome.position.index != 0) {
    // It stands there in the log, and there was no room for its answer: asked again, the group may
    // have kept that, or not.
    verdict = call.unheard || !repeatable() ? Verdict::final : Verdict::again;
    call.unheard = true;
  }
  if (!call.doubted && perhapsStale(code)) verdict = Verdict::elsewhere;
  if (verdict == Verdict::reopen && (call.doubted || !stamped())) verdict = Verdict::final;
  if (code == ErrorCode::groupRemoved || code == ErrorCode::noSuchGroup) route_.lost(turn, false);

  switch (verdict) {
    case Verdict::final:
      outcome.fault = finalFault(std::move(*outcome.fault), call.doubted);
      return end(call, std::move(outcome));
    case Verdict::again:
      break;
    case Verdict::elsewhere:
      if (code == ErrorCode::notLeader && outcome.leader.has_value()) {
        route_.leads(turn, *outcome.leader);
      } else {
        route_.lost(turn, code == ErrorCode::timeout);
      }
      break;
    case Verdict::reopen:
      if (call.session == stamps_.session()) stamps_.open(0);
      renewStamp(call);
      break;
  }
  if (maybeDone(code)) call.doubted = true;
}

// For a call that was certainly not carried out under its old stamp.
void Lane::renewStamp(Call& call) {
  stamps_.settle(call.session, call.sequence);
  call.session = 0;
  call.sequence = 0;
}

// What is left of a batch waits for its next attempt, in front of what is younger. The first
// setback costs no time: a leader has moved and we have heard where to.
void Lane::again(Batch&& batch) {
  batch.dropEnded();
  if (batch.empty()) return;
  auto place = std::find_if(waiting_.begin(), waiting_.end(),
                            [&batch](const Batch& it) { return it.serial > batch.serial; });
  waiting_.insert(place, std::move(batch));
  if (setbacks_ == 0) {
    ++setbacks_;
  } else {
    pause();
  }
}

void Lane::refuseWaiting(const Fault& fault) {
  for (Batch& batch : waiting_) {
    for (Call& call : batch.calls) {
      if (!call.ended) end(call, Outcome::failed(finalFault(fault, call.doubted)));
    }
  }
  waiting_.clear();
  deliver();
}

void Lane::end(Call& call, Outcome&& outcome) {
  call.ended = true;
  --unanswered_;
  --hosts_.unanswered;
  unansweredBytes_ -= call.byteCount;
  if (call.session != 0) stamps_.settle(call.session, call.sequence);
  TurnEnd::Ended& ended = ended_.emplace_back();
  ended.done = kj::mv(call.done);
  ended.outcome = std::move(outcome);
}

void Lane::deliver() {
  hosts_.turnEnd().tell(ended_);
}

// Neither a route nor a session: for good where that is certain, else soon again.
void Lane::troubled(const kj::Exception& exception, uint64_t turn) {
  Fault fault = faultOf(exception);
  trouble_ = fault.text;
  route_.lost(turn, fault.code == ErrorCode::timeout);
  bool final = verdictOn(fault.code, true) == Verdict::final && !perhapsStale(fault.code);
  if (final || (fault.code == ErrorCode::diskFull && setbacks_ >= kFullDisksMax)) {
    refuseWaiting(fault);
    return pump();
  }
  pause();
}

// A host that lags behind the catalog still shows a group that is gone. Who was never in that group
// asks the others first, for they know whether there is one of that name.
bool Lane::perhapsStale(ErrorCode code) const {
  return code == ErrorCode::groupRemoved && !heard_ && setbacks_ < kStaleSetbacksMax;
}

void Lane::pause() {
  if (pausing_) return;
  pausing_ = true;
  uint64_t delayMs = std::min(kPauseMsMin << std::min(setbacks_, 8U), kPauseMsMax);
  ++setbacks_;
  tasks_.add(timer_.afterDelay(delayMs * kj::MILLISECONDS).then([this]() {
    pausing_ = false;
    pump();
  }));
}

}  // namespace flotilla::client
