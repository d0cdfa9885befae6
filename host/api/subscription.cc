// One who listens to a group's events through this host.
#include "host/api/subscription.h"

#include <cstring>
#include <utility>

#include "host/api/faults.h"
#include "host/api/words.h"

namespace flotilla::api {
namespace {

// A listener whose topics are rare learns now and then how far it has come, so that it need not ask
// for what is gone when it comes back.
constexpr size_t kEmptyLooksMax = 64;
constexpr uint64_t kWordsEach = 12;

void write(const group::EventsRead& from, schema::EventSink::PushParams::Builder to) {
  auto events = to.initEvents(static_cast<unsigned>(from.events.size()));
  for (unsigned i = 0; i < events.size(); ++i) {
    const group::Event& event = from.events[i];
    events[i].getPosition().setIndex(event.position.index);
    events[i].getPosition().setOrdinal(event.position.ordinal);
    auto topic = events[i].initTopic(static_cast<unsigned>(event.topic.size()));
    std::memcpy(topic.begin(), event.topic.data(), event.topic.size());
    events[i].setMessage(dataOf(event.message.view()));
  }
  to.getUpTo().setIndex(from.upTo.index);
  to.getUpTo().setOrdinal(from.upTo.ordinal);
  to.setCompacted(from.compacted);
  to.setMore(from.more);
}

uint64_t bytesOf(const group::EventsRead& read) {
  uint64_t bytes = 0;
  for (const group::Event& event : read.events) bytes += event.cost();
  return bytes;
}

capnp::MessageSize sizeOf(const group::EventsRead& read, uint64_t bytes) {
  return {bytes / 8 + (2 + read.events.size()) * kWordsEach, 0};
}

}  // namespace

Subscription::Subscription(kj::Own<Session> session, kj::Own<Session::Listening> listening,
                           runtime::GroupRef group, std::string topicPrefix, group::Position after,
                           schema::EventSink::Client sink)
    : session_(kj::mv(session)),
      listening_(kj::mv(listening)),
      group_(group),
      topicPrefix_(std::move(topicPrefix)),
      after_(after),
      sink_(kj::mv(sink)),
      tasks_(*this),
      end_(kj::evalLater([this]() { return pump(); })
               .exclusiveJoin(kj::mv(refused_.promise))
               .catch_([](kj::Exception&& exception) -> kj::Promise<void> {
                 Fault fault = faultOf(exception);
                 if (fault.code == ErrorCode::unknown) fault.code = ErrorCode::unavailable;
                 return exceptionOf(fault);
               })
               .fork()) {
  tasks_.add(end_.addBranch().catch_([](kj::Exception&&) {}));  // whether or not anybody asks
}

// Whoever waits no more, or is gone, listens no more.
kj::Promise<void> Subscription::wait(WaitContext context) {
  context.allowCancellation();
  return end_.addBranch();
}

// The first look is answered as it is, also without events: it says where the listener stands.
// Where a look has left something behind, the next is at once; what a replica has had from a
// snapshot it does not tell of otherwise.
kj::Promise<void> Subscription::pump() {
  return session_->host()
      .router()
      .events(group_, after_, topicPrefix_, looked_ && !more_)
      .then([this](group::EventsRead read) -> kj::Promise<void> {
        bool tells = !looked_ || !read.events.empty() || read.compacted;
        after_ = read.upTo;
        more_ = read.more;
        looked_ = true;
        if (!tells && ++emptyLooks_ < kEmptyLooksMax) return kj::READY_NOW;
        emptyLooks_ = 0;
        return push(std::move(read));
      })
      .then([this]() { return pump(); });
}

kj::Promise<void> Subscription::push(group::EventsRead read) {
  uint64_t bytes = bytesOf(read);
  KJ_IF_MAYBE (ticket, session_->admission().enter(1, bytes)) {
    auto request = sink_.pushRequest(sizeOf(read, bytes));
    write(read, request);
    ++pushes_;
    pushedBytes_ += bytes;
    tasks_.add(request.send()
                   .ignoreResult()
                   .then([this, bytes]() { answered(bytes); })
                   .attach(kj::mv(*ticket)));
  } else {
    return exceptionOf(ErrorCode::overloaded,
                       "subscribe: this connection has too much under way; read what was pushed");
  }
  if (hasRoom()) return kj::READY_NOW;
  auto pair = kj::newPromiseAndFulfiller<void>();
  room_ = kj::mv(pair.fulfiller);
  return kj::mv(pair.promise);
}

void Subscription::answered(uint64_t bytes) {
  --pushes_;
  pushedBytes_ -= bytes;
  KJ_IF_MAYBE (room, room_) {
    if (!hasRoom()) return;
    auto fulfiller = kj::mv(*room);
    room_ = nullptr;
    fulfiller->fulfill();
  }
}

// What a push held may not have been heard, and nothing behind it is to be: the listener begins
// again where it knows that it stands.
void Subscription::taskFailed(kj::Exception&& exception) {
  refused_.fulfiller->reject(kj::mv(exception));
}

}  // namespace flotilla::api
