// Batches of many groups in one call: schemas/client.capnp Courier.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <variant>

#include <kj/async.h>
#include <kj/refcount.h>

#include "host/api/session.h"
#include "schemas/client.capnp.h"

namespace flotilla::api {

// Answers on their way to a client's receiver: gathered until the loop has nothing else to do, so
// many bytes of calls under way, the rest waits. Where too much waits nothing more is taken, so a
// client that does not take its answers is soon given no more.
//
// Owner:  CourierService, and each parcel that has not been answered.
// Thread: the loop's.
// Errors: none; with the connection broken everything is dropped.
class ParcelAnswers final : public kj::Refcounted, private kj::TaskSet::ErrorHandler {
public:
  ParcelAnswers(runtime::Host& host, schema::CourierReceiver::Client receiver)
      : host_(host), receiver_(kj::mv(receiver)), tasks_(*this) {}

  // Why nothing more should be taken, if so.
  kj::Maybe<Fault> trouble() const;

  void add(uint64_t number, Fault fault);
  void add(uint64_t number, runtime::Outcomes outcomes, kj::Maybe<Admission::Ticket> ticket);

private:
  struct Answer {
    uint64_t number = 0;
    std::variant<runtime::Outcomes, Fault> what;
    kj::Maybe<Admission::Ticket> ticket;
    uint64_t words = 0;
  };

  void add(Answer answer);
  void leave();      // as much as may be under way
  void sendFront();  // one call
  void taskFailed(kj::Exception&& exception) override;

  runtime::Host& host_;
  schema::CourierReceiver::Client receiver_;
  std::deque<Answer> waiting_;
  uint64_t wordsUnderWay_ = 0;
  bool leaving_ = false;  // at the end of this turn
  bool broken_ = false;
  kj::TaskSet tasks_;
};

// Cap'n Proto's servers are disposed of by what made them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

// Takes parcels to their groups: to the replica here that leads, without a promise a parcel, else
// by the router.
//
// Owner:  the connection that asked for it.
// Thread: the loop's.
// Errors: a parcel's answer. `submit` itself fails, and has begun nothing, where it holds too many
//         parcels, where too many answers wait, and once they cannot be delivered any more.
class CourierService final : public schema::Courier::Server, private kj::TaskSet::ErrorHandler {
public:
  CourierService(kj::Own<Session> session, schema::CourierReceiver::Client receiver)
      : session_(kj::mv(session)),
        answers_(kj::refcounted<ParcelAnswers>(session_->host(), kj::mv(receiver))),
        tasks_(*this) {}

protected:
  kj::Promise<void> submit(SubmitContext context) override;

private:
  void take(schema::Parcel::Reader parcel);
  kj::Maybe<Fault> refusal(runtime::GroupRef group);
  void taskFailed(kj::Exception&& exception) override;

  kj::Own<Session> session_;
  kj::Own<ParcelAnswers> answers_;
  std::map<runtime::GroupRef, bool> allowed_;  // groups that a client has named
  kj::TaskSet tasks_;
};

#pragma GCC diagnostic pop

}  // namespace flotilla::api
