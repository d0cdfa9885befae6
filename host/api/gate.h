// The door: schemas/client.capnp Gate.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <capnp/capability.h>

#include "host/runtime/host.h"
#include "schemas/client.capnp.h"

namespace flotilla::api {

// What lies behind the door, so that the door itself needs no host.
struct House {
  std::function<Result<runtime::Access>(kj::StringPtr token)> access;
  // `unsentBytes`: of messages to that connection that have not left.
  std::function<schema::Host::Client(const runtime::Access&, std::function<size_t()> unsentBytes)>
      host;
  std::function<capnp::Capability::Client(const runtime::Access&)> admin;
  std::function<capnp::Capability::Client(runtime::Visitor&)> peer;
  std::function<std::vector<std::pair<uint64_t, std::string>>()> hosts;  // ids and addresses
  uint64_t hostId = 0;
  std::string cluster;
  std::string version;
};

// Cap'n Proto's servers are disposed of by what made them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

// Gives each role what is its own, and a stranger nothing.
//
// Owner:  the connection, as its bootstrap; one each. `house` outlives it.
// Thread: the loop's.
// Errors: `denied` for a wrong token; after kWrongMax of them every token is wrong. A second login
//         is a `badRequest`.
class Gate final : public schema::Gate::Server {
public:
  static constexpr int kWrongMax = 5;

  Gate(const House& house, kj::Own<runtime::Visitor> visitor)
      : house_(house), visitor_(std::make_shared<kj::Own<runtime::Visitor>>(kj::mv(visitor))) {}

protected:
  kj::Promise<void> login(LoginContext context) override;

private:
  const House& house_;
  const std::shared_ptr<kj::Own<runtime::Visitor>> visitor_;  // with calls that outlive this
  int wrong_ = 0;
  bool loggedIn_ = false;
};

#pragma GCC diagnostic pop

}  // namespace flotilla::api
