// What hosts say of themselves, of plugins and of groups, as JSON for programs.
#include "admin/views.h"

#include <cstdio>

namespace flotilla::admin {
namespace {

std::string text(capnp::Text::Reader value) {
  return {value.cStr(), value.size()};
}

Json memberJson(schema::GroupStatus::Member::Reader member) {
  Json out;
  out["host"] = member.getHost();
  out["replica"] = member.getReplica();
  out["role"] = text(member.getRole());
  out["match"] = member.getMatch();
  out["state"] = text(member.getState());
  out["reachable"] = member.getReachable();
  out["commit"] = member.getCommit();
  out["applied"] = member.getApplied();
  out["firstIndex"] = member.getFirstIndex();
  out["lastIndex"] = member.getLastIndex();
  out["snapshotIndex"] = member.getSnapshotIndex();
  if (member.getOnDisk()) out["durableIndex"] = member.getDurableIndex();
  out["applyLagMs"] = member.getApplyLagMs();
  out["logBytes"] = member.getLogBytes();
  out["memoryBytes"] = member.getMemoryBytes();
  out["ready"] = member.getReady();
  out["machine"] = text(member.getMachine());
  out["digest"] = member.getDigest();
  out["fault"] = nullptr;
  if (member.getFault().size() != 0) {
    out["fault"] = text(member.getFault());
    out["faultIndex"] = member.getFaultIndex();
    out["faultOrdinal"] = member.getFaultOrdinal();
  }
  if (member.getPlugin().size() != 0) out["plugin"] = text(member.getPlugin());
  if (member.getSwitchedAt() != 0) out["switchedAt"] = member.getSwitchedAt();
  if (member.getMemoryBytesMax() != 0) out["memoryBytesMax"] = member.getMemoryBytesMax();
  if (member.getApplyTimePercentMax() != 0) {
    out["applyTimePercentMax"] = member.getApplyTimePercentMax();
  }
  if (member.getCallsPerSecondMax() != 0) {
    out["callsPerSecondMax"] = member.getCallsPerSecondMax();
  }
  if (member.getRefuses().size() != 0) out["refuses"] = text(member.getRefuses());
  if (member.getSnapshotTotal() != 0) {
    out["snapshotSentBytes"] = member.getSnapshotSent();
    out["snapshotTotalBytes"] = member.getSnapshotTotal();
  }
  if (member.getQuarantinedAt() != 0) out["quarantinedAt"] = member.getQuarantinedAt();
  if (member.getDigestsSplitAt() != 0) out["digestsSplitAt"] = member.getDigestsSplitAt();
  return out;
}

Json keyValues(capnp::List<schema::KeyValue>::Reader list) {
  Json out = Json::object();
  for (auto pair : list) out[text(pair.getKey())] = text(pair.getValue());
  return out;
}

template <typename List>
Json numbers(List list) {
  Json out = Json::array();
  for (auto number : list) out.push_back(number);
  return out;
}

Json specJson(schema::GroupSpec::Reader spec) {
  Json out;
  out["plugin"] = text(spec.getPlugin());
  out["on"] = numbers(spec.getOn());
  out["replicas"] = spec.getReplicas();
  out["learners"] = numbers(spec.getLearners());
  out["options"] = keyValues(spec.getOptions());
  out["config"] = keyValues(spec.getConfig());
  return out;
}

}  // namespace

Json hostJson(schema::HostStatus::Reader host) {
  Json out;
  out["id"] = host.getId();
  out["address"] = text(host.getAddress());
  out["http"] = text(host.getHttp());
  out["state"] = text(host.getState());
  out["version"] = text(host.getVersion());
  out["birth"] = text(host.getBirth());
  out["bootNumber"] = host.getBootNumber();
  out["uptimeMs"] = host.getUptimeMs();
  out["replicas"] = host.getReplicas();
  out["leading"] = host.getLeading();
  out["faulted"] = host.getFaulted();
  out["memoryBytes"] = host.getMemoryBytes();
  out["volumes"] = Json::array();
  for (auto volume : host.getVolumes()) {
    Json it;
    it["name"] = text(volume.getName());
    it["path"] = text(volume.getPath());
    it["freeBytes"] = volume.getFreeBytes();
    it["logBytes"] = volume.getLogBytes();
    it["state"] = text(volume.getState());
    out["volumes"].push_back(std::move(it));
  }
  return out;
}

Json pluginJson(schema::PluginStatus::Reader plugin) {
  Json out;
  out["name"] = text(plugin.getName());
  out["version"] = text(plugin.getVersion());
  out["sha256"] = text(plugin.getSha256());
  out["bytes"] = plugin.getBytes();
  out["groups"] = plugin.getGroups();
  return out;
}

Json groupJson(schema::GroupStatus::Reader group) {
  Json out;
  out["name"] = text(group.getName());
  out["id"] = group.getId();
  out["incarnation"] = group.getIncarnation();
  out["plugin"] = {{"name", text(group.getPlugin().getName())},
                   {"version", text(group.getPlugin().getVersion())},
                   {"sha256", text(group.getPlugin().getSha256())}};
  out["state"] = text(group.getState());
  if (std::string refuses = refusesText(group); !refuses.empty()) out["refuses"] = refuses;
  out["leader"] = group.getLeader();
  out["term"] = group.getTerm();
  out["members"] = Json::array();
  for (auto member : group.getMembers()) out["members"].push_back(memberJson(member));
  out["spec"] = specJson(group.getSpec());
  return out;
}

Json clusterJson(schema::ClusterStatus::Reader status) {
  Json out;
  out["cluster"] = text(status.getCluster());
  out["healthy"] = status.getHealthy();
  out["catalogLeader"] = status.getCatalogLeader();
  out["groups"] = status.getGroups();
  out["groupsReady"] = status.getGroupsReady();
  out["groupsUnhealthy"] = status.getGroupsUnhealthy();
  out["plugins"] = status.getPlugins();
  out["hosts"] = Json::array();
  for (auto host : status.getHosts()) out["hosts"].push_back(hostJson(host));
  out["problems"] = Json::array();
  for (auto problem : status.getProblems()) out["problems"].push_back(text(problem));
  return out;
}

void printJson(const Json& object) {
  std::string line = object.dump(-1, ' ', false, Json::error_handler_t::replace);
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stdout);
}

std::string refusesText(schema::GroupStatus::Reader group) {
  for (auto member : group.getMembers()) {
    if (member.getHost() == group.getLeader()) return text(member.getRefuses());
  }
  return "";
}

std::string healthText(schema::GroupStatus::Reader group) {
  unsigned good = 0;
  for (auto member : group.getMembers()) {
    bool whole = member.getReachable() && member.getReady() && member.getFault().size() == 0;
    good += whole ? 1 : 0;
  }
  return std::to_string(good) + "/" + std::to_string(group.getMembers().size());
}

}  // namespace flotilla::admin
