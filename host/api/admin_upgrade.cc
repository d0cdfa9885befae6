// An upgrade of a group's plugin: tried on every host, switched by its leader, seen on all.
#include <memory>
#include <string>
#include <utility>

#include "host/api/admin_service.h"
#include "host/api/faults.h"
#include "host/api/words.h"
#include "host/runtime/flat_words.h"

namespace flotilla::api {

struct AdminService::Upgrade {
  catalog::GroupPointer group;
  catalog::PluginPointer from;
  catalog::PluginPointer to;
  kj::TimePoint deadline;

  std::string who() const { return "group " + group->spec.name + ": "; }
};

// Hosts whose replica runs another plugin yet; those that gave no word are passed over.
std::string AdminService::lacking(const Upgrade& upgrade, const HostWords& words) {
  std::string hosts;
  for (const auto& [host, word] : words) {
    KJ_IF_MAYBE (status, word->replica(upgrade.group->id)) {
      if (status->getMember().getPlugin() == upgrade.to->sha256) continue;
      hosts += (hosts.empty() ? "" : ",") + std::to_string(host);
    }
  }
  return hosts;
}

kj::Promise<uint64_t> AdminService::askUpgrade(uint64_t host, const Upgrade& upgrade,
                                               bool switches) {
  uint64_t group = upgrade.group->id;
  const std::string& sha256 = upgrade.to->sha256;
  if (host == host_.id()) return host_.upgrade(group, sha256, switches);
  if (!host_.hostUp(host)) return doesNotAnswer(host);
  auto asked = host_.peer(host).then([group, sha256, switches](schema::Peer::Client peer) {
    auto request = peer.upgradeRequest();
    request.setGroup(group);
    request.setSha256(sha256);
    request.setSwitch(switches);
    return request.send().then([](auto response) -> uint64_t { return response.getIndex(); });
  });
  kj::TimePoint now = host_.timer().now();
  kj::Duration left = upgrade.deadline > now ? upgrade.deadline - now : 0 * kj::SECONDS;
  auto late = host_.timer().afterDelay(left).then([host]() { return doesNotAnswer(host); });
  return asked.exclusiveJoin(kj::mv(late));
}

kj::Promise<void> AdminService::upgradeGroup(UpgradeGroupContext context) {
  auto params = context.getParams();
  std::string wanted(viewOf(params.getPlugin()));
  kj::TimePoint deadline = commands_.deadlineOf(params.getTimeoutMs());
  return known(params.getName())
      .then([this, context, wanted, deadline](catalog::GroupPointer group) mutable {
        auto upgrade =
            std::make_shared<Upgrade>(Upgrade{group, host_.catalog().plugin(group->pluginSha256),
                                              host_.catalog().pluginByText(wanted), deadline});
        if (!upgrade->to || !upgrade->from) {
          return kj::Promise<void>(
              exceptionOf(ErrorCode::badRequest,
                          upgrade->who() + "plugin " + wanted + " is not known; push it first"));
        }
        // The catalog hears of a switch a little later: the replicas know.
        return gather(host_, {group})
            .then([this, context, upgrade](HostWords words) mutable -> kj::Promise<void> {
              bool same =
                  upgrade->to->sha256 == upgrade->from->sha256 && lacking(*upgrade, words).empty();
              context.getResults().setExisted(same);
              if (same) return kj::READY_NOW;
              return triedEverywhere(upgrade);
            })
            .then([this, context, upgrade]() mutable {
              catalog::GroupPointer now = host_.catalog().group(upgrade->group->id);
              if (!now) now = upgrade->group;
              return gather(host_, {now}).then([this, context, now](HostWords words) mutable {
                write(*now, host_.catalog(), words, context.getResults().initGroup());
              });
            });
      });
}

// Nothing is switched before every replica's host has tried it: one that cannot follow would be
// left behind.
kj::Promise<void> AdminService::triedEverywhere(std::shared_ptr<Upgrade> upgrade) {
  if (upgrade->to->name != upgrade->from->name) {
    return exceptionOf(ErrorCode::badRequest, upgrade->who() + "runs plugin " +
                                                  upgrade->from->name + "; " + upgrade->to->name +
                                                  " is another one");
  }
  runtime::FlatReader before(Bytes::copyOf(upgrade->from->description));
  runtime::FlatReader after(Bytes::copyOf(upgrade->to->description));
  Result<void> fit = runtime::Host::interfacesFit(before.root<schema::PluginDescription>(),
                                                  after.root<schema::PluginDescription>());
  if (!fit) {
    return exceptionOf(fit.fault().code, upgrade->who() + upgrade->to->nameAndVersion() +
                                             " cannot follow " + upgrade->from->nameAndVersion() +
                                             ": " + fit.fault().text);
  }
  for (const catalog::ReplicaRecord& replica : upgrade->group->replicas) {
    if (host_.hostUp(replica.host)) continue;
    return exceptionOf(ErrorCode::badRequest,
                       upgrade->who() + "host " + std::to_string(replica.host) +
                           " does not answer, and every replica's host must have tried " +
                           upgrade->to->nameAndVersion() + " first; " +
                           upgrade->from->nameAndVersion() + " goes on");
  }
  auto tried = kj::heapArrayBuilder<kj::Promise<uint64_t>>(upgrade->group->replicas.size());
  for (const catalog::ReplicaRecord& replica : upgrade->group->replicas) {
    uint64_t host = replica.host;
    tried.add(askUpgrade(host, *upgrade, false)
                  .catch_([upgrade, host](kj::Exception&& why) -> kj::Promise<uint64_t> {
                    Fault fault = faultOf(why);
                    return exceptionOf(fault.code, upgrade->who() + upgrade->to->nameAndVersion() +
                                                       " does not do on host " +
                                                       std::to_string(host) + ": " + fault.text +
                                                       "; " + upgrade->from->nameAndVersion() +
                                                       " goes on");
                  }));
  }
  return kj::joinPromises(tried.finish()).then([this, upgrade](kj::Array<uint64_t>) {
    return switched(upgrade);
  });
}

// Asks whoever leads, until one has. A switch that was made already changes nothing.
kj::Promise<void> AdminService::switched(std::shared_ptr<Upgrade> upgrade) {
  return gather(host_, {upgrade->group})
      .then([this, upgrade](HostWords words) -> kj::Promise<void> {
        uint64_t leader = leaderOf(*upgrade->group, words).host;
        auto again = [this, upgrade](std::string why) -> kj::Promise<void> {
          if (host_.timer().now() >= upgrade->deadline) {
            return exceptionOf(ErrorCode::timeout,
                               upgrade->who() + "not switched in time (" + why +
                                   "); it may still be, the same command may be given again");
          }
          return host_.timer().afterDelay(kLookAgain).then([this, upgrade]() {
            return switched(upgrade);
          });
        };
        if (leader == 0) return again("it has no leader");
        return askUpgrade(leader, *upgrade, true)
            .then([this, upgrade](uint64_t) { return seenSwitched(upgrade); },
                  [again, upgrade](kj::Exception&& why) -> kj::Promise<void> {
                    Fault fault = faultOf(why);
                    if (fault.code != ErrorCode::badRequest) return again(fault.text);
                    return exceptionOf(fault.code,
                                       upgrade->who() + upgrade->to->nameAndVersion() +
                                           " was refused by the machine: " + fault.text);
                  });
      });
}

// By the catalog, and by every replica whose host answers.
kj::Promise<void> AdminService::seenSwitched(std::shared_ptr<Upgrade> upgrade) {
  return gather(host_, {upgrade->group})
      .then([this, upgrade](HostWords words) -> kj::Promise<void> {
        std::string missing = lacking(*upgrade, words);
        catalog::GroupPointer now = host_.catalog().group(upgrade->group->id);
        bool told = !now || now->pluginSha256 == upgrade->to->sha256;
        if (missing.empty() && told) return kj::READY_NOW;
        if (host_.timer().now() >= upgrade->deadline) {
          return exceptionOf(
              ErrorCode::timeout,
              upgrade->who() + (missing.empty() ? "switched, but the catalog has yet to hear of it"
                                                : "switched; hosts " + missing +
                                                      " have yet to come so far in its log"));
        }
        return host_.timer().afterDelay(kLookAgain).then([this, upgrade]() {
          return seenSwitched(upgrade);
        });
      });
}

}  // namespace flotilla::api
