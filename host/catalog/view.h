// The catalog as one host knows it, held still.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "flotilla/result.h"
#include "host/catalog/options.h"
#include "host/catalog/shared_map.h"
#include "schemas/catalog.capnp.h"

namespace flotilla::catalog {

struct HostRecord {
  uint64_t id = 0;
  std::string birth;
  std::string address;
  std::string version;
  uint64_t bootNumber = 0;
  uint32_t clusterVersion = 0;
  bool founder = false;
  std::string http;
  std::vector<std::string> volumes;
};

struct PluginRecord {
  std::string name;
  std::string version;
  std::string sha256;
  uint64_t bytes = 0;
  std::string description;  // schema::PluginDescription as flat words
  std::vector<uint64_t> holders;
  uint64_t pushed = 0;

  std::string nameAndVersion() const { return name + "@" + version; }
};

// What was asked for, lists sorted.
struct SpecRecord {
  std::string name;
  std::string plugin;
  std::vector<uint64_t> on;
  uint32_t replicas = 0;
  std::vector<uint64_t> learners;
  std::vector<OptionText> options;
  std::vector<OptionText> config;
};

enum class GroupPhase : uint8_t { creating, ready, removing };
enum class ReplicaPhase : uint8_t { wanted, ready, removed };

std::string_view nameOf(GroupPhase phase);

struct ReplicaRecord {
  uint64_t id = 0;
  uint64_t host = 0;
  bool voter = false;
  bool initial = false;  // part of the group's first configuration
  ReplicaPhase phase = ReplicaPhase::wanted;
};

struct GroupRecord {
  uint64_t id = 0;
  uint64_t incarnation = 0;
  SpecRecord spec;
  std::string pluginSha256;
  std::string pluginName;
  std::string pluginVersion;
  std::string firstSha256;  // what it was created with, if that is another; a log begins with it
  uint64_t switchedAt = 0;  // the entry of its log that brought pluginSha256
  uint64_t optionsVersion = 0;  // rises whenever spec.options change
  GroupPhase phase = GroupPhase::creating;
  std::vector<ReplicaRecord> replicas;  // voters first; the first is the preferred leader

  const ReplicaRecord* on(uint64_t host) const;
  std::string plugin() const { return pluginName + "@" + pluginVersion; }
  const std::string& first() const { return firstSha256.empty() ? pluginSha256 : firstSha256; }
};

using HostPointer = std::shared_ptr<const HostRecord>;
using PluginPointer = std::shared_ptr<const PluginRecord>;
using GroupPointer = std::shared_ptr<const GroupRecord>;

// What the catalog said up to one revision. A copy costs a few pointers and shares its records with
// the view it was copied from, so each loop can hold its own.
//
// A host makes the next view from the answer of Catalog.changes(after = revision()), asked of its
// own replica of group 0 (a query: no leader is needed): after every applied run, after a start,
// and after an installed snapshot, until `more` is false. An answer that is `full` begins from
// nothing.
//
// Thread: any, one at a time; copies are independent.
// Errors: none.
class CatalogView {
public:
  // The view after `changes`; the same view where they lead nowhere new. Adds the ids of the groups
  // that are new, changed or gone to `touched` where that is given.
  CatalogView with(schema::CatalogChanges::Reader changes,
                   std::vector<uint64_t>* touched = nullptr) const;

  uint64_t revision() const { return revision_; }
  // False between the steps of a longer change (`more`): what is absent then says nothing.
  bool complete() const { return complete_; }
  uint32_t clusterVersion() const { return clusterVersion_; }
  uint64_t lastGroup() const { return lastGroup_; }  // highest id that was given to a group

  GroupPointer group(uint64_t id) const;
  // Not one that is being removed: its name is free.
  GroupPointer group(std::string_view name) const;
  // `name`, or `id:7`; the latter finds those that are being removed as well.
  GroupPointer groupByText(std::string_view nameOrId) const;
  // Up to `limit` groups whose names are greater than `after`, in order of names; none that is
  // being removed.
  std::vector<GroupPointer> groupsAfter(std::string_view after, size_t limit) const;
  size_t groupCount() const { return byName_.size(); }
  // Every group record that has a replica on `host`, being removed or not, by id.
  std::vector<GroupPointer> groupsOn(uint64_t host) const;
  std::vector<GroupPointer> removing() const;

  HostPointer host(uint64_t id) const;
  std::vector<HostPointer> hosts() const;  // by id

  PluginPointer plugin(std::string_view sha256) const;
  // NAME (the newest pushed) or NAME@VERSION.
  PluginPointer pluginByText(std::string_view text) const;
  std::vector<PluginPointer> plugins() const;  // by name, then by push
  size_t groupsRunning(std::string_view sha256) const;

private:
  void put(const GroupPointer& group);
  void forget(uint64_t id);

  uint64_t revision_ = 0;
  uint32_t clusterVersion_ = 0;
  uint64_t lastGroup_ = 0;
  bool complete_ = true;
  SharedMap<uint64_t, GroupPointer> byId_;
  SharedMap<std::string, GroupPointer> byName_;
  std::shared_ptr<const std::map<uint64_t, HostPointer>> hosts_;
  std::shared_ptr<const std::map<std::string, PluginPointer>> plugins_;
};

}  // namespace flotilla::catalog
