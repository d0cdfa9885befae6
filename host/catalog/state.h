// What the catalog keeps, and what it can tell of its changes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "flotilla/single.h"
#include "flotilla/table.h"
#include "host/catalog/placement.h"
#include "host/catalog/view.h"
#include "schemas/catalog.capnp.h"

namespace flotilla::catalog {

// The catalog machine's tables, kept in step with one another: each record once, by what finds it,
// and a row of revisions that says which record changed last when. All of it is in Tables and
// Singles, so a command that throws midway has changed nothing.
//
// Owner:  CatalogMachine, as its only member.
// Thread: the machine's.
// Errors: none; whoever changes it has judged first.
class CatalogState {
public:
  static constexpr uint64_t kForgottenMax = 100'000;  // older ones cost a laggard a full view

  std::optional<HostRecord> host(uint64_t id) const;
  uint64_t hostOfBirth(std::string_view birth) const;  // 0: nobody's
  size_t hostCount() const { return hosts_.size(); }
  std::optional<PluginRecord> pluginBySha256(std::string_view sha256) const;
  std::optional<PluginRecord> pluginByText(std::string_view text) const;  // NAME or NAME@VERSION
  size_t pluginCount() const { return plugins_.size(); }
  std::optional<GroupRecord> group(uint64_t id) const;
  uint64_t groupNamed(std::string_view name) const;  // 0: none, or only one that is being removed
  uint64_t groupBeingRemoved(std::string_view name) const;  // the newest of that name; 0: none
  size_t groupCount() const { return names_.size(); }
  std::map<uint64_t, HostLoad> loads() const;  // of every host
  uint64_t revision() const { return *revision_; }

  void put(const HostRecord& host);
  void addPlugin(PluginRecord plugin);  // gives it its place among the pushes
  void update(const PluginRecord& plugin);
  void create(GroupRecord& group);  // gives it id and incarnation
  void update(const GroupRecord& group);
  bool wasDeclared(std::string_view name) const;  // by a [[group]] table, at any time
  void declare(const std::string& name);
  void beginRemoval(GroupRecord& group);  // its name is free from here on
  void forget(const GroupRecord& group);

  // Oldest first, at most `limit` records and about a MiB of them; from nothing where `after` is
  // too long ago to tell the difference, unless it is where such a walk has come to (`walking`).
  void changesSince(uint64_t after, uint32_t limit, bool walking,
                    schema::CatalogChanges::Builder out) const;

private:
  void touch(char kind, const std::string& key);
  void addLoad(const GroupRecord& group, int64_t by);
  void raiseClusterVersion();

  Table<uint64_t, std::string> hosts_;           // id → CatalogHost
  Table<std::string, uint64_t> births_;          // birth → host id
  Table<uint64_t, uint64_t> loads_;              // host id → replicas << 32 | preferred leaders
  Table<std::string, std::string> plugins_;      // sha256 → CatalogPlugin
  Table<std::string, std::string> pluginNames_;  // NAME@VERSION, and NAME for the newest → sha256
  Table<uint64_t, std::string> groups_;          // id → CatalogGroup
  Table<std::string, uint64_t> names_;           // name → id, while it is not being removed
  Table<uint64_t, std::string> removing_;        // id → name
  Table<uint64_t, std::string> changes_;     // revision → kind and key of what changed last then
  Table<std::string, uint64_t> lastChange_;  // kind and key → its revision in changes_
  Table<std::string, uint64_t> declared_;    // name in a [[group]] table → 1
  Table<uint64_t, uint64_t> forgotten_;      // revision → group id
  Single<uint64_t> revision_;
  Single<uint64_t> forgottenFloor_;  // what was forgotten up to here is forgotten here too
  Single<uint64_t> groupLast_;
  Single<uint64_t> incarnationLast_;
  Single<uint64_t> pushLast_;
  Single<uint64_t> clusterVersion_;
};

}  // namespace flotilla::catalog
