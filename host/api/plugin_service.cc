// One call of a plugin's interface: in as flat words, out as the machine's answer.
#include "host/api/plugin_service.h"

#include <vector>

#include <kj/debug.h>

#include "host/api/batches.h"
#include "host/api/faults.h"
#include "host/api/words.h"
#include "host/runtime/flat_words.h"
#include "schemas/client.capnp.h"

namespace flotilla::api {

PluginService::PluginService(kj::Own<Session> session, runtime::GroupRef group, std::string name)
    : session_(kj::mv(session)), group_(group), name_(std::move(name)) {}

capnp::Capability::Server::DispatchCallResult PluginService::dispatchCall(uint64_t interfaceId,
                                                                          uint16_t methodId,
                                                                          Context context) {
  return {call(interfaceId, methodId, context), false};
}

bool PluginService::learnMethods() {
  const catalog::CatalogView& view = session_->host().catalog();
  catalog::GroupPointer group = view.group(group_.id);
  catalog::PluginPointer plugin = group ? view.plugin(group->pluginSha256) : nullptr;
  if (!plugin || group->incarnation != group_.incarnation) return false;
  runtime::FlatReader words(Bytes::copyOf(plugin->description));
  for (auto method : words.root<schema::PluginDescription>().getMethods()) {
    bool query = method.getKind() == schema::MethodKind::QUERY;
    methods_[{method.getInterfaceId(), method.getMethod()}] = query ? Kind::query : Kind::command;
  }
  return true;
}

kj::Promise<void> PluginService::call(uint64_t interfaceId, uint16_t methodId, Context context) {
  if (methods_.empty() && !learnMethods()) {
    return exceptionOf(ErrorCode::groupRemoved, "group " + name_ + ": it has been removed");
  }
  auto method = methods_.find({interfaceId, methodId});
  if (method == methods_.end() && learnMethods()) {  // an upgrade may have brought it
    method = methods_.find({interfaceId, methodId});
  }
  if (method == methods_.end()) {
    return exceptionOf(ErrorCode::noSuchMethod,
                       "group " + name_ + ": its plugin has no method " + std::to_string(methodId) +
                           " of interface " + std::to_string(interfaceId) + "; `flotilla call " +
                           name_ + "` lists those it has");
  }
  Result<Bytes> params = flatten(context.getParams());
  context.releaseParams();
  if (!params) return exceptionOf(params.fault());
  kj::Maybe<Admission::Ticket> ticket = session_->admission().enter(1, params->size());
  if (ticket == nullptr) return exceptionOf(full(name_));
  runtime::AnswerShare share = KJ_ASSERT_NONNULL(ticket).share();
  std::vector<group::Call> calls(1);
  calls[0].interfaceId = interfaceId;
  calls[0].method = methodId;
  calls[0].params = std::move(*params);
  runtime::Router& router = session_->host().router();
  auto outcomes = method->second == Kind::query
                      ? router.query(group_, std::move(calls), group::Freshness(),
                                     session_->forward(), kj::mv(share))
                      : router.submit(group_, std::move(calls), session_->forward(), kj::mv(share));
  return outcomes
      .then([context](runtime::Outcomes ended) mutable -> kj::Promise<void> {
        const group::Outcome& outcome = ended.front();
        if (!outcome.ok()) return exceptionOf(faultOf(outcome));
        runtime::FlatReader answer(outcome.body);
        auto results = context.getResults(
            capnp::MessageSize{outcome.body.size() / sizeof(capnp::word) + 1, 0});
        results.set(answer.root<capnp::AnyPointer>());
        return kj::READY_NOW;
      })
      .attach(kj::mv(ticket));
}

}  // namespace flotilla::api
