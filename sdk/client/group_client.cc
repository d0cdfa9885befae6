// One group, as its clients call it.
#include "sdk/client/group_client.h"

#include "sdk/client/fault_text.h"
#include "sdk/client/retry.h"
#include "sdk/client/service.h"
#include "sdk/client/within.h"

namespace flotilla::client {
namespace {

constexpr kj::Duration kDescribePause = 100 * kj::MILLISECONDS;

}  // namespace

GroupClient::GroupClient(kj::Own<Hosts> hosts, std::string name)
    : name_(std::move(name)),
      hosts_(kj::mv(hosts)),
      route_(kj::refcounted<Route>(kj::addRef(*hosts_), name_)),
      commands_(*route_, Lane::Kind::commands),
      queries_(*route_, Lane::Kind::queries) {}

GroupClient::~GroupClient() noexcept(false) = default;

void GroupClient::call(MethodId method, kj::ArrayPtr<const capnp::word> params, Done done) {
  commands_.add(method, params, {}, kj::mv(done));
}

void GroupClient::query(MethodId method, kj::ArrayPtr<const capnp::word> params,
                        Freshness freshness, Done done) {
  queries_.add(method, params, freshness, kj::mv(done));
}

kj::Promise<Outcome> GroupClient::call(MethodId method, kj::ArrayPtr<const capnp::word> params) {
  auto pair = kj::newPromiseAndFulfiller<Outcome>();
  call(method, params, [fulfiller = kj::mv(pair.fulfiller)](Outcome&& outcome) mutable {
    fulfiller->fulfill(std::move(outcome));
  });
  return pair.promise.attach(kj::addRef(*this));
}

kj::Promise<Outcome> GroupClient::query(MethodId method, kj::ArrayPtr<const capnp::word> params,
                                        Freshness freshness) {
  auto pair = kj::newPromiseAndFulfiller<Outcome>();
  query(method, params, freshness, [fulfiller = kj::mv(pair.fulfiller)](Outcome&& outcome) mutable {
    fulfiller->fulfill(std::move(outcome));
  });
  return pair.promise.attach(kj::addRef(*this));
}

kj::Promise<std::shared_ptr<const Description>> GroupClient::describe() {
  if (description_ != nullptr) return description_;
  uint64_t limitMs = hosts_->options().callTimeoutMs;
  return within(
             hosts_->timer(), limitMs * kj::MILLISECONDS, askDescription(),
             {ErrorCode::unavailable,
              "group " + name_ + ": not described within " + std::to_string(limitMs) + " ms", ""})
      .attach(kj::addRef(*this));
}

// Asks until somebody answers or says for good why not; `describe` sets the limit.
kj::Promise<std::shared_ptr<const Description>> GroupClient::askDescription() {
  return route_->seek()
      .then([this]() {
        KJ_IF_MAYBE (target, route_->now()) {
          return within(hosts_->timer(), hosts_->options().attemptTimeoutMs * kj::MILLISECONDS,
                        kj::Promise<capnp::Response<schema::Group::DescribeResults>>(
                            target->group.describeRequest().send()),
                        {ErrorCode::timeout, "host " + target->link->address() + ": silent", ""});
        }
        kj::throwFatalException(exceptionOf({ErrorCode::unavailable, "the host is gone", ""}));
      })
      .then([this](capnp::Response<schema::Group::DescribeResults>&& response) {
        description_ =
            std::make_shared<const Description>(client::describe(response.getDescription()));
        return description_;
      })
      .catch_([this](kj::Exception&& exception) -> kj::Promise<std::shared_ptr<const Description>> {
        if (verdictOn(faultOf(exception).code, true) == Verdict::final) return kj::mv(exception);
        return hosts_->timer().afterDelay(kDescribePause).then([this]() {
          return askDescription();
        });
      });
}

capnp::Capability::Client GroupClient::service() {
  return newService(kj::addRef(*this));
}

kj::Own<Listener> GroupClient::subscribe(std::string topicPrefix, Position after,
                                         Listener::Listen listen) {
  return kj::refcounted<Listener>(kj::addRef(*hosts_), kj::addRef(*route_), std::move(topicPrefix),
                                  after, kj::mv(listen));
}

size_t GroupClient::unanswered() const {
  return commands_.unanswered() + queries_.unanswered();
}

}  // namespace flotilla::client
