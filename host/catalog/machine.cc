// Group 0's machine: judges each command, then changes the state in one piece.
#include "host/catalog/machine.h"

#include <algorithm>
#include <string>

#include "flotilla/plugin.h"
#include "host/catalog/records.h"
#include "host/catalog/spec.h"
#include "host/catalog/state.h"
#include "schemas/catalog.capnp.h"

namespace flotilla::catalog {
namespace {

using schema::Catalog;

constexpr size_t kHostsMax = 1'000;
constexpr size_t kPluginsMax = 10'000;
constexpr size_t kGroupsMax = 200'000;
constexpr size_t kReportMax = 10'000;  // replicas, and again plugins, of one report
constexpr uint32_t kChangesUsual = 1'000;
constexpr uint32_t kChangesMax = 10'000;
constexpr size_t kDescriptionBytesMax = 1 << 20;
constexpr size_t kTextBytesMax = 255;  // an address, a version, a name
constexpr size_t kVolumesMax = 64;

[[noreturn]] void refuse(ErrorCode code, const std::string& text) {
  throw Error(std::string(nameOf(code)), text);
}

void requireShort(const std::string& what, const std::string& text) {
  if (text.size() > kTextBytesMax) {
    refuse(ErrorCode::badRequest, what + ": " + std::to_string(text.size()) + " bytes; at most " +
                                      std::to_string(kTextBytesMax));
  }
}

bool hex(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

}  // namespace

void CatalogMachine::registerHost(const Entry&, Catalog::RegisterHostParams::Reader in,
                                  Catalog::RegisterHostResults::Builder out) {
  HostRecord host = read(in.getHost());
  checkHost(host);
  std::optional<HostRecord> known = state_.host(host.id);
  bool stale = known && known->bootNumber > host.bootNumber;
  if (known) host.founder = host.founder || known->founder;
  if (!stale && (!known || !same(*known, host))) state_.put(host);
  out.setRevision(state_.revision());
}

void CatalogMachine::addPlugin(const Entry&, Catalog::AddPluginParams::Reader in,
                               Catalog::AddPluginResults::Builder out) {
  if (in.getPlugin().getDescription().size() > kDescriptionBytesMax) {
    refuse(ErrorCode::tooLarge, "plugin: its schema takes more than 1 MiB");
  }
  PluginRecord plugin = read(in.getPlugin());
  requireShort("plugin name", plugin.name);
  requireShort("plugin version", plugin.version);
  if (!goodName(plugin.name) || plugin.version.empty()) {
    refuse(ErrorCode::badRequest, "plugin \"" + plugin.name + "\" version \"" + plugin.version +
                                      "\": needs a name of a-z 0-9 . _ - and a version");
  }
  if (plugin.sha256.size() != 64 || !hex(plugin.sha256)) {
    refuse(ErrorCode::badRequest, "plugin " + plugin.nameAndVersion() + ": no SHA-256 in hex");
  }
  for (uint64_t holder : plugin.holders) requireHost(holder);
  std::sort(plugin.holders.begin(), plugin.holders.end());
  std::optional<PluginRecord> named = state_.pluginByText(plugin.nameAndVersion());
  if (named && named->sha256 != plugin.sha256) {
    refuse(ErrorCode::alreadyExists, "plugin " + plugin.nameAndVersion() +
                                         ": exists with SHA-256 " + named->sha256.substr(0, 12) +
                                         ", this file has " + plugin.sha256.substr(0, 12) +
                                         "; give it another version");
  }
  out.setExisted(named.has_value());
  if (named) {
    for (uint64_t holder : plugin.holders) addHolder(plugin.sha256, holder);
    return;
  }
  if (state_.pluginBySha256(plugin.sha256)) {
    refuse(ErrorCode::alreadyExists,
           "plugin " + plugin.nameAndVersion() + ": this very file is known under another name");
  }
  if (state_.pluginCount() >= kPluginsMax) {
    refuse(ErrorCode::tooLarge, "catalog: it holds " + std::to_string(kPluginsMax) + " plugins");
  }
  state_.addPlugin(std::move(plugin));
}

void CatalogMachine::createGroup(const Entry&, Catalog::CreateGroupParams::Reader in,
                                 Catalog::CreateGroupResults::Builder out) {
  if (in.getSpec().totalSize().wordCount > kSpecBytesMax / sizeof(capnp::word) * 2) {
    refuse(ErrorCode::tooLarge, "group: its spec takes more than 512 KiB");
  }
  GroupRecord group;
  group.spec = read(in.getSpec());
  Result<GroupOptions> options = checkSpec(group.spec);
  if (!options) refuse(options.fault().code, options.fault().text);
  if (in.getDeclared() && state_.wasDeclared(group.spec.name)) {
    out.setExisted(true);
    return;
  }
  if (in.getDeclared()) state_.declare(group.spec.name);
  if (uint64_t standing = state_.groupNamed(group.spec.name); standing != 0) {
    GroupRecord there = *state_.group(standing);
    std::string difference = catalog::difference(there.spec, group.spec);
    if (!difference.empty()) {
      refuse(ErrorCode::alreadyExists, "group " + group.spec.name + ": exists with " + difference +
                                           "; remove it first or take another name");
    }
    out.setId(there.id);
    out.setIncarnation(there.incarnation);
    out.setExisted(true);
    return;
  }
  resolve(group, *options);
  state_.create(group);
  out.setId(group.id);
  out.setIncarnation(group.incarnation);
}

void CatalogMachine::removeGroup(const Entry&, Catalog::RemoveGroupParams::Reader in,
                                 Catalog::RemoveGroupResults::Builder out) {
  std::string name(bytes(in.getName()));
  uint64_t id = in.getId() != 0 ? in.getId() : state_.groupNamed(name);
  std::optional<GroupRecord> group = state_.group(id);
  if (group && group->phase != GroupPhase::removing) {
    state_.beginRemoval(*group);
    out.setExisted(true);
    out.setId(id);
  } else {
    out.setId(group ? id : state_.groupBeingRemoved(name));
  }
}

void CatalogMachine::report(const Entry&, Catalog::ReportParams::Reader in,
                            Catalog::ReportResults::Builder out) {
  schema::HostReport::Reader report = in.getReport();
  if (report.getReplicas().size() > kReportMax || report.getPlugins().size() > kReportMax) {
    refuse(ErrorCode::tooLarge, "report: more than " + std::to_string(kReportMax) + " lines");
  }
  std::optional<HostRecord> host = state_.host(report.getHost());
  if (host && host->birth == bytes(report.getBirth())) {
    for (auto replica : report.getReplicas()) takeReport(host->id, replica);
    for (auto sha256 : report.getPlugins()) addHolder(bytes(sha256), host->id);
  }
  out.setRevision(state_.revision());
}

void CatalogMachine::switchGroup(const Entry&, Catalog::SwitchGroupParams::Reader in,
                                 Catalog::SwitchGroupResults::Builder) {
  std::optional<GroupRecord> group = state_.group(in.getId());
  if (!group || group->incarnation != in.getIncarnation()) return;  // removed meanwhile
  if (in.getAt() <= group->switchedAt) return;
  std::optional<PluginRecord> plugin = state_.pluginBySha256(bytes(in.getSha256()));
  if (!plugin) {
    refuse(ErrorCode::badRequest,
           "group " + group->spec.name + ": it has switched to a plugin that is not known");
  }
  if (group->firstSha256.empty()) group->firstSha256 = group->pluginSha256;
  group->pluginSha256 = plugin->sha256;
  group->pluginName = plugin->name;
  group->pluginVersion = plugin->version;
  group->switchedAt = in.getAt();
  state_.update(*group);
}

void CatalogMachine::setGroup(const Entry&, Catalog::SetGroupParams::Reader in,
                              Catalog::SetGroupResults::Builder out) {
  std::optional<GroupRecord> group = state_.group(in.getId());
  if (!group || group->phase == GroupPhase::removing) {
    refuse(ErrorCode::groupRemoved,
           "group id:" + std::to_string(in.getId()) + ": it has been removed");
  }
  SpecRecord changed = group->spec;
  for (auto option : in.getOptions()) {
    std::string name(bytes(option.getKey()));
    std::string who = "group " + changed.name + ": ";
    if (auto settable = checkSettable(name); !settable) {
      refuse(settable.fault().code, who + settable.fault().text);
    }
    std::erase_if(changed.options, [&](const OptionText& it) { return it.first == name; });
    changed.options.emplace_back(name, bytes(option.getValue()));
  }
  std::sort(changed.options.begin(), changed.options.end());
  if (auto sound = checkSpec(changed); !sound) refuse(sound.fault().code, sound.fault().text);
  out.setExisted(changed.options == group->spec.options);
  if (!out.getExisted()) {
    group->spec = std::move(changed);
    ++group->optionsVersion;
    state_.update(*group);
  }
  out.setOptionsVersion(group->optionsVersion);
}

void CatalogMachine::changes(const View&, Catalog::ChangesParams::Reader in,
                             Catalog::ChangesResults::Builder out) const {
  uint32_t limit = in.getLimit() == 0 ? kChangesUsual : std::min(in.getLimit(), kChangesMax);
  state_.changesSince(in.getAfter(), limit, in.getWalking(), out.initChanges());
}

void CatalogMachine::checkHost(const HostRecord& host) const {
  std::string who = "host " + std::to_string(host.id);
  if (host.id == 0) refuse(ErrorCode::badRequest, "host 0: ids begin with 1");
  if (!hex(host.birth)) refuse(ErrorCode::badRequest, who + ": its birth is no hex number");
  if (host.address.empty()) refuse(ErrorCode::badRequest, who + ": it has no address");
  for (const std::string* text : {&host.birth, &host.address, &host.version, &host.http}) {
    requireShort(who, *text);
  }
  if (host.volumes.size() > kVolumesMax) refuse(ErrorCode::badRequest, who + ": too many volumes");
  for (const std::string& volume : host.volumes) requireShort(who + " volume", volume);
  std::optional<HostRecord> known = state_.host(host.id);
  if (known && known->birth != host.birth) {
    refuse(ErrorCode::denied, who + ": known with birth " + known->birth + ", this disk carries " +
                                  host.birth + "; a host that lost its disk joins under a new id");
  }
  if (uint64_t other = state_.hostOfBirth(host.birth); other != 0 && other != host.id) {
    refuse(ErrorCode::denied, who + ": its disk is that of host " + std::to_string(other) +
                                  "; a data directory cannot be copied to another host");
  }
  if (!known && state_.hostCount() >= kHostsMax) {
    refuse(ErrorCode::tooLarge, "catalog: it holds " + std::to_string(kHostsMax) + " hosts");
  }
}

bool CatalogMachine::same(const HostRecord& left, const HostRecord& right) {
  return left.address == right.address && left.version == right.version &&
         left.bootNumber == right.bootNumber && left.clusterVersion == right.clusterVersion &&
         left.founder == right.founder && left.http == right.http && left.volumes == right.volumes;
}

void CatalogMachine::requireHost(uint64_t id) const {
  if (state_.host(id)) return;
  refuse(ErrorCode::badRequest, "host " + std::to_string(id) + ": not known to the catalog yet");
}

// Finds the plugin's file and the hosts that the group will live on.
void CatalogMachine::resolve(GroupRecord& group, const GroupOptions& options) const {
  std::string who = "group " + group.spec.name + ": ";
  std::optional<PluginRecord> plugin = state_.pluginByText(group.spec.plugin);
  if (!plugin) {
    refuse(ErrorCode::badRequest, who + "plugin " + group.spec.plugin.substr(0, kTextBytesMax) +
                                      " is not known; push it first");
  }
  if (state_.groupCount() >= kGroupsMax) {
    refuse(ErrorCode::tooLarge, who + "there are " + std::to_string(kGroupsMax) + " groups");
  }
  group.pluginSha256 = plugin->sha256;
  group.pluginName = plugin->name;
  group.pluginVersion = plugin->version;
  Result<std::vector<ReplicaRecord>> replicas = place(group.spec, state_.loads());
  if (!replicas) refuse(replicas.fault().code, replicas.fault().text);
  group.replicas = *replicas;
  group.spec.replicas = 0;
  for (const ReplicaRecord& replica : group.replicas) {
    if (replica.voter) ++group.spec.replicas;
    requireVolume(who, replica.host, options.volume);
  }
}

void CatalogMachine::requireVolume(const std::string& who, uint64_t id,
                                   const std::string& volume) const {
  if (volume.empty()) return;
  HostRecord host = *state_.host(id);
  if (std::find(host.volumes.begin(), host.volumes.end(), volume) != host.volumes.end()) return;
  refuse(ErrorCode::badRequest, who + "host " + std::to_string(id) + " has no volume " + volume +
                                    "; name one of its [storage]");
}

void CatalogMachine::addHolder(std::string_view sha256, uint64_t host) {
  std::optional<PluginRecord> plugin = state_.pluginBySha256(sha256);
  if (!plugin) return;
  auto at = std::lower_bound(plugin->holders.begin(), plugin->holders.end(), host);
  if (at != plugin->holders.end() && *at == host) return;
  plugin->holders.insert(at, host);
  state_.update(*plugin);
}

// A replica's phase only moves forward, and `removed` counts only where it was asked for.
void CatalogMachine::takeReport(uint64_t host, schema::HostReport::Replica::Reader report) {
  std::optional<GroupRecord> group = state_.group(report.getGroup());
  if (!group || group->incarnation != report.getIncarnation()) return;
  bool removing = group->phase == GroupPhase::removing;
  auto reported = report.getState();
  bool fits = removing ? reported == schema::CatalogReplica::State::REMOVED
                       : reported == schema::CatalogReplica::State::READY;
  if (!fits) return;
  auto phase = static_cast<ReplicaPhase>(reported);
  bool changed = false;
  for (ReplicaRecord& replica : group->replicas) {
    if (replica.id != report.getReplica() || replica.host != host) continue;
    changed = changed || replica.phase < phase;
    replica.phase = std::max(replica.phase, phase);
  }
  if (!changed) return;
  settle(*group);
}

void CatalogMachine::settle(GroupRecord& group) {
  size_t voters = 0;
  size_t ready = 0;
  bool gone = true;
  for (const ReplicaRecord& replica : group.replicas) {
    gone = gone && replica.phase == ReplicaPhase::removed;
    if (!replica.voter) continue;
    ++voters;
    if (replica.phase >= ReplicaPhase::ready) ++ready;
  }
  if (group.phase == GroupPhase::removing && gone) {
    state_.forget(group);
    return;
  }
  if (group.phase == GroupPhase::creating && ready * 2 > voters) group.phase = GroupPhase::ready;
  state_.update(group);
}

const flotilla_descriptor* catalogDescriptor() {
  return describe<CatalogMachine, Catalog>(
      "catalog", "1.0.0",
      {FLOTILLA_HANDLERS(CatalogMachine, registerHost, addPlugin, createGroup, removeGroup, report,
                         changes, switchGroup, setGroup)});
}

}  // namespace flotilla::catalog
