// How groups are shown to people.
#include "admin/group_views.h"

#include <cstdio>
#include <string>
#include <string_view>

#include "admin/views.h"

namespace flotilla::admin {
namespace {

constexpr std::string_view kMemoryQuota = "memoryBytesMax";
constexpr std::string_view kTimeQuota = "applyTimePercentMax";
constexpr std::string_view kRateQuota = "callsPerSecondMax";

}  // namespace

std::string quotasText(schema::GroupStatus::Reader group) {
  std::string out;
  for (auto option : group.getSpec().getOptions()) {
    std::string name = option.getKey().cStr();
    std::string value = option.getValue().cStr();
    if (value == "0") continue;
    std::string quota;
    if (name == kMemoryQuota) quota = "memory " + bytesText(std::stoull(value));
    if (name == kTimeQuota) quota = "apply time " + value + " % of a thread";
    if (name == kRateQuota) quota = value + " calls a second";
    if (!out.empty() && !quota.empty()) out += ", ";
    out += quota;
  }
  return out;
}

Table groupRows() {
  return Table({"NAME", "ID", "PLUGIN", "STATE", "LEADER", "TERM", "ON", "READY"});
}

void addGroupRow(Table& table, schema::GroupStatus::Reader group) {
  std::string on;
  for (auto member : group.getMembers()) {
    on += (on.empty() ? "" : ",") + std::to_string(member.getHost());
  }
  std::string plugin = group.getPlugin().getName().cStr();
  if (group.getPlugin().getVersion().size() != 0) {
    plugin += std::string("@") + group.getPlugin().getVersion().cStr();
  }
  // One line a group: what it refuses, and why, `group show` says.
  std::string refuses = refusesText(group);
  std::string state = refuses.empty()                   ? group.getState().cStr()
                      : refuses.starts_with("queries:") ? "refuses queries"
                                                        : "over quota";
  table.add({group.getName().cStr(), std::to_string(group.getId()), plugin, state,
             orDash(group.getLeader()), orDash(group.getTerm()), on, healthText(group)});
}

void printGroup(schema::GroupStatus::Reader group) {
  Table head({"GROUP", group.getName().cStr()});
  head.add({"id", std::to_string(group.getId())});
  head.add({"incarnation", std::to_string(group.getIncarnation())});
  head.add({"plugin", std::string(group.getPlugin().getName().cStr()) + " " +
                          group.getPlugin().getVersion().cStr()});
  head.add({"sha256", orDash(std::string(group.getPlugin().getSha256().cStr()))});
  head.add({"state", group.getState().cStr()});
  head.add({"leader", group.getLeader() == 0 ? std::string("-")
                                             : "host " + std::to_string(group.getLeader())});
  head.add({"term", orDash(group.getTerm())});
  if (std::string quotas = quotasText(group); !quotas.empty()) head.add({"quotas", quotas});
  if (std::string refuses = refusesText(group); !refuses.empty()) head.add({"refuses", refuses});
  head.print();
  std::puts("");
  Table table({"HOST", "REPLICA", "ROLE", "STATE", "MATCH", "COMMIT", "APPLIED", "LOG", "SNAPSHOT",
               "LAG", "LOG SIZE", "MEMORY", "READY"});
  for (auto member : group.getMembers()) {
    table.add(
        {std::to_string(member.getHost()), std::to_string(member.getReplica()),
         orDash(std::string(member.getRole().cStr())),
         member.getReachable() ? member.getState().cStr() : "unreachable",
         orDash(member.getMatch()), std::to_string(member.getCommit()),
         std::to_string(member.getApplied()),
         std::to_string(member.getFirstIndex()) + ".." + std::to_string(member.getLastIndex()),
         orDash(member.getSnapshotIndex()), std::to_string(member.getApplyLagMs()) + " ms",
         bytesText(member.getLogBytes()), bytesText(member.getMemoryBytes()),
         member.getReady() ? "yes" : "no"});
  }
  table.print();
  for (auto member : group.getMembers()) {
    auto host = static_cast<unsigned long long>(member.getHost());
    // A fault says where it is; a machine that is slow or stuck has none.
    if (member.getFault().size() != 0) {
      bool quarantined = member.getQuarantinedAt() != 0;  // its text says so
      std::printf(quarantined ? "host %llu: %s\n" : "host %llu: faulted: %s\n", host,
                  member.getFault().cStr());
    } else if (member.getMachine() == "rebuilding") {
      std::printf("host %llu: is being rebuilt from another replica's snapshot\n", host);
    } else if (member.getMachine() == "stuck" || member.getMachine() == "slow") {
      std::printf("host %llu: its machine is %s, a call there does not end\n", host,
                  member.getMachine().cStr());
    }
    if (member.getSnapshotTotal() != 0) {
      std::printf("host %llu: a snapshot is on its way there, %s of %s\n", host,
                  bytesText(member.getSnapshotSent()).c_str(),
                  bytesText(member.getSnapshotTotal()).c_str());
    }
    if (member.getDigestsSplitAt() != 0) {
      std::printf("digests: no majority of the replicas had equal ones at %llu\n",
                  static_cast<unsigned long long>(member.getDigestsSplitAt()));
    }
  }
}

}  // namespace flotilla::admin
