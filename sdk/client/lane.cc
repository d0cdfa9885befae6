// A group's commands, or its queries, on their way out.
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

// Where a busy client calls another lane than before, the call goes by the intake; and who has
// calls there does until they are given, so that one group's calls stay in their order.
void Lane::add(MethodId method, kj::ArrayPtr<const capnp::word> params, Freshness freshness,
               Done&& done) {
  Intake& intake = hosts_.intake();
  bool other = intake.turnsTo(*this);
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

// Every task handles its own failures; what comes here is a bug of ours, and ends in nothing.
void Lane::taskFailed(kj::Exception&& exception) {
  KJ_LOG(ERROR, exception);
}

}  // namespace flotilla::client
