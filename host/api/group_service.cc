// Batches of calls, from the wire to the router and back.
#include "host/api/group_service.h"

#include <utility>

#include "host/api/batches.h"
#include "host/api/faults.h"
#include "host/api/plugin_service.h"
#include "host/api/subscription.h"
#include "host/api/words.h"
#include "host/runtime/flat_words.h"

namespace flotilla::api {
namespace {

group::Freshness freshnessOf(schema::Freshness::Reader from) {
  constexpr int64_t kUsPerMs = 1000;
  switch (from.which()) {
    case schema::Freshness::LEASE:
      return {group::Freshness::Kind::lease, 0};
    case schema::Freshness::STALE_MAX_AGE_MS:
      return {group::Freshness::Kind::stale, from.getStaleMaxAgeMs() * kUsPerMs};
    default:
      return {};
  }
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

// A subscription at another host, which counts here, where it came in.
//
// Owner:  the connection that asked for it.
// Thread: the loop's.
// Errors: the other host's.
class PassedOn final : public schema::Subscription::Server {
public:
  PassedOn(schema::Subscription::Client there, kj::Own<Session::Listening> listening)
      : there_(kj::mv(there)), listening_(kj::mv(listening)) {}

protected:
  kj::Promise<void> wait(WaitContext context) override {
    context.releaseParams();
    return context.tailCall(there_.waitRequest());
  }

private:
  schema::Subscription::Client there_;
  kj::Own<Session::Listening> listening_;
};

#pragma GCC diagnostic pop

}  // namespace

GroupService::GroupService(kj::Own<Session> session, runtime::GroupRef group, std::string name)
    : session_(kj::mv(session)), group_(group), name_(std::move(name)) {}

kj::Promise<void> GroupService::service(ServiceContext context) {
  context.getResults().setService(kj::heap<PluginService>(kj::addRef(*session_), group_, name_));
  return kj::READY_NOW;
}

kj::Promise<void> GroupService::submit(SubmitContext context) {
  std::vector<group::Call> calls;
  KJ_IF_MAYBE (fault, read(context.getParams().getCommands(), calls)) return exceptionOf(*fault);
  context.releaseParams();
  KJ_IF_MAYBE (ticket, session_->admission().enter(calls.size(), bytesOf(calls))) {
    runtime::Host& host = session_->host();
    return host.router()
        .submit(group_, std::move(calls), session_->forward(), ticket->share())
        .then([context, &host](runtime::Outcomes outcomes) mutable {
          auto results = context.getResults(capnp::MessageSize{wordsOf(outcomes), 0});
          write(outcomes, results.initOutcomes(static_cast<unsigned>(outcomes.size())), host);
        })
        .attach(kj::mv(*ticket));
  }
  return exceptionOf(full(name_));
}

kj::Promise<void> GroupService::query(QueryContext context) {
  std::vector<group::Call> calls;
  KJ_IF_MAYBE (fault, read(context.getParams().getQuestions(), calls)) {
    return exceptionOf(*fault);
  }
  group::Freshness freshness = freshnessOf(context.getParams().getFreshness());
  context.releaseParams();
  KJ_IF_MAYBE (ticket, session_->admission().enter(calls.size(), bytesOf(calls))) {
    runtime::Host& host = session_->host();
    return host.router()
        .query(group_, std::move(calls), freshness, session_->forward(), ticket->share())
        .then([context, &host](runtime::Outcomes outcomes) mutable {
          auto results = context.getResults(capnp::MessageSize{wordsOf(outcomes), 0});
          write(outcomes, results.initOutcomes(static_cast<unsigned>(outcomes.size())), host);
        })
        .attach(kj::mv(*ticket));
  }
  return exceptionOf(full(name_));
}

kj::Promise<void> GroupService::openSession(OpenSessionContext context) {
  return session_->host()
      .router()
      .openSession(group_, session_->forward())
      .then([context](group::Outcome outcome) mutable -> kj::Promise<void> {
        if (!outcome.ok()) return exceptionOf(faultOf(outcome));
        context.getResults().setSession(outcome.position.index);
        return kj::READY_NOW;
      });
}

kj::Promise<void> GroupService::describe(DescribeContext context) {
  const catalog::CatalogView& view = session_->host().catalog();
  catalog::GroupPointer group = view.group(group_.id);
  catalog::PluginPointer plugin = group ? view.plugin(group->pluginSha256) : nullptr;
  if (!plugin || group->incarnation != group_.incarnation) {
    return exceptionOf(ErrorCode::groupRemoved, "group " + name_ + ": it has been removed");
  }
  auto description = context.getResults().initDescription();
  description.setName(group->spec.name);
  description.setId(group->id);
  description.setIncarnation(group->incarnation);
  runtime::FlatReader words(Bytes::copyOf(plugin->description));
  description.setPlugin(words.root<schema::PluginDescription>());
  return kj::READY_NOW;
}

// Whoever listens to a replica here is served by it, whether or not it leads: positions are the
// same everywhere.
kj::Promise<void> GroupService::subscribe(SubscribeContext context) {
  auto params = context.getParams();
  std::string prefix(viewOf(params.getTopicPrefix()));
  group::Position after{params.getAfter().getIndex(), params.getAfter().getOrdinal()};
  if (prefix.size() > FLOTILLA_TOPIC_BYTES_MAX) {
    return exceptionOf(ErrorCode::badRequest,
                       "subscribe: a topic prefix of " + std::to_string(prefix.size()) +
                           " bytes; at most " + std::to_string(FLOTILLA_TOPIC_BYTES_MAX));
  }
  schema::EventSink::Client sink = params.getSink();
  context.releaseParams();
  runtime::Router& router = session_->host().router();
  KJ_IF_MAYBE (listening, session_->listen()) {
    if (router.hears(group_, after)) {
      context.getResults().setSubscription(
          kj::heap<Subscription>(kj::addRef(*session_), kj::mv(*listening), group_,
                                 std::move(prefix), after, kj::mv(sink)));
      return kj::READY_NOW;
    }
    return router.listen(group_, {std::move(prefix), after, kj::mv(sink)}, session_->forward())
        .then([context,
               listening = kj::mv(*listening)](schema::Subscription::Client elsewhere) mutable {
          context.getResults().setSubscription(
              kj::heap<PassedOn>(kj::mv(elsewhere), kj::mv(listening)));
        });
  }
  return exceptionOf(ErrorCode::overloaded, "group " + name_ + ": this connection listens to " +
                                                std::to_string(Session::kListeningMax) +
                                                " groups already; drop some");
}

}  // namespace flotilla::api
