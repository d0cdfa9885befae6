// A group's commands, or its queries, on their way out and back.
#include "sdk/client/lane.h"

#include <algorithm>

#include "sdk/client/fault_text.h"
#include "sdk/client/retry.h"
#include "sdk/client/within.h"

namespace flotilla::client {
namespace {

// A smaller batch is not worth splitting that others may overlap with it.
constexpr size_t kBatchCallsWorth = 64;

// With so many calls unanswered, in all lanes together, what a batch costs matters more than how
// soon a small one leaves.
constexpr size_t kBusyCalls = 256;

// A lane with no more than this part of them is one of many.
constexpr size_t kManyTimes = 4;

// The answers of a batch have a bound at the host, 32 MiB, and so have those of a group that are on
// their way, 64. What is beyond it is not answered, so batches are to stay far below: with answers
// as long as the longest of late, and before any has come with such as this.
constexpr size_t kAnswersWorth = 8 << 20;
constexpr size_t kAnswerGuess = 1 << 20;

// How many answers a group is made to keep for us: half of what it keeps for one session.
constexpr uint64_t kAnswersKeptMax = 8'192;

// To copy a larger call once more costs more than the intake saves.
constexpr size_t kIntakeBytesMax = 1024;

// How often a call is tried whose machine faults: another replica's may not.
constexpr uint32_t kFaultsMax = 3;

// How often where a disk is full, which is about a second: another host may have room, and lead by
// then.
constexpr uint32_t kFullDisksMax = 11;

constexpr uint64_t kPauseMsMin = 10;
constexpr uint64_t kPauseMsMax = 160;
constexpr uint32_t kStaleSetbacksMax = 10;  // about a second

}  // namespace

Lane::Lane(Route& route, Kind kind)
    : hosts_(route.hosts()),
      options_(hosts_.options()),
      timer_(hosts_.timer()),
      kind_(kind),
      route_(route),
      answerBytes_(kAnswerGuess),
      tasks_(*this) {}

Lane::~Lane() noexcept(false) {
  if (atIntake_ != 0) hosts_.intake().forget(*this);
  hosts_.unanswered -= unanswered_;
  leaveQueue();
  for (auto& [id, flight] : flights_) {
    if (flight.parcel != 0) flight.courier->forget(flight.parcel);
  }
}

size_t Lane::unanswered() const {
  hosts_.intake().giveAll();
  return unanswered_;
}

// Most of what the client is about is in other lanes: they keep its hosts busy while this one's
// batch is under way.
bool Lane::isOneOfMany() const {
  return kind_ == Kind::commands &&
         hosts_.unanswered >= std::max(kBusyCalls, kManyTimes * unanswered_);
}

// Large loads travel as several batches that overlap; small ones as one.
size_t Lane::batchCallsMax() const {
  if (isOneOfMany()) return std::max<size_t>(options_.batchCommandsMax, 1);
  size_t share = unanswered_ / std::max<size_t>(options_.batchesInFlightMax, 1);
  return std::clamp<size_t>(share, std::min<size_t>(kBatchCallsWorth, options_.batchCommandsMax),
                            std::max<size_t>(options_.batchCommandsMax, 1));
}

// So many calls are asked at once that there will be room for their answers.
size_t Lane::answeredCallsMax() const {
  return std::max<size_t>(kAnswersWorth / std::max<size_t>(answerBytes_, 1), 1);
}

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

// Where a busy client calls another lane than before, the call goes by the intake; and who has
// calls there does until they are given, so that one group's calls stay in their order.
void Lane::add(MethodId method, kj::ArrayPtr<const capnp::word> params, Freshness freshness,
               Done&& done) {
  Intake& intake = hosts_.intake();
  bool other = intake.isOther(*this);
  if (atIntake_ == 0 && (!other || hosts_.unanswered < kBusyCalls)) {
    return take(method, params, freshness, kj::mv(done));
  }
  if (params.size() * sizeof(capnp::word) > kIntakeBytesMax) {
    intake.giveAll();
    return take(method, params, freshness, kj::mv(done));
  }
  ++atIntake_;  // before: it may give what it has at once
  intake.add(*this, method, params, freshness, kj::mv(done));
}

void Lane::given(MethodId method, kj::ArrayPtr<const capnp::word> params, Freshness freshness,
                 Done&& done) {
  --atIntake_;
  take(method, params, freshness, kj::mv(done));
}

void Lane::fetch() const {
  constexpr size_t kTouched = 192;  // bytes, up to closedBytes_
  fetchToWrite(this, kTouched);
}

void Lane::take(MethodId method, kj::ArrayPtr<const capnp::word> params, Freshness freshness,
                Done&& done) {
  size_t bytes = params.size() * sizeof(capnp::word);
  Outcome refusal;
  if (bytes > kParamsBytesMax) {
    refusal.fault = Fault{ErrorCode::tooLarge,
                          "group " + route_.name() + ": parameters of " + std::to_string(bytes) +
                              " bytes, at most " + std::to_string(kParamsBytesMax),
                          ""};
  } else if (unanswered_ >= options_.unansweredMax ||
             unansweredBytes_ + bytes > options_.unansweredBytesMax) {
    refusal.fault = Fault{ErrorCode::overloaded,
                          "group " + route_.name() + ": " + std::to_string(unanswered_) +
                              " calls wait for their answers; send more when some have come",
                          ""};
  }
  if (!refusal.ok()) {
    ended_.push_back({kj::mv(done), std::move(refusal)});
    return deliver();
  }

  bool full =
      open_.calls.size() >= batchCallsMax() || open_.params.size() + bytes > options_.batchBytesMax;
  if (!open_.empty() && (full || open_.freshness != freshness)) close();
  if (open_.empty()) open_.reserve(closedCalls_, closedBytes_);
  open_.freshness = freshness;
  open_.add(method, params, timer_.now() + options_.callTimeoutMs * kj::MILLISECONDS, kj::mv(done));
  ++unanswered_;
  ++hosts_.unanswered;
  unansweredBytes_ += bytes;
  gather();
  watch();
}

void Lane::gather() {
  if (gathering_) return;
  gathering_ = true;
  hosts_.turnEnd().markLane(*this);
}

void Lane::turnEnds() {
  gathering_ = false;
  pump();
  called_ = false;
}

// A small batch, and any of a lane that is one of many, waits for the one before it to land while
// the client is busy: calls that are spread over many groups would else travel by ones and twos.
bool Lane::mayLeave(const Batch& batch) const {
  if (flights_.size() >= std::max(options_.batchesInFlightMax, 1U)) return false;
  if (flights_.empty() || hosts_.unanswered < kBusyCalls) return true;
  bool waits = batch.calls.size() < kBatchCallsWorth || isOneOfMany();
  return !waits || waiting_.size() >= 2;
}

void Lane::close() {
  if (open_.empty()) return;
  open_.serial = nextSerial_;
  nextSerial_ += open_.calls.size();
  closedCalls_ = open_.calls.size();
  closedBytes_ = open_.params.size();
  waiting_.push_back(std::exchange(open_, Batch{}));
}

// One of many lanes waits for its turn at the host; what is tried again has waited.
bool Lane::waitsFor(Courier& courier) {
  bool waits = isOneOfMany() && setbacks_ == 0;
  if (waits && queuedAt_.get() == &courier) return true;
  leaveQueue();
  if (!waits || std::exchange(called_, false) || courier.admits(*this)) return false;
  queuedAt_ = kj::addRef(courier);
  return true;
}

void Lane::leaveQueue() {
  if (queuedAt_.get() != nullptr) queuedAt_->leaveQueue(*this);
  queuedAt_ = nullptr;
}

void Lane::called() {
  queuedAt_ = nullptr;
  called_ = true;
  gather();
}

// The open batch takes calls until it leaves, or waits for a route.
void Lane::pump() {
  while (!seeking_ && !opening_ && !pausing_) {
    if (waiting_.empty() && (open_.empty() || gathering_)) return;
    if (!mayLeave(waiting_.empty() ? open_ : waiting_.front())) return;
    KJ_IF_MAYBE (target, route_.now()) {
      if (waitsFor(target->link->courier())) return;
      if (waiting_.empty()) close();
      if (!sendFront(*target)) return;
    } else {
      if (waiting_.empty()) close();
      seek();
    }
  }
}

// Sends the oldest batch; false where it has to wait for something that will pump again.
bool Lane::sendFront(Target& target) {
  if (stamped()) {
    knowGroup(target);
    if (stamps_.session() == 0) {
      openSession(target);
      return false;
    }
  }
  waiting_.front().dropEnded();
  if (waiting_.front().calls.size() > answeredCallsMax()) {
    waiting_.push_front(waiting_.front().takeFirst(answeredCallsMax()));
  }
  Batch& front = waiting_.front();
  if (!front.empty()) {
    if (stamped() && !stamp(front)) return false;
    send(target, std::move(front));
  }
  waiting_.pop_front();
  return true;
}

// A session belongs to one life of a group. Under the same name another group must never be given
// its stamps, which may mean something there.
void Lane::knowGroup(const Target& target) {
  if (target.groupId == groupId_ && target.incarnation == incarnation_) return;
  groupId_ = target.groupId;
  incarnation_ = target.incarnation;
  stamps_.open(0);
  Fault gone{ErrorCode::groupRemoved,
             "group " + route_.name() + ": removed and created again meanwhile", ""};
  for (Batch& batch : waiting_) {
    for (Call& call : batch.calls) {
      if (call.ended) continue;
      if (call.doubted) {
        end(call, Outcome::failed(finalFault(gone, true)));
      } else {
        renewStamp(call);
      }
    }
  }
  deliver();
}

// False where the group would have to keep more answers than it does; those under way come first.
bool Lane::stamp(Batch& batch) {
  size_t fresh = 0;
  for (const Call& call : batch.calls) fresh += call.session == 0 ? 1 : 0;
  if (fresh != 0 && !flights_.empty() && stamps_.spread() + fresh > kAnswersKeptMax) return false;
  for (Call& call : batch.calls) {
    if (call.session != 0) continue;
    call.session = stamps_.session();
    call.sequence = stamps_.take();
  }
  return true;
}

// A large batch gains nothing from company, and goes at once, unless there are many such, or one
// before it still waits for the turn's end, which it would overtake.
void Lane::send(Target& target, Batch&& batch) {
  uint64_t id = nextFlight_++;
  Flight& flight = flights_
                       .emplace(id, Flight{std::move(batch), route_.turn(), target.group,
                                           kj::addRef(target.link->courier())})
                       .first->second;
  for (Call& call : flight.batch.calls) call.sent = true;
  bool large = flight.batch.calls.size() >= kBatchCallsWorth && !isOneOfMany();
  if (kind_ == Kind::queries || (large && !flight.courier->holds(lastParcel_))) {
    return sendAlone(id);
  }
  lastParcel_ = flight.parcel =
      flight.courier->add({this, id, &flight.batch, target.groupId, target.incarnation,
                           stamps_.acknowledgedBelow(), isOneOfMany() && setbacks_ == 0});
}

void Lane::sendAlone(uint64_t id) {
  Flight& flight = flights_.at(id);
  flight.parcel = 0;
  kj::Promise<std::vector<Outcome>> answer = nullptr;
  if (kind_ == Kind::commands) {
    answer = flight.batch.submit(flight.group, stamps_.acknowledgedBelow())
                 .then([](capnp::Response<schema::Group::SubmitResults>&& response) {
                   return outcomesOf(kj::mv(response));
                 });
  } else {
    answer = flight.batch.query(flight.group)
                 .then([](capnp::Response<schema::Group::QueryResults>&& response) {
                   return outcomesOf(kj::mv(response));
                 });
  }
  uint64_t limitMs = kind_ == Kind::queries ? options_.attemptTimeoutMs : options_.commandWaitMs();
  Fault silence = flight.courier->silence(limitMs);
  tasks_.add(
      within(timer_, limitMs * kj::MILLISECONDS, kj::mv(answer), std::move(silence))
          .then([this, id](std::vector<Outcome>&& outcomes) { landed(id, std::move(outcomes)); },
                [this, id](kj::Exception&& exception) { broke(id, exception); }));
}

void Lane::seek() {
  seeking_ = true;
  tasks_.add(route_.seek().then(
      [this]() {
        seeking_ = false;
        pump();
      },
      [this](kj::Exception&& exception) {
        seeking_ = false;
        troubled(exception, route_.turn());
      }));
}

void Lane::openSession(Target& target) {
  opening_ = true;
  uint64_t turn = route_.turn();
  uint64_t limitMs = options_.attemptTimeoutMs;
  Fault silence{
      ErrorCode::timeout,
      "host " + target.link->address() + ": no session within " + std::to_string(limitMs) + " ms",
      ""};
  tasks_.add(within(timer_, limitMs * kj::MILLISECONDS,
                    target.group.openSessionRequest().send().then(
                        [](capnp::Response<schema::Group::OpenSessionResults>&& response) {
                          return response.getSession();
                        }),
                    std::move(silence))
                 .then(
                     [this](uint64_t session) {
                       opening_ = false;
                       heard_ = true;
                       stamps_.open(session);
                       pump();
                     },
                     [this, turn](kj::Exception&& exception) {
                       opening_ = false;
                       troubled(exception, turn);
                     }));
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

// Every task handles its own failures; what comes here is a bug of ours, and ends in nothing.
void Lane::taskFailed(kj::Exception&& exception) {
  KJ_LOG(ERROR, exception);
}

}  // namespace flotilla::client
