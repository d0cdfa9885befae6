// A client of a Flotilla cluster.
#pragma once

#include <map>
#include <string>

#include <kj/async-io.h>
#include <kj/async.h>
#include <kj/timer.h>

#include "sdk/client/admin.h"
#include "sdk/client/connector.h"
#include "sdk/client/group_client.h"
#include "sdk/client/hosts.h"
#include "sdk/client/options.h"

namespace flotilla::client {

// The door to a cluster. Give it the address of one host or of several, and a token:
//
//   kj::AsyncIoContext io = kj::setupAsyncIo();
//   ClientOptions options;
//   options.addresses = {"127.0.0.1:7400", "127.0.0.1:7401"};
//   options.token = token;
//   Client client(io, options);
//   Kv::Client kv = client.group("orders")->as<Kv>();
//
// Connections are made when first needed, and again whenever they break.
//
// Owner:  the application, on its stack or heap. Groups and capabilities got from it may outlive
// it,
//         but not the loop, the network or the timer.
// Thread: one KJ loop's.
// Errors: see GroupClient and Admin. `reach` is rejected with what each host said.
class Client {
public:
  Client(kj::AsyncIoContext& io, ClientOptions options);
  Client(kj::Timer& timer, kj::Own<Connector> connector, ClientOptions options);

  // Ends once a host has let us in; is rejected as soon as every address was tried in vain. There
  // is no need to call it, for calls wait until a host answers or their time is up.
  kj::Promise<void> reach();

  // The same object each time for one name; whether the group exists is seen by calling it.
  kj::Own<GroupClient> group(const std::string& name);

  // For operators' tokens.
  Admin admin();

  // Whichever host answers first: for what GroupClient does not offer (listGroups, hasGroup).
  kj::Promise<schema::Host::Client> host();

  Hosts& hosts() { return *hosts_; }

private:
  kj::Own<Hosts> hosts_;
  std::map<std::string, kj::Own<GroupClient>> groups_;  // at most kGroupsKeptMax
};

}  // namespace flotilla::client
