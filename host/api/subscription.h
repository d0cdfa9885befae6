// One who listens to a group's events through this host.
#pragma once

#include <string>

#include <kj/async.h>

#include "host/api/session.h"
#include "schemas/client.capnp.h"

namespace flotilla::api {

// Cap'n Proto's servers are disposed of by what made them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

// Reads the history of the replica here and pushes what it finds to the listener's sink. Answers
// are the credit for more: with kPushesMax pushes or kPushedBytesMax unanswered nothing is read. So
// a slow listener holds up nobody and costs no memory but theirs: the history goes on without it,
// and it is told where it has missed some.
//
// Owner:  the listener's connection: dropping the capability ends it.
// Thread: the loop's.
// Errors: what ends it is what `wait` fails with: the replica's trouble, `overloaded` where the
//         connection has too much under way, or that the sink has refused a push.
class Subscription final : public schema::Subscription::Server, private kj::TaskSet::ErrorHandler {
public:
  static constexpr size_t kPushesMax = 4;
  static constexpr uint64_t kPushedBytesMax = 256 << 10;

  Subscription(kj::Own<Session> session, kj::Own<Session::Listening> listening,
               runtime::GroupRef group, std::string topicPrefix, group::Position after,
               schema::EventSink::Client sink);

protected:
  kj::Promise<void> wait(WaitContext context) override;

private:
  kj::Promise<void> pump();
  kj::Promise<void> push(group::EventsRead read);
  bool hasRoom() const { return pushes_ < kPushesMax && pushedBytes_ < kPushedBytesMax; }
  void answered(uint64_t bytes);
  void taskFailed(kj::Exception&& exception) override;

  kj::Own<Session> session_;
  kj::Own<Session::Listening> listening_;
  runtime::GroupRef group_;
  std::string topicPrefix_;
  group::Position after_;
  schema::EventSink::Client sink_;
  bool looked_ = false;
  bool more_ = false;         // the last look has left some behind
  size_t pushes_ = 0;         // not answered
  uint64_t pushedBytes_ = 0;  // of them
  size_t emptyLooks_ = 0;     // since the last push
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> room_;
  kj::PromiseFulfillerPair<void> refused_ = kj::newPromiseAndFulfiller<void>();
  kj::TaskSet tasks_;  // pushes
  kj::ForkedPromise<void> end_;
};

#pragma GCC diagnostic pop

}  // namespace flotilla::api
