// Batches of many groups in one call.
#include "host/api/courier_service.h"

#include <utility>

#include "host/api/batches.h"
#include "host/api/faults.h"
#include "host/base/match.h"
#include "host/runtime/call_table.h"
#include "host/runtime/replica.h"

namespace flotilla::api {
namespace {

// Answers leave in calls of about so much, a few at a time: the client begins with the first while
// the next are written, and one that does not read is sent no more.
constexpr uint64_t kDeliveryWords = 4'096;
constexpr uint64_t kWordsUnderWayMax = 512 << 10;  // 4 MiB
constexpr size_t kAnswersWaitingMax = 65'536;
constexpr unsigned kParcelsMax = 16'384;  // of one submit; an empty one takes no room in a message

// Groups whose names a client's patterns have been held against.
constexpr size_t kAllowedMax = 100'000;

// One parcel's calls, at a replica of this host.
class ParcelBatch final : public runtime::CallBatch {
public:
  ParcelBatch(uint64_t number, size_t calls, runtime::Host& host, runtime::Replica& replica,
              kj::Own<ParcelAnswers> answers, Admission::Ticket ticket)
      : CallBatch(runtime::CallKind::commands, calls, ticket.share()),
        number_(number),
        host_(host),
        replica_(replica.shared_from_this()),
        answers_(kj::mv(answers)),
        ticket_(kj::mv(ticket)) {}

private:
  void ended(runtime::Outcomes outcomes) override {
    host_.router().nameHosts(*replica_, outcomes);
    answers_->add(number_, std::move(outcomes), kj::mv(ticket_));
  }

  uint64_t number_;
  runtime::Host& host_;
  std::shared_ptr<runtime::Replica> replica_;
  kj::Own<ParcelAnswers> answers_;
  kj::Maybe<Admission::Ticket> ticket_;
};

}  // namespace

// ---- answers -----------------------------------------------------------------------------------

kj::Maybe<Fault> ParcelAnswers::trouble() const {
  if (broken_) {
    return Fault{ErrorCode::unavailable, "courier: its answers cannot be delivered; open another",
                 ""};
  }
  if (waiting_.size() >= kAnswersWaitingMax) {
    return Fault{ErrorCode::overloaded,
                 "courier: " + std::to_string(waiting_.size()) + " answers wait; take them first",
                 ""};
  }
  return nullptr;
}

void ParcelAnswers::add(uint64_t number, Fault fault) {
  constexpr uint64_t kWordsFault = 32;
  uint64_t words = kWordsFault + fault.text.size() / sizeof(capnp::word);
  add(Answer{number, std::move(fault), nullptr, words});
}

void ParcelAnswers::add(uint64_t number, runtime::Outcomes outcomes,
                        kj::Maybe<Admission::Ticket> ticket) {
  uint64_t words = wordsOf(outcomes);
  add(Answer{number, std::move(outcomes), kj::mv(ticket), words});
}

void ParcelAnswers::add(Answer answer) {
  if (broken_) return;
  waiting_.push_back(kj::mv(answer));
  if (leaving_ || wordsUnderWay_ >= kWordsUnderWayMax) return;
  leaving_ = true;
  tasks_.add(kj::evalLast([this]() {
    leaving_ = false;
    leave();
  }));
}

void ParcelAnswers::leave() {
  while (!waiting_.empty() && wordsUnderWay_ < kWordsUnderWayMax) sendFront();
}

void ParcelAnswers::sendFront() {
  size_t count = 0;
  uint64_t words = 0;
  while (count < waiting_.size() && words < kDeliveryWords) words += waiting_[count++].words;
  auto request = receiver_.deliverRequest(capnp::MessageSize{words, 0});
  auto list = request.initAnswers(static_cast<unsigned>(count));
  for (unsigned i = 0; i < count; ++i) {
    Answer& answer = waiting_.front();
    list[i].setNumber(answer.number);
    std::visit(base::Match{[&](const runtime::Outcomes& outcomes) {
                             auto to = list[i].initOutcomes(static_cast<unsigned>(outcomes.size()));
                             write(outcomes, to, host_);
                           },
                           [&](const Fault& fault) { write(fault, list[i].initFault()); }},
               answer.what);
    waiting_.pop_front();
  }
  wordsUnderWay_ += words;
  tasks_.add(request.send().ignoreResult().then([this, words]() {
    wordsUnderWay_ -= words;
    leave();
  }));
}

// The client is gone, or takes no answers: either way it asks again.
void ParcelAnswers::taskFailed(kj::Exception&&) {
  broken_ = true;
  waiting_.clear();
}

// ---- parcels -----------------------------------------------------------------------------------

kj::Promise<void> CourierService::submit(SubmitContext context) {
  auto parcels = context.getParams().getParcels();
  if (parcels.size() > kParcelsMax) {
    return exceptionOf(ErrorCode::tooLarge, "courier: " + std::to_string(parcels.size()) +
                                                " parcels in one call; at most " +
                                                std::to_string(kParcelsMax));
  }
  KJ_IF_MAYBE (fault, answers_->trouble()) return exceptionOf(*fault);
  const runtime::Router& router = session_->host().router();
  std::vector<const runtime::Replica*> here;
  here.reserve(parcels.size());
  for (auto parcel : parcels) here.push_back(router.replica(parcel.getGroup()));
  for (unsigned i = 0; i < parcels.size(); ++i) {
    runtime::fetchAhead(here, i);
    take(parcels[i]);
  }
  context.releaseParams();
  return kj::READY_NOW;
}

void CourierService::take(schema::Parcel::Reader parcel) {
  uint64_t number = parcel.getNumber();
  runtime::GroupRef group{parcel.getGroup(), parcel.getIncarnation()};
  KJ_IF_MAYBE (fault, refusal(group)) return answers_->add(number, kj::mv(*fault));
  std::vector<group::Call> calls;
  KJ_IF_MAYBE (fault, read(parcel.getCommands(), calls)) {
    return answers_->add(number, kj::mv(*fault));
  }
  if (calls.empty()) return answers_->add(number, {}, nullptr);
  KJ_IF_MAYBE (ticket, session_->admission().enter(calls.size(), bytesOf(calls))) {
    runtime::Router& router = session_->host().router();
    if (runtime::Replica* replica = router.carriesOut(group, session_->forward())) {
      auto batch = kj::refcounted<ParcelBatch>(number, calls.size(), session_->host(), *replica,
                                               kj::addRef(*answers_), kj::mv(*ticket));
      return router.propose(*replica, std::move(calls), kj::mv(batch));
    }
    tasks_.add(router.submit(group, std::move(calls), session_->forward(), ticket->share())
                   .then([number, answers = kj::addRef(*answers_),
                          ticket = kj::mv(*ticket)](runtime::Outcomes outcomes) mutable {
                     answers->add(number, std::move(outcomes), kj::mv(ticket));
                   }));
    return;
  }
  answers_->add(number, full("id:" + std::to_string(group.id)));
}

// A client's token opens the groups whose names its patterns match; a parcel has no name.
kj::Maybe<Fault> CourierService::refusal(runtime::GroupRef group) {
  if (group.id == 0) {  // the catalog itself, which `submit` of a group never reaches either
    return Fault{ErrorCode::denied, "group id:0: the catalog takes operators' words only", ""};
  }
  if (session_->isOperator()) return nullptr;
  auto known = allowed_.find(group);
  if (known == allowed_.end()) {
    auto record = session_->host().catalog().group(group.id);
    std::string name = "group id:" + std::to_string(group.id);
    if (!record || record->incarnation != group.incarnation) {
      return Fault{ErrorCode::unavailable, name + ": not known here; ask for it by name", ""};
    }
    if (allowed_.size() >= kAllowedMax) allowed_.clear();
    known = allowed_.emplace(group, session_->mayUse(record->spec.name)).first;
  }
  if (known->second) return nullptr;
  return Fault{ErrorCode::denied,
               "group id:" + std::to_string(group.id) + ": this token does not open it", ""};
}

// A promise of the router fails only when the host stops, and then nobody reads answers any more.
void CourierService::taskFailed(kj::Exception&&) {}

}  // namespace flotilla::api
