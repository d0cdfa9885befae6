// One who listens to a group's events.
#include "sdk/client/listener.h"

#include <utility>

#include "sdk/client/fault_text.h"
#include "sdk/client/retry.h"
#include "sdk/client/within.h"
#include "sdk/client/words.h"

namespace flotilla::client {
namespace {

constexpr kj::Duration kPause = 100 * kj::MILLISECONDS;

Position positionOf(schema::Position::Reader from) {
  return {from.getIndex(), from.getOrdinal()};
}

bool isAfter(Position one, Position other) {
  return one.index != other.index ? one.index > other.index : one.ordinal > other.ordinal;
}

Events eventsOf(schema::EventSink::PushParams::Reader from) {
  Events events;
  for (auto event : from.getEvents()) {
    auto message = event.getMessage().asChars();
    events.events.push_back({positionOf(event.getPosition()), event.getTopic().cStr(),
                             std::string(message.begin(), message.size())});
  }
  events.upTo = positionOf(from.getUpTo());
  events.compacted = from.getCompacted();
  events.more = from.getMore();
  return events;
}

}  // namespace

// Cap'n Proto's servers are disposed of by what made them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

// What one host pushes to while it is listened to. It outlives its Listener where the host still
// holds it.
class Listener::Ear final : public schema::EventSink::Server {
public:
  Ear(Listener& listener, kj::Own<kj::PromiseFulfiller<void>> done)
      : listener_(listener), turn_(listener.turn_), done_(kj::mv(done)) {}

  kj::Promise<void> push(PushContext context) override {
    if (!done_->isWaiting()) return KJ_EXCEPTION(FAILED, "nobody listens here any more");
    Events events = eventsOf(context.getParams());
    context.releaseParams();
    return listener_.heard(turn_, std::move(events));
  }

private:
  Listener& listener_;
  const uint64_t turn_;
  kj::Own<kj::PromiseFulfiller<void>> done_;
};

#pragma GCC diagnostic pop

Listener::Listener(kj::Own<Hosts> hosts, kj::Own<Route> route, std::string topicPrefix,
                   Position after, Listen listen)
    : hosts_(kj::mv(hosts)),
      route_(kj::mv(route)),
      topicPrefix_(std::move(topicPrefix)),
      handed_(after),
      upTo_(after),
      listen_(kj::mv(listen)),
      told_(kj::Promise<void>(kj::READY_NOW).fork()),
      ended_(alive_
                 .wrap(kj::evalLater([this]() {
                         return follow();
                       }).exclusiveJoin(kj::mv(refused_.promise)))
                 .fork()) {}

Listener::~Listener() noexcept(false) = default;

kj::Promise<void> Listener::follow() {
  return kj::evalNow([this]() {
           KJ_IF_MAYBE (target, route_->now()) return listenAt(*target);
           return route_->seek().then([this]() -> kj::Promise<void> {
             KJ_IF_MAYBE (target, route_->now()) return listenAt(*target);
             return exceptionOf({ErrorCode::unavailable, "the host is gone", ""});
           });
         })
      .catch_([this](kj::Exception&& exception) {
        if (verdictOn(faultOf(exception).code, true) == Verdict::final) {
          kj::throwFatalException(kj::mv(exception));
        }
        route_->lost(route_->turn(), false);
        return hosts_->timer().afterDelay(kPause);
      })
      .then([this]() { return follow(); });
}

// Ends when the host says so, or is gone.
kj::Promise<void> Listener::listenAt(Target& target) {
  if (incarnation_ != 0 && incarnation_ != target.incarnation) {
    return exceptionOf({ErrorCode::groupRemoved,
                        "group " + route_->name() +
                            ": it has been removed; the one of this name "
                            "is another, with positions of its own",
                        ""});
  }
  incarnation_ = target.incarnation;
  ++turn_;
  auto done = kj::newPromiseAndFulfiller<void>();
  auto request = target.group.subscribeRequest();
  request.setTopicPrefix(topicPrefix_);
  request.getAfter().setIndex(handed_.index);
  request.getAfter().setOrdinal(handed_.ordinal);
  request.setSink(kj::heap<Ear>(*this, kj::mv(done.fulfiller)));
  kj::Own<Link> link = kj::addRef(*target.link);
  auto limit = hosts_->options().attemptTimeoutMs * kj::MILLISECONDS;
  auto asked = within(hosts_->timer(), limit,
                      kj::Promise<capnp::Response<schema::Group::SubscribeResults>>(request.send()),
                      {ErrorCode::timeout, "host " + link->address() + ": silent", ""});
  return asked.then([this, link = kj::mv(link), done = kj::mv(done.promise)](
                        capnp::Response<schema::Group::SubscribeResults>&& response) mutable {
    schema::Subscription::Client subscription = response.getSubscription();
    auto end = subscription.waitRequest().send().ignoreResult();
    return done.exclusiveJoin(kj::mv(end))
        .exclusiveJoin(link->whenDown())
        .exclusiveJoin(watch(*link))
        .attach(kj::mv(subscription), kj::mv(link));
  });
}

// Nothing to hear is no sign of life: a host that is silent otherwise, too, is left.
kj::Promise<void> Listener::watch(Link& link) {
  return hosts_->timer()
      .afterDelay(hosts_->options().attemptTimeoutMs * kj::MILLISECONDS)
      .then([this, &link]() {
        if (!std::exchange(heardOf_, false)) hosts_->suspect(link);
        return watch(link);
      });
}

// Pushes are told one after another. What came by an earlier host and has not had its turn comes
// again by the present one.
kj::Promise<void> Listener::heard(uint64_t turn, Events events) {
  heardOf_ = true;
  auto next = told_.addBranch().then(
      [this, turn, events = std::move(events)]() mutable -> kj::Promise<void> {
        if (turn != turn_) return kj::READY_NOW;
        return tell(std::move(events));
      });
  told_ = alive_.wrap(kj::mv(next)).fork();
  return told_.addBranch();
}

// An event that was told before is not told again, whatever a host that lags behind says.
kj::Promise<void> Listener::tell(Events events) {
  if (!fromNow(handed_)) {
    std::erase_if(events.events,
                  [this](const Event& it) { return !isAfter(it.position, handed_); });
  }
  if (fromNow(handed_) || isAfter(events.upTo, handed_)) handed_ = events.upTo;
  return kj::evalNow([&]() { return listen_(std::move(events)); })
      .then([this, upTo = handed_]() { upTo_ = upTo; },
            [this](kj::Exception&& exception) {
              refused_.fulfiller->reject(
                  exceptionOf({ErrorCode::app, exception.getDescription().cStr(), "listen"}));
              kj::throwFatalException(kj::mv(exception));
            });
}

}  // namespace flotilla::client
