// Operators' commands to the catalog: said to its leader, then watched for in this host's view.
#include "host/api/catalog_commands.h"

#include <algorithm>
#include <utility>

#include "host/api/faults.h"
#include "host/catalog/records.h"
#include "host/catalog/spec.h"
#include "host/runtime/flat_words.h"
#include "schemas/catalog.capnp.h"

namespace flotilla::api {
namespace {

using schema::Catalog;

// Ordinals in schemas/catalog.capnp.
constexpr uint16_t kCreateGroup = 2;
constexpr uint16_t kRemoveGroup = 3;
constexpr uint16_t kSetGroup = 7;
constexpr uint16_t kChanges = 5;

constexpr kj::Duration kLookAgain = 100 * kj::MILLISECONDS;
constexpr kj::Duration kFindTime = 1 * kj::SECONDS;
constexpr kj::Duration kFileTime = 10 * kj::SECONDS;  // for a plugin's file to come here
constexpr runtime::GroupRef kCatalogGroup{0, 1};

// The result of a catalog's command, or its fault thrown.
template <typename Results, typename Use>
auto use(const group::Outcome& outcome, Use take) {
  if (!outcome.ok()) kj::throwFatalException(exceptionOf(faultOfCatalog(outcome)));
  runtime::FlatReader words(outcome.body);
  return take(words.root<Results>());
}

std::string listed(const std::vector<uint64_t>& hosts) {
  std::string out;
  for (uint64_t host : hosts) out += (out.empty() ? "" : ",") + std::to_string(host);
  return out;
}

}  // namespace

kj::TimePoint CatalogCommands::deadlineOf(uint64_t timeoutMs) const {
  constexpr uint64_t kTimeoutMsMax = 3'600'000;
  uint64_t ms = timeoutMs == 0 ? kCommandMs : std::min(timeoutMs, kTimeoutMsMax);
  return host_.timer().now() + static_cast<int64_t>(ms) * kj::MILLISECONDS;
}

uint64_t CatalogCommands::msUntil(kj::TimePoint deadline) const {
  int64_t left = (deadline - host_.timer().now()) / kj::MILLISECONDS;
  return left < 1 ? 1 : static_cast<uint64_t>(left);
}

kj::Promise<bool> CatalogCommands::until(std::function<bool()> seen, kj::TimePoint deadline) {
  if (seen()) return true;
  if (host_.timer().now() >= deadline) return false;
  return host_.catalogChanged()
      .exclusiveJoin(host_.timer().afterDelay(kLookAgain))
      .then([this, seen = std::move(seen), deadline]() mutable {
        return until(std::move(seen), deadline);
      });
}

kj::Promise<CreatedGroup> CatalogCommands::createGroup(schema::GroupSpec::Reader spec,
                                                       uint64_t timeoutMs) {
  uint64_t groupsMax = host_.config().groupsMax;
  std::string name(spec.getName().cStr(), spec.getName().size());
  if (host_.catalog().groupCount() >= groupsMax && !host_.catalog().group(name)) {
    return exceptionOf(ErrorCode::tooLarge, "group " + name + ": there are " +
                                                std::to_string(groupsMax) +
                                                " groups, as many as this host allows");
  }
  auto params = runtime::flatWords<Catalog::CreateGroupParams>(
      [&](Catalog::CreateGroupParams::Builder to) { to.setSpec(spec); });
  kj::TimePoint deadline = deadlineOf(timeoutMs);
  catalog::SpecRecord asked = catalog::read(spec);
  if (auto sound = catalog::checkSpec(asked); !sound) return exceptionOf(sound.fault());
  if (asked.name == catalog::kOwnName) {
    return exceptionOf(ErrorCode::badRequest,
                       "group catalog: the name of the cluster's own group; give another");
  }
  if (auto known = allKnow(asked.name, asked.options); !known) return exceptionOf(known.fault());
  return settingsFit(std::move(asked), deadline)
      .then([this, params = std::move(params), deadline]() mutable {
        return host_.catalogCall(kCreateGroup, std::move(params), msUntil(deadline));
      })
      .then([this, deadline](group::Outcome outcome) {
        return use<Catalog::CreateGroupResults>(outcome, [&](auto results) {
          return created(results.getId(), results.getExisted(), deadline);
        });
      });
}

Result<void> CatalogCommands::allKnow(const std::string& group,
                                      const std::vector<catalog::OptionText>& options) const {
  if (host_.catalog().clusterVersion() >= catalog::versionFor(options)) return {};
  return Fault{ErrorCode::unavailable,
               "group " + group +
                   ": not every host is known to run a version that has these options; try again",
               ""};
}

kj::Promise<CatalogCommands::SetOptions> CatalogCommands::setGroup(
    catalog::GroupPointer group, const std::vector<catalog::OptionText>& options,
    kj::TimePoint deadline) {
  // Before the version is looked at, which may be too old for some of them.
  for (const auto& [name, value] : options) {
    if (auto settable = catalog::checkSettable(name); !settable) {
      return exceptionOf(settable.fault().code,
                         "group " + group->spec.name + ": " + settable.fault().text);
    }
  }
  auto known = allKnow(group->spec.name, options);
  if (!known) return exceptionOf(known.fault());
  auto params =
      runtime::flatWords<Catalog::SetGroupParams>([&](Catalog::SetGroupParams::Builder to) {
        to.setId(group->id);
        auto list = to.initOptions(static_cast<unsigned>(options.size()));
        for (unsigned i = 0; i < list.size(); ++i) {
          list[i].setKey(options[i].first);
          list[i].setValue(options[i].second);
        }
      });
  return host_.catalogCall(kSetGroup, std::move(params), msUntil(deadline))
      .then([this, id = group->id, deadline](group::Outcome outcome) {
        return use<Catalog::SetGroupResults>(outcome, [&](auto results) {
          uint64_t version = results.getOptionsVersion();
          bool existed = results.getExisted();
          auto seen = [this, id, version]() {
            catalog::GroupPointer now = host_.catalog().group(id);
            return !now || now->optionsVersion >= version;
          };
          return until(seen, deadline)
              .then([this, id, existed](bool done) -> kj::Promise<SetOptions> {
                catalog::GroupPointer now = host_.catalog().group(id);
                if (now && done) return SetOptions{now, existed};
                if (now) {
                  return exceptionOf(ErrorCode::timeout, "group " + now->spec.name +
                                                             ": set, but host " +
                                                             std::to_string(host_.id()) +
                                                             " has yet to hear of it; it will");
                }
                return exceptionOf(ErrorCode::groupRemoved,
                                   "group id:" + std::to_string(id) + ": it was removed meanwhile");
              });
        });
      });
}

// What the catalog itself refuses (an unknown plugin, another group of that name) is left to it.
kj::Promise<void> CatalogCommands::settingsFit(catalog::SpecRecord spec, kj::TimePoint deadline) {
  if (host_.catalog().group(spec.name)) return kj::READY_NOW;
  if (auto plugin = host_.catalog().pluginByText(spec.plugin)) {
    return settingsFit(std::move(spec), plugin, deadline);
  }
  return caughtUp().then(
      [this, spec = std::move(spec), deadline](bool) mutable -> kj::Promise<void> {
        auto plugin = host_.catalog().pluginByText(spec.plugin);
        if (!plugin) return kj::READY_NOW;
        return settingsFit(std::move(spec), plugin, deadline);
      });
}

kj::Promise<void> CatalogCommands::settingsFit(catalog::SpecRecord spec,
                                               catalog::PluginPointer plugin,
                                               kj::TimePoint deadline) {
  auto here = [this, plugin]() { return host_.hasPlugin(plugin->sha256); };
  return until(here, std::min(deadline, host_.timer().now() + kFileTime))
      .then([this, spec, plugin](bool has) -> kj::Promise<Result<void>> {
        if (has) return host_.trySettings(plugin->sha256, spec.config);
        return exceptionOf(
            ErrorCode::unavailable,
            "group " + spec.name + ": the file of plugin " + plugin->nameAndVersion() +
                " has not come to host " + std::to_string(host_.id()) +
                " yet, so the settings cannot be tried; ask again, or one of the hosts " +
                listed(plugin->holders));
      })
      .then([name = spec.name](Result<void> fit) -> kj::Promise<void> {
        if (fit) return kj::READY_NOW;
        Fault fault = fit.fault();
        fault.text = "group " + name + ": " + fault.text;
        return exceptionOf(fault);
      });
}

kj::Promise<CreatedGroup> CatalogCommands::created(uint64_t id, bool existed,
                                                   kj::TimePoint deadline) {
  auto seen = [this, id]() {
    const catalog::CatalogView& view = host_.catalog();
    catalog::GroupPointer group = view.group(id);
    if (group) return group->phase != catalog::GroupPhase::creating;
    return view.complete() && view.lastGroup() >= id;  // removed meanwhile
  };
  return until(seen, deadline).then([this, id, existed](bool done) -> kj::Promise<CreatedGroup> {
    catalog::GroupPointer group = host_.catalog().group(id);
    if (done && group && group->phase == catalog::GroupPhase::ready) {
      return CreatedGroup{group, existed};
    }
    if (done) {
      return exceptionOf(ErrorCode::groupRemoved,
                         "group id:" + std::to_string(id) + ": it was removed meanwhile");
    }
    std::vector<uint64_t> missing;
    std::string who = "group id:" + std::to_string(id);
    if (group) {
      who = "group " + group->spec.name;
      for (const catalog::ReplicaRecord& replica : group->replicas) {
        bool ready = replica.phase != catalog::ReplicaPhase::wanted;
        if (replica.voter && !ready) missing.push_back(replica.host);
      }
    }
    return exceptionOf(ErrorCode::timeout,
                       who + ": it is wanted, but not ready yet; missing are hosts " +
                           listed(missing) + "; it comes up when they do");
  });
}

std::vector<uint64_t> CatalogCommands::stillThere(uint64_t id) const {
  std::vector<uint64_t> hosts;
  catalog::GroupPointer group = host_.catalog().group(id);
  if (!group) return hosts;
  for (const catalog::ReplicaRecord& replica : group->replicas) {
    bool gone = replica.phase == catalog::ReplicaPhase::removed;
    if (!gone && host_.hostUp(replica.host)) hosts.push_back(replica.host);
  }
  return hosts;
}

kj::Promise<bool> CatalogCommands::removeGroup(const std::string& nameOrId, uint64_t timeoutMs) {
  kj::TimePoint deadline = deadlineOf(timeoutMs);
  if (!nameOrId.starts_with("id:")) return removeKnown(0, nameOrId, deadline);
  return find(nameOrId).then(
      [this, nameOrId, deadline](catalog::GroupPointer group) -> kj::Promise<bool> {
        if (!group) return false;
        return removeKnown(group->id, nameOrId, deadline);
      });
}

kj::Promise<bool> CatalogCommands::removeKnown(uint64_t id, const std::string& nameOrId,
                                               kj::TimePoint deadline) {
  auto params =
      runtime::flatWords<Catalog::RemoveGroupParams>([&](Catalog::RemoveGroupParams::Builder to) {
        if (id != 0) {
          to.setId(id);
        } else {
          to.setName(nameOrId);
        }
      });
  return host_.catalogCall(kRemoveGroup, std::move(params), msUntil(deadline))
      .then([this, deadline, nameOrId](group::Outcome outcome) {
        return use<Catalog::RemoveGroupResults>(outcome, [&](auto results) -> kj::Promise<bool> {
          uint64_t removed = results.getId();
          bool existed = results.getExisted();
          if (removed == 0) return false;
          auto seen = [this, removed]() {
            const catalog::CatalogView& view = host_.catalog();
            catalog::GroupPointer group = view.group(removed);
            if (!group) return view.complete() && view.lastGroup() >= removed;
            return group->phase == catalog::GroupPhase::removing && stillThere(removed).empty();
          };
          return until(seen, deadline).then([this, removed, existed, nameOrId](bool done) {
            if (done) return existed;
            kj::throwFatalException(exceptionOf(
                ErrorCode::timeout, "group " + nameOrId + ": its name is free, but hosts " +
                                        listed(stillThere(removed)) +
                                        " have yet to wipe their replicas; they go on"));
          });
        });
      });
}

kj::Promise<catalog::GroupPointer> CatalogCommands::find(std::string nameOrId) {
  if (auto group = host_.catalog().groupByText(nameOrId)) return group;
  return caughtUp().then([this, nameOrId = std::move(nameOrId)](
                             bool current) -> kj::Promise<catalog::GroupPointer> {
    auto group = host_.catalog().groupByText(nameOrId);
    // A host that has just begun may not have heard of it yet: only the catalog can say that
    // there is none.
    if (!group && !current) {
      return exceptionOf(ErrorCode::unavailable,
                         "group " + nameOrId + ": not known to host " + std::to_string(host_.id()) +
                             ", and the catalog does not answer now; try again");
    }
    return group;
  });
}

kj::Promise<bool> CatalogCommands::caughtUp() {
  group::Call call;
  call.interfaceId = capnp::typeId<Catalog>();
  call.method = kChanges;
  call.params = runtime::flatWords<Catalog::ChangesParams>([](Catalog::ChangesParams::Builder to) {
    to.setAfter(UINT64_MAX);  // nothing but how far the leader's catalog is
  });
  std::vector<group::Call> calls;
  calls.push_back(std::move(call));
  kj::TimePoint deadline = host_.timer().now() + kFindTime;
  return host_.timer()
      .timeoutAfter(kFindTime, host_.router().query(kCatalogGroup, std::move(calls), {}, true))
      .then(
          [this, deadline](runtime::Outcomes outcomes) -> kj::Promise<bool> {
            if (!outcomes.front().ok()) return false;
            runtime::FlatReader words(outcomes.front().body);
            uint64_t revision = words.root<Catalog::ChangesResults>().getChanges().getRevision();
            return until([this, revision]() { return host_.catalog().revision() >= revision; },
                         deadline);
          },
          [](kj::Exception&&) -> kj::Promise<bool> { return false; });
}

kj::Promise<CatalogCommands::Pushed> CatalogCommands::pushPlugin(kj::Array<kj::byte> file,
                                                                 uint64_t timeoutMs) {
  kj::TimePoint deadline = deadlineOf(timeoutMs);
  return host_.probePlugin(kj::mv(file))
      .then([this, deadline](Result<runtime::ProbedPlugin> probed) -> kj::Promise<Pushed> {
        if (!probed) return exceptionOf(probed.fault());
        // The catalog takes no holder that it does not know, and this host may be new to it.
        auto known = [this]() { return host_.catalog().host(host_.id()) != nullptr; };
        return until(known, deadline)
            .then([this, deadline,
                   probed = std::move(*probed)](bool isKnown) mutable -> kj::Promise<Pushed> {
              if (isKnown) return announced(std::move(probed), deadline);
              return exceptionOf(ErrorCode::unavailable,
                                 "host " + std::to_string(host_.id()) +
                                     ": the catalog does not know it yet; try again");
            });
      });
}

kj::Promise<CatalogCommands::Pushed> CatalogCommands::announced(runtime::ProbedPlugin plugin,
                                                                kj::TimePoint deadline) {
  std::string sha256 = plugin.sha256;
  return host_.addPlugin(plugin, msUntil(deadline))
      .then([this, sha256, deadline](group::Outcome outcome) {
        bool existed = use<Catalog::AddPluginResults>(
            outcome, [](auto results) { return results.getExisted(); });
        auto seen = [this, sha256]() {
          catalog::PluginPointer known = host_.catalog().plugin(sha256);
          return known && known->holders.size() * 2 > host_.catalog().hosts().size();
        };
        return until(seen, deadline).then([this, sha256, existed](bool done) {
          catalog::PluginPointer known = host_.catalog().plugin(sha256);
          if (done && known) return Pushed{known, existed};
          kj::throwFatalException(exceptionOf(
              ErrorCode::timeout, "plugin " + (known ? known->nameAndVersion() : sha256) +
                                      ": pushed, but fewer than half of the hosts have fetched "
                                      "its file yet; they go on"));
        });
      });
}

}  // namespace flotilla::api
