// A group as a capability of its plugin's interface.
#include "sdk/client/service.h"

#include "sdk/client/fault_text.h"

namespace flotilla::client {
namespace {

// capnp disposes of servers by their own type, so that its base needs no virtual destructor.
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

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
      return exceptionOf({ErrorCode::noSuchMethod,
                          "group " + group_->name() + ": its plugin " + description.plugin +
                              " has no such method; it is of another interface or version",
                          ""});
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

}  // namespace

capnp::Capability::Client newService(kj::Own<GroupClient> group) {
  return kj::heap<Service>(kj::mv(group));
}

}  // namespace flotilla::client
