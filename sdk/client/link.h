// One connection to one host.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <kj/async.h>
#include <kj/refcount.h>
#include <kj/timer.h>

#include "flotilla/result.h"
#include "schemas/admin.capnp.h"
#include "schemas/client.capnp.h"
#include "sdk/client/connector.h"
#include "sdk/client/courier.h"
#include "sdk/client/options.h"
#include "sdk/client/outcome.h"
#include "sdk/client/turn_end.h"

namespace flotilla::client {

// A host's door, opened and kept open: connects, logs in, and knows when the connection is gone.
// It tries once when told to; Hosts tells it when to try again.
//
// Owner:  Hosts, and targets that lead through it.
// Thread: the client's loop.
// Errors: connect() is rejected with a fault's text (`denied`, `unavailable`); `trouble` keeps it.
// Time:   one attempt takes at most kConnectMsMax.
class Link final : public kj::Refcounted {
public:
  Link(kj::Timer& timer, TurnEnd& turnEnd, Connector& connector, std::string address,
       const ClientOptions& options);
  ~Link() noexcept(false);

  // Connects and logs in. Only while not up, one at a time.
  kj::Promise<void> connect();
  // Ends when the connection that is up is gone.
  kj::Promise<void> whenDown();
  // Closes the connection: the host has been silent for too long.
  void drop();
  // The same, for it is not a host that we want.
  void refuse(Fault fault);

  bool up() const { return up_; }
  uint64_t connection() const {
    return connection_;
  }  // counts connections; capabilities die with theirs
  const std::string& address() const { return address_; }
  const std::optional<Fault>& trouble() const { return trouble_; }  // why the last attempt failed

  // As the last login said. `host`, `admin` and `courier` only while up.
  uint64_t hostId() const { return hostId_; }
  const std::string& cluster() const { return cluster_; }
  const std::vector<HostAddress>& known() const { return known_; }
  schema::Host::Client host();
  kj::Maybe<schema::Admin::Client> admin();  // null: the token is no operator's
  Courier& courier();

private:
  struct Wire;
  void logged(kj::Own<Wire> wire, schema::Login::Reader login);
  kj::Promise<void> login(kj::Own<kj::AsyncIoStream> stream);

  kj::Timer& timer_;
  TurnEnd& turnEnd_;
  Connector& connector_;
  std::string address_;
  const ClientOptions& options_;
  bool up_ = false;
  uint64_t connection_ = 0;
  uint64_t hostId_ = 0;
  std::string cluster_;
  std::vector<HostAddress> known_;
  std::optional<Fault> trouble_;
  kj::Own<Wire> wire_;
};

constexpr uint64_t kConnectMsMax = 3'000;

}  // namespace flotilla::client
