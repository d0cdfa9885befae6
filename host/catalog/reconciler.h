// What a host must do so that what the catalog wants is true here.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "host/catalog/options.h"
#include "host/catalog/view.h"

namespace flotilla::catalog {

// How far a replica of this host has come. Only ever moves forward; all but `ready` is durable, as
// the replica's record in meta/.
enum class LocalPhase : uint8_t {
  present,    // its record is written: it runs, or is being opened
  ready,      // as present, and it has had a leader since this process began
  removing,   // its tombstone is written; files may still lie about
  tombstone,  // nothing is left of it but that
};

struct LocalReplica {
  uint64_t group = 0;
  uint64_t incarnation = 0;
  uint64_t replica = 0;
  LocalPhase phase = LocalPhase::present;
  uint64_t optionsVersion = 0;  // GroupRecord::optionsVersion that it runs by
};

// What this host has, as the reconciler's caller knows it.
struct LocalState {
  uint64_t host = 0;
  std::string birth;
  // The highest revision at which this host has dropped a tombstone. Older views, which a restart
  // may show again, are not acted upon: they might ask for what has been removed since.
  uint64_t floor = 0;
  std::vector<LocalReplica> replicas;  // tombstones included
  std::vector<std::string> plugins;    // sha256 of whole, checked files
};

// One replica to be created, empty, once. Its record must be durable before it answers anything.
struct StartReplica {
  GroupPointer group;
  uint64_t replica = 0;
  GroupOptions options;
  // The group's first configuration; empty for a replica that joins a running group.
  std::vector<uint64_t> initialVoters;
  std::vector<uint64_t> initialLearners;
};

struct FetchPlugin {
  PluginPointer plugin;
  std::vector<uint64_t> from;  // hosts that have it, this one not among them
};

// Write the tombstone, then stop the replica if it runs, then wipe its files; safe to begin again
// at any point. For a replica that never was here, the tombstone alone.
struct WipeReplica {
  uint64_t group = 0;
  uint64_t incarnation = 0;
  uint64_t replica = 0;
};

// The catalog has forgotten the group: forget the tombstone, and write `floor` with it in one
// batch.
struct DropTombstone {
  uint64_t group = 0;
  uint64_t replica = 0;
};

// The group's options are others than those that the replica runs by: they take effect, and go into
// its record. Safe to begin again.
struct SetOptions {
  GroupPointer group;
};

struct ReportedReplica {
  uint64_t group = 0;
  uint64_t incarnation = 0;
  uint64_t replica = 0;
  ReplicaPhase phase = ReplicaPhase::ready;
};

// What one pass wants done, in any order. Nothing to do: all empty.
struct Reconciled {
  std::vector<StartReplica> start;
  std::vector<FetchPlugin> fetch;
  std::vector<WipeReplica> wipe;
  std::vector<DropTombstone> drop;
  std::vector<SetOptions> set;
  uint64_t floor = 0;  // with `drop`
  // For Catalog.report, where the catalog does not say so yet; to be sent again until it does.
  std::vector<ReportedReplica> reportReplicas;
  std::vector<std::string> reportPlugins;
  // Why something wanted cannot be begun: one line each, for the log and `group show`.
  std::vector<std::string> waiting;

  // There may be more of a kind than a pass gives.
  bool cut() const;
  bool idle() const {
    return start.empty() && fetch.empty() && wipe.empty() && drop.empty() && set.empty() &&
           reportReplicas.empty() && reportPlugins.empty();
  }
};

// Compares what is wanted with what is. Absence from the view never removes anything; only an
// applied `removing` of that very group id does. A view older than `floor`, or one in which this
// host's id belongs to another birth, asks for nothing. A pure function of its arguments: after any
// crash, the next pass over what then is there goes on from where things stand. At most kPassMax
// actions of a kind a pass; more come with the next.
//
// With `only`, a pass over these groups alone: `local` then need not name replicas of others. Of a
// group for which nothing has changed since a pass had nothing to do, there is nothing to do.
inline constexpr size_t kPassMax = 1000;
Reconciled reconcile(const CatalogView& view, const LocalState& local,
                     const std::set<uint64_t>* only = nullptr);

}  // namespace flotilla::catalog
