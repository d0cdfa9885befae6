// flotilla status: the whole cluster on one page.
#include <cstdio>
#include <memory>

#include "admin/cluster.h"
#include "admin/nouns.h"
#include "admin/table.h"
#include "admin/views.h"

namespace flotilla::admin {
namespace {

void print(schema::ClusterStatus::Reader status) {
  std::printf("cluster %s: %s\n", status.getCluster().cStr(),
              status.getHealthy() ? "healthy" : "not healthy");
  std::printf("groups: %llu, ready %llu, unhealthy %llu; plugins: %llu; catalog led by host %s\n\n",
              static_cast<unsigned long long>(status.getGroups()),
              static_cast<unsigned long long>(status.getGroupsReady()),
              static_cast<unsigned long long>(status.getGroupsUnhealthy()),
              static_cast<unsigned long long>(status.getPlugins()),
              orDash(status.getCatalogLeader()).c_str());
  Table table({"HOST", "ADDRESS", "STATE", "REPLICAS", "LEADING", "FAULTED", "MEMORY", "UP"});
  for (auto host : status.getHosts()) {
    table.add({std::to_string(host.getId()), host.getAddress().cStr(), host.getState().cStr(),
               std::to_string(host.getReplicas()), std::to_string(host.getLeading()),
               std::to_string(host.getFaulted()), bytesText(host.getMemoryBytes()),
               durationText(host.getUptimeMs())});
  }
  table.print();
  for (auto problem : status.getProblems()) std::printf("problem: %s\n", problem.cStr());
}

Exit run(const Options& options, const std::string& command, bool check) {
  return withCluster(options, {command, kAskMs}, [&](Cluster& cluster) {
    auto response = cluster.wait(cluster.admin().clusterStatus());
    auto status = response.getStatus();
    if (options.json) {
      printJson(clusterJson(status));
    } else {
      print(status);
    }
    return check && !status.getHealthy() ? Exit::refused : Exit::done;
  });
}

}  // namespace

void addStatusCommand(CLI::App& root, Chosen& chosen) {
  auto check = std::make_shared<bool>(false);
  CLI::App* status =
      addCommand(root, "status", "Shows the whole cluster: hosts, groups, what is wrong.");
  status->add_flag("--check", *check, "exit 1 unless everything is healthy");
  status->callback([&chosen, check, name = fullName(*status)]() {
    chosen.run = [check, name](const Options& options) { return run(options, name, *check); };
  });
}

}  // namespace flotilla::admin
