// How the catalog's tables are kept in step.
#include "host/catalog/state.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <capnp/message.h>
#include <capnp/serialize.h>

#include "host/catalog/records.h"

namespace flotilla::catalog {
namespace {

// A record's kind, the first letter of its key in changes_.
constexpr char kHost = 'h';
constexpr char kPlugin = 'p';
constexpr char kGroup = 'g';

constexpr unsigned kLoadShift = 32;

constexpr uint64_t kStepBytes = 1 << 20;  // of records, roughly, in one answer about changes
constexpr uint64_t kRecordBytes = 256;    // of one without its texts, at least

uint64_t bytesOf(const PluginRecord& plugin) {
  return kRecordBytes + plugin.name.size() + plugin.version.size() + plugin.description.size() +
         plugin.holders.size() * sizeof(uint64_t);
}

uint64_t bytesOf(const GroupRecord& group) {
  uint64_t bytes = 2 * kRecordBytes + group.spec.name.size() + group.spec.plugin.size() +
                   group.replicas.size() * sizeof(ReplicaRecord);
  for (const auto* texts : {&group.spec.options, &group.spec.config}) {
    for (const auto& [name, value] : *texts) bytes += name.size() + value.size() + 32;
  }
  return bytes;
}

// Records are stored as messages with a segment table: they are few, and no size is known before.
template <typename Schema, typename Record>
std::string packed(const Record& record) {
  capnp::MallocMessageBuilder message;
  write(record, message.initRoot<Schema>());
  auto words = capnp::messageToFlatArray(message);
  auto chars = words.asChars();
  return std::string(chars.begin(), chars.size());
}

template <typename Schema>
auto unpacked(const std::string& bytes) {
  kj::Array<capnp::word> words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
  std::copy(bytes.begin(), bytes.end(), words.asChars().begin());
  capnp::FlatArrayMessageReader reader(words);
  return read(reader.template getRoot<Schema>());
}

template <typename Schema, typename Table, typename Key>
auto find(const Table& table, const Key& key) {
  const std::string* bytes = table.find(key);
  using Record = decltype(unpacked<Schema>(*bytes));
  return bytes == nullptr ? std::optional<Record>()
                          : std::optional<Record>(unpacked<Schema>(*bytes));
}

// Numbers that sort as they should, in a string key.
std::string keyOf(uint64_t number) {
  std::string digits = std::to_string(number);
  constexpr size_t kDigitsMax = 20;
  return std::string(kDigitsMax - digits.size(), '0') + digits;
}

}  // namespace

std::optional<HostRecord> CatalogState::host(uint64_t id) const {
  return find<schema::CatalogHost>(hosts_, id);
}

uint64_t CatalogState::hostOfBirth(std::string_view birth) const {
  return births_.getOr(birth, 0);
}

std::optional<PluginRecord> CatalogState::pluginBySha256(std::string_view sha256) const {
  return find<schema::CatalogPlugin>(plugins_, sha256);
}

std::optional<PluginRecord> CatalogState::pluginByText(std::string_view text) const {
  const std::string* sha256 = pluginNames_.find(text);
  return sha256 == nullptr ? std::nullopt : pluginBySha256(*sha256);
}

std::optional<GroupRecord> CatalogState::group(uint64_t id) const {
  return find<schema::CatalogGroup>(groups_, id);
}

uint64_t CatalogState::groupNamed(std::string_view name) const {
  return names_.getOr(name, 0);
}

uint64_t CatalogState::groupBeingRemoved(std::string_view name) const {
  uint64_t newest = 0;
  for (const auto& [id, removed] : removing_) {
    if (removed == name) newest = id;
  }
  return newest;
}

std::map<uint64_t, HostLoad> CatalogState::loads() const {
  std::map<uint64_t, HostLoad> loads;
  for (const auto& [id, record] : hosts_) {
    uint64_t packedLoad = loads_.getOr(id, 0);
    loads[id] = {.replicas = static_cast<uint32_t>(packedLoad >> kLoadShift),
                 .leaders = static_cast<uint32_t>(packedLoad)};
  }
  return loads;
}

void CatalogState::touch(char kind, const std::string& key) {
  std::string what = kind + key;
  if (uint64_t before = lastChange_.getOr(what, 0); before != 0) changes_.erase(before);
  revision_.set(*revision_ + 1);
  changes_.set(*revision_, what);
  lastChange_.set(what, *revision_);
}

void CatalogState::put(const HostRecord& host) {
  hosts_.set(host.id, packed<schema::CatalogHost>(host));
  births_.set(host.birth, host.id);
  raiseClusterVersion();
  touch(kHost, keyOf(host.id));
}

// Rises once every host supports it, and never falls.
void CatalogState::raiseClusterVersion() {
  uint32_t supported = UINT32_MAX;
  for (const auto& [id, bytes] : hosts_) {
    supported = std::min(supported, unpacked<schema::CatalogHost>(bytes).clusterVersion);
  }
  if (!hosts_.empty() && supported > *clusterVersion_) clusterVersion_.set(supported);
}

void CatalogState::addPlugin(PluginRecord plugin) {
  pushLast_.set(*pushLast_ + 1);
  plugin.pushed = *pushLast_;
  pluginNames_.set(plugin.nameAndVersion(), plugin.sha256);
  pluginNames_.set(plugin.name, plugin.sha256);
  update(plugin);
}

void CatalogState::update(const PluginRecord& plugin) {
  plugins_.set(plugin.sha256, packed<schema::CatalogPlugin>(plugin));
  touch(kPlugin, plugin.sha256);
}

void CatalogState::create(GroupRecord& group) {
  groupLast_.set(*groupLast_ + 1);
  incarnationLast_.set(*incarnationLast_ + 1);
  group.id = *groupLast_;
  group.incarnation = *incarnationLast_;
  names_.set(group.spec.name, group.id);
  addLoad(group, 1);
  update(group);
}

void CatalogState::update(const GroupRecord& group) {
  groups_.set(group.id, packed<schema::CatalogGroup>(group));
  touch(kGroup, keyOf(group.id));
}

bool CatalogState::wasDeclared(std::string_view name) const {
  return declared_.find(name) != nullptr;
}

void CatalogState::declare(const std::string& name) {
  declared_.set(name, 1);
}

void CatalogState::beginRemoval(GroupRecord& group) {
  group.phase = GroupPhase::removing;
  names_.erase(group.spec.name);
  removing_.set(group.id, group.spec.name);
  addLoad(group, -1);
  update(group);
}

void CatalogState::forget(const GroupRecord& group) {
  std::string what = kGroup + keyOf(group.id);
  changes_.erase(lastChange_.getOr(what, 0));
  lastChange_.erase(what);
  groups_.erase(group.id);
  removing_.erase(group.id);
  revision_.set(*revision_ + 1);
  forgotten_.set(*revision_, group.id);
  if (forgotten_.size() > kForgottenMax) {
    uint64_t oldest = (*forgotten_.begin()).key;
    forgottenFloor_.set(oldest);
    forgotten_.erase(oldest);
  }
}

void CatalogState::addLoad(const GroupRecord& group, int64_t by) {
  for (size_t i = 0; i < group.replicas.size(); ++i) {
    uint64_t host = group.replicas[i].host;
    uint64_t share = (uint64_t{1} << kLoadShift) + (i == 0 ? 1 : 0);
    uint64_t before = loads_.getOr(host, 0);
    loads_.set(host, by > 0 ? before + share : before - share);
  }
}

// A step's answer is one message of at most 4 MiB, whatever its records hold: one alone is less.
void CatalogState::changesSince(uint64_t after, uint32_t limit, bool walking,
                                schema::CatalogChanges::Builder out) const {
  bool full = after != 0 && after < *forgottenFloor_ && !walking;
  uint64_t from = full ? 0 : after;
  uint64_t reached = *revision_;
  bool more = false;
  std::vector<HostRecord> hosts;
  std::vector<PluginRecord> plugins;
  std::vector<GroupRecord> groups;
  uint64_t last = 0;
  uint64_t bytes = 0;
  for (const auto& [revision, what] : changes_.from(from)) {
    if (revision <= from) continue;
    if (hosts.size() + plugins.size() + groups.size() >= limit || bytes >= kStepBytes) {
      more = true;
      break;
    }
    if (what.front() == kHost) {
      hosts.push_back(*host(std::stoull(what.substr(1))));
      bytes += kRecordBytes;
    } else if (what.front() == kPlugin) {
      plugins.push_back(*pluginBySha256(what.substr(1)));
      bytes += bytesOf(plugins.back());
    } else if (what.front() == kGroup) {
      groups.push_back(*group(std::stoull(what.substr(1))));
      bytes += bytesOf(groups.back());
    }
    last = revision;
  }
  if (more) reached = last;
  std::vector<uint64_t> forgotten;
  if (from > 0) {
    for (const auto& [revision, id] : forgotten_.from(from)) {
      if (revision > from && revision <= reached) forgotten.push_back(id);
    }
  }
  out.setRevision(reached);
  out.setMore(more);
  out.setFull(full);
  out.setClusterVersion(static_cast<uint32_t>(*clusterVersion_));
  out.setLastGroup(*groupLast_);
  auto fill = [](const auto& records, auto list) {
    for (unsigned i = 0; i < list.size(); ++i) write(records[i], list[i]);
  };
  fill(hosts, out.initHosts(static_cast<unsigned>(hosts.size())));
  fill(plugins, out.initPlugins(static_cast<unsigned>(plugins.size())));
  fill(groups, out.initGroups(static_cast<unsigned>(groups.size())));
  auto gone = out.initForgotten(static_cast<unsigned>(forgotten.size()));
  for (unsigned i = 0; i < gone.size(); ++i) gone.set(i, forgotten[i]);
}

}  // namespace flotilla::catalog
