// One pass: first what is here against what is wanted, then what is wanted against what is here.
#include "host/catalog/reconciler.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace flotilla::catalog {
namespace {

// One pass's working state.
//
// Owner:  reconcile, for one call.
// Thread: the caller's.
// Errors: none; what cannot be begun is said in `waiting`.
class Pass {
public:
  Pass(const CatalogView& view, const LocalState& local)
      : view_(view), local_(local), plugins_(local.plugins.begin(), local.plugins.end()) {
    for (const LocalReplica& replica : local.replicas) {
      here_[{replica.group, replica.replica}] = &replica;
    }
  }

  Reconciled run(const std::set<uint64_t>* only) {
    for (const LocalReplica& replica : local_.replicas) lookAtLocal(replica);
    if (only == nullptr) {
      for (const GroupPointer& group : view_.groupsOn(local_.host)) lookAtGroup(group);
    } else {
      for (uint64_t id : *only) {
        if (GroupPointer group = view_.group(id)) lookAtGroup(group);
      }
    }
    lookAtPlugins();
    if (!done_.drop.empty()) done_.floor = view_.revision();
    return std::move(done_);
  }

private:
  void lookAtLocal(const LocalReplica& replica) {
    if (replica.phase == LocalPhase::removing)
      wipe(replica.group, replica.incarnation, replica.replica);
    GroupPointer group = view_.group(replica.group);
    if (group) return;
    // Absent with an id that was given out: every host, this one too, said that it is gone. Absent
    // with a higher id: this view is older than the group.
    bool forgotten = replica.group <= view_.lastGroup();
    if (forgotten && replica.phase == LocalPhase::tombstone) {
      if (done_.drop.size() < kPassMax) done_.drop.push_back({replica.group, replica.replica});
    } else if (forgotten && replica.phase != LocalPhase::removing) {
      done_.waiting.push_back("group id:" + std::to_string(replica.group) +
                              ": not in the catalog, though it has a replica here; it is kept");
    }
  }

  void lookAtGroup(const GroupPointer& group) {
    for (const ReplicaRecord& replica : group->replicas) {
      if (replica.host == local_.host) lookAtWanted(group, replica);
    }
  }

  void lookAtWanted(const GroupPointer& group, const ReplicaRecord& wanted) {
    auto at = here_.find({group->id, wanted.id});
    const LocalReplica* here = at == here_.end() ? nullptr : at->second;
    if (here != nullptr && here->incarnation != group->incarnation) {
      done_.waiting.push_back("group " + group->spec.name + ": incarnation " +
                              std::to_string(here->incarnation) + " here, " +
                              std::to_string(group->incarnation) + " in the catalog; left alone");
      return;
    }
    bool unwanted = group->phase == GroupPhase::removing || wanted.phase == ReplicaPhase::removed;
    if (unwanted) {
      lookAtRemoved(*group, wanted, here);
    } else if (here == nullptr) {
      start(group, wanted);
    } else if (here->phase == LocalPhase::ready && wanted.phase == ReplicaPhase::wanted) {
      report(*group, wanted.id, ReplicaPhase::ready);
    }
    bool runs = here != nullptr && here->phase <= LocalPhase::ready;
    bool older = runs && here->optionsVersion < group->optionsVersion;  // an older view is no news
    if (!unwanted && older && done_.set.size() < kPassMax) done_.set.push_back({group});
  }

  void lookAtRemoved(const GroupRecord& group, const ReplicaRecord& wanted,
                     const LocalReplica* here) {
    if (here != nullptr && here->phase == LocalPhase::tombstone) {
      if (wanted.phase != ReplicaPhase::removed) report(group, wanted.id, ReplicaPhase::removed);
    } else if (here == nullptr && wanted.phase == ReplicaPhase::removed) {
      return;  // reported, and perhaps the tombstone has been dropped with a later view
    } else if (here == nullptr || here->phase != LocalPhase::removing) {
      wipe(group.id, group.incarnation, wanted.id);
    }
  }

  void start(const GroupPointer& group, const ReplicaRecord& wanted) {
    if (plugins_.count(group->first()) == 0) {
      done_.waiting.push_back("group " + group->spec.name + ": waits for plugin " +
                              group->plugin() + " to be fetched");
      return;
    }
    Result<GroupOptions> options = readOptions(group->spec.options);
    if (!options) {
      done_.waiting.push_back("group " + group->spec.name + ": " + options.fault().text);
      return;
    }
    if (done_.start.size() >= kPassMax) return;
    StartReplica action{.group = group,
                        .replica = wanted.id,
                        .options = *options,
                        .initialVoters = {},
                        .initialLearners = {}};
    if (wanted.initial) {
      for (const ReplicaRecord& other : group->replicas) {
        if (!other.initial) continue;
        (other.voter ? action.initialVoters : action.initialLearners).push_back(other.id);
      }
    }
    done_.start.push_back(std::move(action));
  }

  void wipe(uint64_t group, uint64_t incarnation, uint64_t replica) {
    if (done_.wipe.size() < kPassMax) done_.wipe.push_back({group, incarnation, replica});
  }

  void report(const GroupRecord& group, uint64_t replica, ReplicaPhase phase) {
    if (done_.reportReplicas.size() >= kPassMax) return;
    done_.reportReplicas.push_back({group.id, group.incarnation, replica, phase});
  }

  // Every host keeps every plugin, so that none is lost with the host it was pushed to.
  void lookAtPlugins() {
    for (const PluginPointer& plugin : view_.plugins()) {
      std::vector<uint64_t> from = plugin->holders;
      bool said = std::erase(from, local_.host) > 0;
      bool here = plugins_.count(plugin->sha256) > 0;
      if (here && !said) done_.reportPlugins.push_back(plugin->sha256);
      if (here) continue;
      if (from.empty()) {
        done_.waiting.push_back("plugin " + plugin->nameAndVersion() +
                                ": no other host has it; push its file again");
      } else {
        done_.fetch.push_back({plugin, std::move(from)});
      }
    }
  }

  const CatalogView& view_;
  const LocalState& local_;
  std::set<std::string> plugins_;
  std::map<std::pair<uint64_t, uint64_t>, const LocalReplica*> here_;  // by group and replica
  Reconciled done_;
};

}  // namespace

bool Reconciled::cut() const {
  return std::max({start.size(), wipe.size(), drop.size(), set.size(), reportReplicas.size()}) >=
         kPassMax;
}

Reconciled reconcile(const CatalogView& view, const LocalState& local,
                     const std::set<uint64_t>* only) {
  Reconciled nothing;
  if (view.revision() == 0 || !view.complete() || view.revision() < local.floor) return nothing;
  HostPointer self = view.host(local.host);
  if (!self) return nothing;
  if (self->birth != local.birth) {
    nothing.waiting.push_back("host " + std::to_string(local.host) + ": the catalog knows birth " +
                              self->birth + ", this disk carries " + local.birth +
                              "; join under a new id");
    return nothing;
  }
  return Pass(view, local).run(only);
}

}  // namespace flotilla::catalog
