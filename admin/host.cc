// flotilla host: the processes of the cluster.
#include <cstdio>
#include <memory>

#include "admin/cluster.h"
#include "admin/nouns.h"
#include "admin/table.h"
#include "admin/views.h"

namespace flotilla::admin {
namespace {

Exit list(const Options& options, const std::string& command) {
  return withCluster(options, {command, kAskMs}, [&](Cluster& cluster) {
    auto response = cluster.wait(cluster.admin().listHosts());
    if (options.json) {
      Json out = {{"hosts", Json::array()}};
      for (auto host : response.getHosts()) out["hosts"].push_back(hostJson(host));
      printJson(out);
      return Exit::done;
    }
    Table table({"ID", "ADDRESS", "STATE", "REPLICAS", "LEADING", "FAULTED", "UP", "VERSION"});
    for (auto host : response.getHosts()) {
      table.add({std::to_string(host.getId()), host.getAddress().cStr(), host.getState().cStr(),
                 std::to_string(host.getReplicas()), std::to_string(host.getLeading()),
                 std::to_string(host.getFaulted()), durationText(host.getUptimeMs()),
                 orDash(std::string(host.getVersion().cStr()))});
    }
    table.print();
    return Exit::done;
  });
}

void printHost(schema::HostStatus::Reader host) {
  Table table({"HOST", std::to_string(host.getId())});
  table.add({"address", host.getAddress().cStr()});
  table.add({"http", orDash(std::string(host.getHttp().cStr()))});
  table.add({"state", host.getState().cStr()});
  table.add({"version", orDash(std::string(host.getVersion().cStr()))});
  table.add({"birth", orDash(std::string(host.getBirth().cStr()))});
  table.add({"boot number", std::to_string(host.getBootNumber())});
  table.add({"up", durationText(host.getUptimeMs())});
  table.add({"memory", bytesText(host.getMemoryBytes())});
  table.add({"replicas", std::to_string(host.getReplicas())});
  table.add({"leading", std::to_string(host.getLeading())});
  table.add({"faulted", std::to_string(host.getFaulted())});
  table.print();
  if (host.getVolumes().size() == 0) return;
  Table volumes({"VOLUME", "PATH", "FREE", "LOG", "STATE"});
  for (auto volume : host.getVolumes()) {
    volumes.add({volume.getName().cStr(), volume.getPath().cStr(), bytesText(volume.getFreeBytes()),
                 bytesText(volume.getLogBytes()), volume.getState().cStr()});
  }
  std::puts("");
  volumes.print();
}

Exit show(const Options& options, const std::string& command, uint64_t id) {
  return withCluster(options, {command, kAskMs}, [&](Cluster& cluster) {
    auto response = cluster.wait(cluster.admin().showHost(id));
    if (options.json) {
      printJson(hostJson(response.getHost()));
    } else {
      printHost(response.getHost());
    }
    return Exit::done;
  });
}

}  // namespace

void addHostCommands(CLI::App& root, Chosen& chosen) {
  CLI::App* host = addNoun(root, "host", "The hosts of the cluster.");

  CLI::App* listing = addCommand(*host, "list", "Lists all hosts with what they carry.");
  listing->callback([&chosen, name = fullName(*listing)]() {
    chosen.run = [name](const Options& options) { return list(options, name); };
  });

  auto id = std::make_shared<uint64_t>(0);
  CLI::App* showing = addCommand(*host, "show", "Shows one host and its volumes.");
  showing->add_option("ID", *id, "the host's id")->required()->type_name("");
  showing->callback([&chosen, id, name = fullName(*showing)]() {
    chosen.run = [id, name](const Options& options) { return show(options, name, *id); };
  });
}

}  // namespace flotilla::admin
