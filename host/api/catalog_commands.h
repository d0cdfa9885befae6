// Operators' commands to the catalog, done when they have been seen to be done.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <kj/async.h>
#include <kj/timer.h>

#include "host/catalog/view.h"
#include "host/runtime/host.h"
#include "schemas/types.capnp.h"

namespace flotilla::api {

inline constexpr uint64_t kCommandMs = 30'000;  // where the asker names no time-out

struct CreatedGroup {
  catalog::GroupPointer group;
  bool existed = false;
};

// Owner:  Services; `host` outlives it.
// Thread: the loop's.
// Errors: promises fail with exceptionOf(fault): the catalog's own words, or `timeout` with what is
//         still missing. What was begun goes on, and the same command may be given again.
// Time:   each ends within its `timeoutMs`, which 0 makes kCommandMs.
class CatalogCommands {
public:
  explicit CatalogCommands(runtime::Host& host) : host_(host) {}

  // Settings that the plugin's machine does not take are refused before the catalog hears of the
  // group. Ends when the group is ready: a majority of its voters has had a leader.
  kj::Promise<CreatedGroup> createGroup(schema::GroupSpec::Reader spec, uint64_t timeoutMs);
  // `nameOrId` as an operator wrote it. Ends when every host that can be reached has wiped its
  // replica; false where there was none.
  kj::Promise<bool> removeGroup(const std::string& nameOrId, uint64_t timeoutMs);
  // Changes options that may be changed. Ends when this host has heard of it.
  struct SetOptions {
    catalog::GroupPointer group;
    bool existed = false;
  };
  kj::Promise<SetOptions> setGroup(catalog::GroupPointer group,
                                   const std::vector<catalog::OptionText>& options,
                                   kj::TimePoint deadline);
  // The group of that name. Where this host knows of none it first makes sure, by asking the
  // catalog's leader, that it has not merely been slow to hear of it. Null: there is none;
  // `unavailable` where the catalog does not answer, for then nobody can say so.
  kj::Promise<catalog::GroupPointer> find(std::string nameOrId);
  // Stores, probes and announces a plugin's file. Ends when a majority of the hosts has the file.
  struct Pushed {
    catalog::PluginPointer plugin;
    bool existed = false;
  };
  kj::Promise<Pushed> pushPlugin(kj::Array<kj::byte> file, uint64_t timeoutMs);

  // Looks again whenever the view has moved on, and ten times a second; false at the deadline.
  kj::Promise<bool> until(std::function<bool()> seen, kj::TimePoint deadline);
  kj::TimePoint deadlineOf(uint64_t timeoutMs) const;

private:
  // `unavailable` where a host of the cluster may run a version that does not know one of these.
  Result<void> allKnow(const std::string& group,
                       const std::vector<catalog::OptionText>& options) const;
  // Fails where its machine cannot be made of what `spec` says.
  kj::Promise<void> settingsFit(catalog::SpecRecord spec, kj::TimePoint deadline);
  kj::Promise<void> settingsFit(catalog::SpecRecord spec, catalog::PluginPointer plugin,
                                kj::TimePoint deadline);
  // Whether this host's view is as new as the catalog leader's was; false where that could not be
  // had within a second.
  kj::Promise<bool> caughtUp();
  kj::Promise<CreatedGroup> created(uint64_t id, bool existed, kj::TimePoint deadline);
  kj::Promise<Pushed> announced(runtime::ProbedPlugin plugin, kj::TimePoint deadline);
  uint64_t msUntil(kj::TimePoint deadline) const;
  // Hosts that are up and have yet to wipe their replica of the group.
  kj::Promise<bool> removeKnown(uint64_t id, const std::string& nameOrId, kj::TimePoint deadline);
  std::vector<uint64_t> stillThere(uint64_t id) const;

  runtime::Host& host_;
};

}  // namespace flotilla::api
