// A plugin's own interface, whatever it is, over its group.
#pragma once

#include <map>
#include <string>
#include <utility>

#include <capnp/capability.h>

#include "host/api/session.h"

namespace flotilla::api {

// Cap'n Proto's servers are disposed of by what made them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

// What Group.service() gives: calls of any interface, told apart by the plugin's method table.
// Commands are replicated, queries are linearizable. Nothing is known here of their types: params
// go in as flat words, and the machine's answer comes out as it is.
//
// Owner:  the connection that asked for it.
// Thread: the loop's.
// Errors: every fault as exceptionOf says; noSuchMethod is UNIMPLEMENTED, as Cap'n Proto itself has
//         it.
class PluginService final : public capnp::Capability::Server {
public:
  PluginService(kj::Own<Session> session, runtime::GroupRef group, std::string name);

  DispatchCallResult dispatchCall(
      uint64_t interfaceId, uint16_t methodId,
      capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer> context) override;

private:
  using Context = capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer>;
  enum class Kind : uint8_t { command, query };

  kj::Promise<void> call(uint64_t interfaceId, uint16_t methodId, Context context);
  // Nothing while this host does not know the group's plugin.
  bool learnMethods();

  kj::Own<Session> session_;
  runtime::GroupRef group_;
  std::string name_;
  std::map<std::pair<uint64_t, uint16_t>, Kind> methods_;  // by declaring interface and ordinal
};

#pragma GCC diagnostic pop

}  // namespace flotilla::api
