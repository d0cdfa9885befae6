// Batches of calls, from the wire to the router and back.
#include "host/api/group_service.h"

#include <cstring>
#include <utility>

#include "host/api/faults.h"
#include "host/api/plugin_service.h"
#include "host/api/words.h"
#include "host/runtime/flat_words.h"

namespace flotilla::api {
namespace {

constexpr size_t kWord = sizeof(capnp::word);

size_t roundedUp(size_t bytes) {
  return (bytes + kWord - 1) / kWord * kWord;
}

// All params of a batch in one aligned copy: the message they came in belongs to this loop alone.
template <typename Calls>
kj::Maybe<Fault> copyParams(Calls from, std::vector<group::Call>& to) {
  size_t bytes = 0;
  for (auto call : from) bytes += roundedUp(call.getParams().size());
  if (bytes > kBatchBytesMax || from.size() > kBatchCallsMax) {
    return Fault{ErrorCode::tooLarge,
                 "batch: " + std::to_string(from.size()) + " calls with " + std::to_string(bytes) +
                     " bytes; at most " + std::to_string(kBatchCallsMax) + " with " +
                     std::to_string(kBatchBytesMax),
                 ""};
  }
  std::shared_ptr<char[]> buffer = Bytes::allocate(bytes);
  Bytes all = Bytes::take(buffer, bytes);
  size_t at = 0;
  to.reserve(from.size());
  for (auto call : from) {
    std::string_view params = viewOf(call.getParams());
    if (params.size() % kWord != 0) {
      return Fault{ErrorCode::badRequest,
                   "batch: params of " + std::to_string(params.size()) +
                       " bytes; they are one segment of whole words",
                   ""};
    }
    if (!params.empty()) std::memcpy(buffer.get() + at, params.data(), params.size());
    group::Call one;
    one.interfaceId = call.getInterfaceId();
    one.method = call.getMethod();
    one.params = all.part(all.view().substr(at, params.size()));
    to.push_back(std::move(one));
    at += params.size();
  }
  return nullptr;
}

group::Freshness read(schema::Freshness::Reader from) {
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

void writeOutcomes(const runtime::Outcomes& from, capnp::List<schema::Outcome>::Builder to,
                   runtime::Host& host) {
  for (unsigned i = 0; i < to.size(); ++i) {
    const group::Outcome& outcome = from[i];
    if (outcome.ok()) {
      to[i].setAnswer(dataOf(outcome.body.view()));
    } else {
      auto fault = to[i].initFault();
      write(faultOf(outcome), fault);
      if (outcome.leaderHint != 0) {
        fault.getLeader().setId(outcome.leaderHint);
        fault.getLeader().setAddress(host.addressOf(outcome.leaderHint));
      }
    }
    to[i].getPosition().setIndex(outcome.position.index);
    to[i].getPosition().setOrdinal(outcome.position.ordinal);
  }
}

capnp::MessageSize sizeOf(const runtime::Outcomes& outcomes) {
  constexpr uint64_t kWordsEach = 24;
  uint64_t words = kWordsEach;
  for (const group::Outcome& outcome : outcomes) {
    words += kWordsEach + roundedUp(outcome.body.size()) / kWord;
  }
  return {words, 0};
}

Fault full(const std::string& name) {
  return Fault{ErrorCode::overloaded,
               "group " + name + ": this connection has too much under way; wait for answers", ""};
}

size_t bytesOf(const std::vector<group::Call>& calls) {
  size_t bytes = 0;
  for (const group::Call& call : calls) bytes += call.params.size();
  return bytes;
}

}  // namespace

GroupService::GroupService(kj::Own<Session> session, runtime::GroupRef group, std::string name)
    : session_(kj::mv(session)), group_(group), name_(std::move(name)) {}

kj::Promise<void> GroupService::service(ServiceContext context) {
  context.getResults().setService(kj::heap<PluginService>(kj::addRef(*session_), group_, name_));
  return kj::READY_NOW;
}

kj::Promise<void> GroupService::submit(SubmitContext context) {
  std::vector<group::Call> calls;
  auto commands = context.getParams().getCommands();
  KJ_IF_MAYBE (fault, copyParams(commands, calls)) return exceptionOf(*fault);
  for (unsigned i = 0; i < commands.size(); ++i) {
    auto stamp = commands[i].getStamp();
    calls[i].stamp = {stamp.getSession(), stamp.getSequence(), stamp.getAcknowledgedBelow()};
  }
  context.releaseParams();
  KJ_IF_MAYBE (ticket, session_->admission().enter(calls.size(), bytesOf(calls))) {
    runtime::Host& host = session_->host();
    return host.router()
        .submit(group_, std::move(calls), session_->forward())
        .then([context, &host](runtime::Outcomes outcomes) mutable {
          auto results = context.getResults(sizeOf(outcomes));
          writeOutcomes(outcomes, results.initOutcomes(static_cast<unsigned>(outcomes.size())),
                        host);
        })
        .attach(kj::mv(*ticket));
  }
  return exceptionOf(full(name_));
}

kj::Promise<void> GroupService::query(QueryContext context) {
  std::vector<group::Call> calls;
  KJ_IF_MAYBE (fault, copyParams(context.getParams().getQuestions(), calls)) {
    return exceptionOf(*fault);
  }
  group::Freshness freshness = read(context.getParams().getFreshness());
  context.releaseParams();
  KJ_IF_MAYBE (ticket, session_->admission().enter(calls.size(), bytesOf(calls))) {
    runtime::Host& host = session_->host();
    return host.router()
        .query(group_, std::move(calls), freshness, session_->forward())
        .then([context, &host](runtime::Outcomes outcomes) mutable {
          auto results = context.getResults(sizeOf(outcomes));
          writeOutcomes(outcomes, results.initOutcomes(static_cast<unsigned>(outcomes.size())),
                        host);
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

}  // namespace flotilla::api
