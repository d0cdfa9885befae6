// What operators ask of a host: schemas/admin.capnp Admin.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "host/api/catalog_commands.h"
#include "host/api/session.h"
#include "host/api/status_gather.h"
#include "schemas/admin.capnp.h"

namespace flotilla::api {

// Cap'n Proto's servers are disposed of by what made them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

// Any host answers for the whole cluster.
//
// Owner:  the connection of an operator.
// Thread: the loop's.
// Errors: as exceptionOf says.
// Time:   status waits at most a second for each host, all asked at once; commands as their
//         `timeoutMs` says.
class AdminService final : public schema::Admin::Server {
public:
  AdminService(kj::Own<Session> session, CatalogCommands& commands, StatusRounds& rounds)
      : session_(kj::mv(session)), host_(session_->host()), commands_(commands), rounds_(rounds) {}

protected:
  kj::Promise<void> listHosts(ListHostsContext context) override;
  kj::Promise<void> showHost(ShowHostContext context) override;
  kj::Promise<void> pushPlugin(PushPluginContext context) override;
  kj::Promise<void> listPlugins(ListPluginsContext context) override;
  kj::Promise<void> showPlugin(ShowPluginContext context) override;
  kj::Promise<void> createGroup(CreateGroupContext context) override;
  kj::Promise<void> removeGroup(RemoveGroupContext context) override;
  kj::Promise<void> listGroups(ListGroupsContext context) override;
  kj::Promise<void> countGroups(CountGroupsContext context) override;
  kj::Promise<void> showGroup(ShowGroupContext context) override;
  kj::Promise<void> transferLeader(TransferLeaderContext context) override;
  kj::Promise<void> snapshotGroup(SnapshotGroupContext context) override;
  kj::Promise<void> clusterStatus(ClusterStatusContext context) override;
  kj::Promise<void> retryGroup(RetryGroupContext context) override;
  kj::Promise<void> rebuildGroup(RebuildGroupContext context) override;
  kj::Promise<void> upgradeGroup(UpgradeGroupContext context) override;
  kj::Promise<void> setGroup(SetGroupContext context) override;  // admin_options.cc

private:
  struct Page;
  struct Health;

  // The group, or noSuchGroup.
  kj::Promise<catalog::GroupPointer> known(capnp::Text::Reader nameOrId);
  kj::Promise<HostWords> askHosts();
  kj::Promise<void> fillPage(ListGroupsContext context, std::shared_ptr<Page> page);
  kj::Promise<void> lookAtGroups(std::shared_ptr<Health> health);
  static constexpr kj::Duration kLookAgain = 50 * kj::MILLISECONDS;
  static constexpr kj::Duration kAnswerTime = 5 * kj::SECONDS;  // of another host
  static kj::Promise<uint64_t> doesNotAnswer(uint64_t host);

  // admin_upgrade.cc: what an upgrade does, one after the other.
  struct Upgrade;
  static std::string lacking(const Upgrade& upgrade, const HostWords& words);
  kj::Promise<uint64_t> askUpgrade(uint64_t host, const Upgrade& upgrade, bool switches);
  kj::Promise<void> triedEverywhere(std::shared_ptr<Upgrade> upgrade);
  kj::Promise<void> switched(std::shared_ptr<Upgrade> upgrade);
  kj::Promise<void> seenSwitched(std::shared_ptr<Upgrade> upgrade);
  kj::Promise<void> rebuilt(catalog::GroupPointer group, uint64_t on, kj::TimePoint deadline);
  kj::Promise<catalog::GroupPointer> seenSet(catalog::GroupPointer group, kj::TimePoint deadline);
  kj::Promise<uint64_t> transferred(catalog::GroupPointer group, uint64_t to,
                                    kj::TimePoint deadline);
  // Peer.control there, or here where `host` is this one.
  kj::Promise<uint64_t> control(uint64_t host, uint64_t group, schema::Peer::Verb verb,
                                uint64_t argument);

  kj::Own<Session> session_;
  runtime::Host& host_;
  CatalogCommands& commands_;
  StatusRounds& rounds_;
};

#pragma GCC diagnostic pop

}  // namespace flotilla::api
