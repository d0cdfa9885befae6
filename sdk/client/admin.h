// What operators ask of a cluster.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <kj/async.h>
#include <kj/function.h>

#include "schemas/admin.capnp.h"
#include "sdk/client/hosts.h"

namespace flotilla::client {

// schemas/admin.capnp, asked of whichever host is up. Every request there is idempotent, so one
// whose connection breaks, or whose host has no quorum, is asked again elsewhere until its time is
// up.
//
// Owner:  the caller; refers to the client's hosts and keeps them.
// Thread: the client's loop.
// Errors: rejected with a fault's text; read it with faultOf. `timeout` where something was sent
//         and nothing is known, `unavailable` where nothing was.
// Time:   ends within `timeoutMs`, by default ClientOptions::callTimeoutMs.
class Admin {
public:
  using Api = schema::Admin;

  explicit Admin(kj::Own<Hosts> hosts);
  Admin(kj::Own<Hosts> hosts, uint64_t timeoutMs);

  kj::Promise<capnp::Response<Api::ListHostsResults>> listHosts();
  kj::Promise<capnp::Response<Api::ShowHostResults>> showHost(uint64_t id);

  kj::Promise<capnp::Response<Api::PushPluginResults>> pushPlugin(kj::Array<kj::byte> file);
  kj::Promise<capnp::Response<Api::ListPluginsResults>> listPlugins();
  kj::Promise<capnp::Response<Api::ShowPluginResults>> showPlugin(std::string name);

  // `fill` writes the spec; it is called for each attempt.
  kj::Promise<capnp::Response<Api::CreateGroupResults>> createGroup(
      kj::Function<void(schema::GroupSpec::Builder)> fill);
  kj::Promise<capnp::Response<Api::RemoveGroupResults>> removeGroup(std::string name);

  struct GroupFilter {
    uint64_t on = 0;  // 0: any host
    std::string plugin;
    bool unhealthyOnly = false;
    std::string after;
    uint32_t limit = 0;  // 0: the host's
  };
  kj::Promise<capnp::Response<Api::ListGroupsResults>> listGroups(GroupFilter filter);
  kj::Promise<capnp::Response<Api::CountGroupsResults>> countGroups();
  kj::Promise<capnp::Response<Api::ShowGroupResults>> showGroup(std::string name);
  kj::Promise<capnp::Response<Api::TransferLeaderResults>> transferLeader(std::string name,
                                                                          uint64_t toHost);
  kj::Promise<capnp::Response<Api::SnapshotGroupResults>> snapshotGroup(std::string name);
  kj::Promise<capnp::Response<Api::ClusterStatusResults>> clusterStatus();
  kj::Promise<capnp::Response<Api::RetryGroupResults>> retryGroup(std::string name);
  kj::Promise<capnp::Response<Api::RebuildGroupResults>> rebuildGroup(std::string name,
                                                                      uint64_t onHost);
  kj::Promise<capnp::Response<Api::SetGroupResults>> setGroup(
      std::string name, std::vector<std::pair<std::string, std::string>> options);
  kj::Promise<capnp::Response<Api::UpgradeGroupResults>> upgradeGroup(std::string name,
                                                                      std::string plugin);

private:
  template <typename Results, typename Send>
  kj::Promise<capnp::Response<Results>> look(Send&& send);
  template <typename Results, typename Send>
  kj::Promise<capnp::Response<Results>> change(Send&& send);
  uint32_t hostTimeoutMs() const;

  kj::Own<Hosts> hosts_;
  uint64_t timeoutMs_;
};

// The largest file that pushPlugin takes.
constexpr size_t kPluginBytesMax = 48 << 20;

}  // namespace flotilla::client
