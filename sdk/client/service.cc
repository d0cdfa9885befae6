// A group as a capability of its plugin's interface.
#include "sdk/client/service.h"

#include <kj/refcount.h>

#include "sdk/client/fault_text.h"

namespace flotilla::client {
namespace {

// capnp disposes of servers by their own type, so that its base needs no virtual destructor.
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

kj::Exception noSuchMethod(const GroupClient& group, const Description& description) {
  return exceptionOf({ErrorCode::noSuchMethod,
                      "group " + group.name() + ": its plugin " + description.plugin +
                          " has no such method; it is of another interface or version",
                      ""});
}

using Context = capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer>;

// Owner:  capnp, for as long as somebody holds the capability.
// Thread: the client's loop.
// Errors: calls are rejected with a fault's text.
class Service final : public capnp::Capability::Server {
public:
  explicit Service(kj::Own<GroupClient> group) : group_(kj::mv(group)) {}

  DispatchCallResult dispatchCall(uint64_t interfaceId, uint16_t method, Context context) override {
    return {group_->describe().then([this, id = MethodId{interfaceId, method}, context](
                                        std::shared_ptr<const Description>&& description) mutable {
              return call(*description, id, context);
            }),
            false};
  }

private:
  kj::Promise<void> call(const Description& description, MethodId id, Context context) {
    const MethodDescription* method = description.find(id);
    if (method == nullptr) {
      return noSuchMethod(*group_, description);
    }
    kj::Array<capnp::word> params = flatten(context.getParams());
    context.releaseParams();
    auto outcome = method->query ? group_->query(id, params) : group_->call(id, params);
    return outcome.then([context](Outcome&& it) mutable {
      if (!it.ok()) kj::throwFatalException(exceptionOf(*it.fault));
      unsigned words = static_cast<unsigned>(it.answer.size() / sizeof(capnp::word));
      FlatMessage message(std::move(it.answer));
      context.getResults(capnp::MessageSize{words + 1, 0}).set(message.root<capnp::AnyPointer>());
    });
  }

  kj::Own<GroupClient> group_;
};

using AnyResponse = capnp::Response<capnp::AnyPointer>;

// Results hold no capabilities, so there is nothing to call in advance.
//
// Owner:  promises of results.
// Thread: the client's loop.
// Errors: whatever is called through it is refused.
class NoPipeline final : public capnp::PipelineHook, public kj::Refcounted {
public:
  kj::Own<capnp::PipelineHook> addRef() override { return kj::addRef(*this); }
  kj::Own<capnp::ClientHook> getPipelinedCap(kj::ArrayPtr<const capnp::PipelineOp>) override {
    return capnp::newBrokenCap("flotilla/badRequest: results hold no capabilities");
  }
};

// An answer's bytes, read in place.
//
// Owner:  the caller's response.
// Thread: the client's loop.
// Errors: see FlatMessage.
class FlatResponse final : public capnp::ResponseHook {
public:
  explicit FlatResponse(Bytes bytes) : message_(std::move(bytes)) {}
  capnp::AnyPointer::Reader root() { return message_.root<capnp::AnyPointer>(); }

private:
  FlatMessage message_;
};

// A call that is being written. Its parameters go to the group's open batch when it is sent: no
// call context, no dispatch, no second message.
//
// Owner:  capnp's Request.
// Thread: the client's loop.
// Errors: in the promise of its results.
class DirectRequest final : public capnp::RequestHook {
public:
  DirectRequest(kj::Own<GroupClient> group, MethodId id, bool query, kj::Own<NoPipeline> pipeline,
                unsigned words)
      : message_(words),
        group_(kj::mv(group)),
        pipeline_(kj::mv(pipeline)),
        id_(id),
        query_(query) {}

  capnp::AnyPointer::Builder root() { return message_.getRoot<capnp::AnyPointer>(); }

  capnp::RemotePromise<capnp::AnyPointer> send() override {
    return capnp::RemotePromise<capnp::AnyPointer>(results(),
                                                   capnp::AnyPointer::Pipeline(kj::mv(pipeline_)));
  }
  kj::Promise<void> sendStreaming() override { return results().ignoreResult(); }
  const void* getBrand() override { return nullptr; }

private:
  kj::Promise<AnyResponse> results() {
    auto pair = kj::newPromiseAndFulfiller<AnyResponse>();
    auto done = [fulfiller = kj::mv(pair.fulfiller)](Outcome&& outcome) mutable {
      if (!outcome.ok()) return fulfiller->reject(exceptionOf(*outcome.fault));
      KJ_IF_MAYBE (damage, kj::runCatchingExceptions([&]() {
                     auto response = kj::heap<FlatResponse>(std::move(outcome.answer));
                     auto root = response->root();
                     fulfiller->fulfill(AnyResponse(root, kj::mv(response)));
                   })) {
        fulfiller->reject(kj::mv(*damage));
      }
    };
    auto segments = message_.getSegmentsForOutput();
    bool flat = segments.size() == 1 && root().asReader().targetSize().capCount == 0;
    if (flat) {
      begin(segments[0], kj::mv(done));
    } else {
      KJ_IF_MAYBE (refused, kj::runCatchingExceptions(
                                [&]() { begin(flatten(root().asReader()), kj::mv(done)); })) {
        return kj::mv(*refused);
      }
    }
    return pair.promise.attach(kj::mv(group_));
  }
  template <typename Done>
  void begin(kj::ArrayPtr<const capnp::word> params, Done&& done) {
    if (query_) {
      group_->query(id_, params, {}, kj::mv(done));
    } else {
      group_->call(id_, params, kj::mv(done));
    }
  }

  capnp::MallocMessageBuilder message_;
  kj::Own<GroupClient> group_;
  kj::Own<NoPipeline> pipeline_;
  MethodId id_;
  bool query_;
};

// What a typed client calls. Until the group has described itself, and for calls that come from
// another connection, it is Service behind it that answers.
//
// Owner:  capnp, for as long as somebody holds the capability.
// Thread: the client's loop.
// Errors: calls are rejected with a fault's text.
class DirectClient final : public capnp::ClientHook, public kj::Refcounted {
public:
  explicit DirectClient(kj::Own<GroupClient> group)
      : group_(kj::mv(group)),
        pipeline_(kj::refcounted<NoPipeline>()),
        behind_(capnp::ClientHook::from(
            capnp::Capability::Client(kj::heap<Service>(kj::addRef(*group_))))) {}

  capnp::Request<capnp::AnyPointer, capnp::AnyPointer> newCall(
      uint64_t interfaceId, uint16_t method, kj::Maybe<capnp::MessageSize> sizeHint) override {
    const Description* description = group_->described();
    if (description == nullptr) return behind_->newCall(interfaceId, method, sizeHint);
    MethodId id{interfaceId, method};
    const MethodDescription* found = description->find(id);
    if (found == nullptr) {
      return capnp::newBrokenRequest(noSuchMethod(*group_, *description), sizeHint);
    }
    auto hook = kj::heap<DirectRequest>(kj::addRef(*group_), id, found->query,
                                        kj::addRef(*pipeline_), wordsFor(sizeHint));
    auto root = hook->root();
    return {root, kj::mv(hook)};
  }

  VoidPromiseAndPipeline call(uint64_t interfaceId, uint16_t method,
                              kj::Own<capnp::CallContextHook>&& context) override {
    return behind_->call(interfaceId, method, kj::mv(context));
  }
  kj::Maybe<capnp::ClientHook&> getResolved() override { return nullptr; }
  kj::Maybe<kj::Promise<kj::Own<capnp::ClientHook>>> whenMoreResolved() override { return nullptr; }
  kj::Own<capnp::ClientHook> addRef() override { return kj::addRef(*this); }
  const void* getBrand() override { return nullptr; }
  kj::Maybe<int> getFd() override { return nullptr; }

private:
  static unsigned wordsFor(kj::Maybe<capnp::MessageSize> sizeHint) {
    constexpr uint64_t kUsual = 64;
    constexpr uint64_t kMax = 1 << 16;  // of what is believed; a message grows by itself
    KJ_IF_MAYBE (hint, sizeHint) {
      return static_cast<unsigned>(kj::min(kj::max(hint->wordCount + 1, kUsual), kMax));
    }
    return kUsual;
  }

  kj::Own<GroupClient> group_;
  kj::Own<NoPipeline> pipeline_;
  kj::Own<capnp::ClientHook> behind_;
};

}  // namespace

capnp::Capability::Client newService(kj::Own<GroupClient> group) {
  return capnp::Capability::Client(
      kj::Own<capnp::ClientHook>(kj::refcounted<DirectClient>(kj::mv(group))));
}

}  // namespace flotilla::client
