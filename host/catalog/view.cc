// How a view takes changes in, and is asked.
#include "host/catalog/view.h"

#include <algorithm>
#include <charconv>
#include <tuple>

#include "host/catalog/records.h"

namespace flotilla::catalog {
namespace {

template <typename Map, typename Key>
typename Map::mapped_type findIn(const std::shared_ptr<const Map>& map, const Key& key) {
  if (!map) return nullptr;
  auto at = map->find(key);
  return at == map->end() ? nullptr : at->second;
}

// A copy to be changed.
template <typename Map>
std::shared_ptr<Map> changed(const std::shared_ptr<const Map>& map) {
  return map ? std::make_shared<Map>(*map) : std::make_shared<Map>();
}

}  // namespace

std::string_view nameOf(GroupPhase phase) {
  switch (phase) {
    case GroupPhase::creating:
      return "creating";
    case GroupPhase::ready:
      return "ready";
    case GroupPhase::removing:
      return "removing";
  }
  return "unheardOf";
}

const ReplicaRecord* GroupRecord::on(uint64_t host) const {
  for (const ReplicaRecord& replica : replicas) {
    if (replica.host == host) return &replica;
  }
  return nullptr;
}

CatalogView CatalogView::with(schema::CatalogChanges::Reader changes,
                              std::vector<uint64_t>* touched) const {
  if (changes.getRevision() <= revision_ && !changes.getFull()) return *this;
  CatalogView next = changes.getFull() ? CatalogView() : *this;
  if (touched != nullptr && changes.getFull()) {
    byId_.forEach([&](uint64_t id, const GroupPointer&) { touched->push_back(id); });
  }
  next.revision_ = changes.getRevision();
  next.clusterVersion_ = changes.getClusterVersion();
  next.lastGroup_ = changes.getLastGroup();
  next.complete_ = !changes.getMore();
  if (changes.getHosts().size() > 0) {
    auto hosts = changed(next.hosts_);
    for (auto host : changes.getHosts()) {
      (*hosts)[host.getId()] = std::make_shared<const HostRecord>(read(host));
    }
    next.hosts_ = std::move(hosts);
  }
  if (changes.getPlugins().size() > 0) {
    auto plugins = changed(next.plugins_);
    for (auto plugin : changes.getPlugins()) {
      auto record = std::make_shared<const PluginRecord>(read(plugin));
      (*plugins)[record->sha256] = record;
    }
    next.plugins_ = std::move(plugins);
  }
  for (auto group : changes.getGroups()) {
    if (touched != nullptr) touched->push_back(group.getId());
    next.put(std::make_shared<const GroupRecord>(read(group)));
  }
  for (uint64_t id : changes.getForgotten()) {
    if (touched != nullptr) touched->push_back(id);
    next.forget(id);
  }
  return next;
}

void CatalogView::put(const GroupPointer& group) {
  const GroupPointer* named = byName_.find(group->spec.name);
  if (group->phase != GroupPhase::removing) {
    // A name's newer holder is never displaced by an older one.
    if (named == nullptr || (*named)->id <= group->id) byName_.set(group->spec.name, group);
  } else if (named != nullptr && (*named)->id == group->id) {
    byName_.erase(group->spec.name);
  }
  byId_.set(group->id, group);
}

void CatalogView::forget(uint64_t id) {
  const GroupPointer* found = byId_.find(id);
  if (found == nullptr) return;
  GroupPointer group = *found;
  const GroupPointer* named = byName_.find(group->spec.name);
  if (named != nullptr && (*named)->id == id) byName_.erase(group->spec.name);
  byId_.erase(id);
}

GroupPointer CatalogView::group(uint64_t id) const {
  const GroupPointer* found = byId_.find(id);
  return found == nullptr ? nullptr : *found;
}

GroupPointer CatalogView::group(std::string_view name) const {
  const GroupPointer* found = byName_.find(name);
  return found == nullptr ? nullptr : *found;
}

GroupPointer CatalogView::groupByText(std::string_view nameOrId) const {
  constexpr std::string_view kIdPrefix = "id:";
  if (!nameOrId.starts_with(kIdPrefix)) return group(nameOrId);
  std::string_view digits = nameOrId.substr(kIdPrefix.size());
  uint64_t id = 0;
  auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
  if (error != std::errc() || stop != digits.data() + digits.size()) return nullptr;
  return group(id);
}

std::vector<GroupPointer> CatalogView::groupsAfter(std::string_view after, size_t limit) const {
  std::vector<GroupPointer> found;
  byName_.forEach([&](const std::string& name, const GroupPointer& group) {
    if (name > after) found.push_back(group);
  });
  auto byName = [](const GroupPointer& left, const GroupPointer& right) {
    return left->spec.name < right->spec.name;
  };
  auto middle = found.begin() + static_cast<ptrdiff_t>(std::min(limit, found.size()));
  std::partial_sort(found.begin(), middle, found.end(), byName);
  found.erase(middle, found.end());
  return found;
}

std::vector<GroupPointer> CatalogView::groupsOn(uint64_t host) const {
  std::vector<GroupPointer> found;
  byId_.forEach([&](uint64_t, const GroupPointer& group) {
    if (group->on(host) != nullptr) found.push_back(group);
  });
  std::sort(found.begin(), found.end(), [](const GroupPointer& left, const GroupPointer& right) {
    return left->id < right->id;
  });
  return found;
}

std::vector<GroupPointer> CatalogView::removing() const {
  std::vector<GroupPointer> found;
  byId_.forEach([&](uint64_t, const GroupPointer& group) {
    if (group->phase == GroupPhase::removing) found.push_back(group);
  });
  return found;
}

HostPointer CatalogView::host(uint64_t id) const {
  return findIn(hosts_, id);
}

std::vector<HostPointer> CatalogView::hosts() const {
  std::vector<HostPointer> found;
  if (!hosts_) return found;
  for (const auto& [id, host] : *hosts_) found.push_back(host);
  return found;
}

PluginPointer CatalogView::plugin(std::string_view sha256) const {
  return findIn(plugins_, std::string(sha256));
}

PluginPointer CatalogView::pluginByText(std::string_view text) const {
  PluginPointer best;
  for (const PluginPointer& plugin : plugins()) {
    if (plugin->nameAndVersion() == text) return plugin;
    if (plugin->name == text) best = plugin;  // they come in order of pushes
  }
  return best;
}

std::vector<PluginPointer> CatalogView::plugins() const {
  std::vector<PluginPointer> found;
  if (!plugins_) return found;
  for (const auto& [sha256, plugin] : *plugins_) found.push_back(plugin);
  std::sort(found.begin(), found.end(), [](const PluginPointer& left, const PluginPointer& right) {
    return std::tie(left->name, left->pushed) < std::tie(right->name, right->pushed);
  });
  return found;
}

size_t CatalogView::groupsRunning(std::string_view sha256) const {
  size_t running = 0;
  byName_.forEach([&](const std::string&, const GroupPointer& group) {
    if (group->pluginSha256 == sha256) ++running;
  });
  return running;
}

}  // namespace flotilla::catalog
