// What operators ask: the catalog's words, and every host's own figures beside them.
#include "host/api/admin_service.h"

#include <algorithm>
#include <utility>

#include "host/api/faults.h"
#include "host/api/words.h"
#include "host/runtime/flat_words.h"

namespace flotilla::api {
namespace {

constexpr size_t kPluginBytesMax = 48 << 20;
constexpr uint32_t kListUsual = 200;
constexpr uint32_t kListMax = 1'000;
constexpr size_t kProblemsMax = 50;

Fault noSuchGroup(const std::string& name) {
  return Fault{ErrorCode::noSuchGroup,
               "group " + name + ": there is none of that name; `flotilla group list` shows all",
               ""};
}

}  // namespace

kj::Promise<uint64_t> AdminService::doesNotAnswer(uint64_t host) {
  return exceptionOf(ErrorCode::unavailable, "host " + std::to_string(host) + " does not answer");
}

// ---- hosts ---------------------------------------------------------------------------------

kj::Promise<HostWords> AdminService::askHosts() {
  std::map<uint64_t, std::vector<uint64_t>> asked;
  for (const catalog::HostPointer& host : host_.catalog().hosts()) asked[host->id];
  return gather(host_, std::move(asked));
}

kj::Promise<void> AdminService::listHosts(ListHostsContext context) {
  return askHosts().then([this, context](HostWords words) mutable {
    auto known = host_.catalog().hosts();
    auto hosts = context.getResults().initHosts(static_cast<unsigned>(known.size()));
    for (unsigned i = 0; i < hosts.size(); ++i) write(*known[i], words, hosts[i]);
  });
}

kj::Promise<void> AdminService::showHost(ShowHostContext context) {
  uint64_t id = context.getParams().getId();
  catalog::HostPointer known = host_.catalog().host(id);
  if (!known) {
    return exceptionOf(ErrorCode::badRequest, "host " + std::to_string(id) +
                                                  ": not known; `flotilla host list` shows all");
  }
  return gather(host_, {{id, {}}}).then([context, known](HostWords words) mutable {
    write(*known, words, context.getResults().initHost());
  });
}

// ---- plugins -------------------------------------------------------------------------------

kj::Promise<void> AdminService::pushPlugin(PushPluginContext context) {
  auto file = context.getParams().getFile();
  if (file.size() > kPluginBytesMax) {
    return exceptionOf(ErrorCode::tooLarge, "plugin: " + std::to_string(file.size()) +
                                                " bytes; at most " +
                                                std::to_string(kPluginBytesMax));
  }
  auto copy = kj::heapArray<kj::byte>(file);
  context.releaseParams();
  return commands_.pushPlugin(kj::mv(copy), 0)
      .then([this, context](CatalogCommands::Pushed pushed) mutable {
        auto results = context.getResults();
        write(*pushed.plugin, host_.catalog().groupsRunning(pushed.plugin->sha256),
              results.initPlugin());
        results.setExisted(pushed.existed);
      });
}

kj::Promise<void> AdminService::listPlugins(ListPluginsContext context) {
  auto known = host_.catalog().plugins();
  auto plugins = context.getResults().initPlugins(static_cast<unsigned>(known.size()));
  for (unsigned i = 0; i < plugins.size(); ++i) {
    write(*known[i], host_.catalog().groupsRunning(known[i]->sha256), plugins[i]);
  }
  return kj::READY_NOW;
}

kj::Promise<void> AdminService::showPlugin(ShowPluginContext context) {
  std::string name(viewOf(context.getParams().getName()));
  catalog::PluginPointer plugin = host_.catalog().pluginByText(name);
  if (!plugin) {
    return exceptionOf(ErrorCode::badRequest,
                       "plugin " + name + ": not known; `flotilla plugin list` shows all");
  }
  auto results = context.getResults();
  write(*plugin, host_.catalog().groupsRunning(plugin->sha256), results.initPlugin());
  runtime::FlatReader words(Bytes::copyOf(plugin->description));
  results.setDescription(words.root<schema::PluginDescription>());
  return kj::READY_NOW;
}

// ---- groups --------------------------------------------------------------------------------

kj::Promise<catalog::GroupPointer> AdminService::known(capnp::Text::Reader nameOrId) {
  std::string name(viewOf(nameOrId));
  return commands_.find(name).then(
      [name](catalog::GroupPointer group) -> kj::Promise<catalog::GroupPointer> {
        if (!group) return exceptionOf(noSuchGroup(name));
        return group;
      });
}

kj::Promise<void> AdminService::createGroup(CreateGroupContext context) {
  auto params = context.getParams();
  return commands_.createGroup(params.getSpec(), params.getTimeoutMs())
      .then([this, context](CreatedGroup created) mutable {
        return gather(host_, {created.group})
            .then([this, context, created](HostWords words) mutable {
              auto results = context.getResults();
              write(*created.group, host_.catalog(), words, results.initGroup());
              results.setExisted(created.existed);
            });
      });
}

kj::Promise<void> AdminService::removeGroup(RemoveGroupContext context) {
  auto params = context.getParams();
  return commands_.removeGroup(std::string(viewOf(params.getName())), params.getTimeoutMs())
      .then([context](bool existed) mutable { context.getResults().setExisted(existed); });
}

// Groups being collected for one answer.
struct AdminService::Page {
  std::string after;
  std::string plugin;  // NAME or NAME@VERSION; empty: any
  uint64_t on = 0;
  bool unhealthyOnly = false;
  size_t limit = 0;
  bool more = false;
  std::vector<catalog::GroupPointer> groups;
  std::vector<HostWords> words;  // one each; they share what the hosts said

  bool wants(const catalog::GroupRecord& group) const {
    if (on != 0 && group.on(on) == nullptr) return false;
    return plugin.empty() || plugin == group.pluginName || plugin == group.plugin();
  }
};

kj::Promise<void> AdminService::listGroups(ListGroupsContext context) {
  auto params = context.getParams();
  auto page = std::make_shared<Page>();
  page->after = viewOf(params.getAfter());
  page->plugin = viewOf(params.getPlugin());
  page->on = params.getOn();
  page->unhealthyOnly = params.getUnhealthyOnly();
  page->limit = params.getLimit() == 0 ? kListUsual : std::min(params.getLimit(), kListMax);
  return fillPage(context, page);
}

// Looks at the next groups until the page is full or there are none left.
kj::Promise<void> AdminService::fillPage(ListGroupsContext context, std::shared_ptr<Page> page) {
  auto next = host_.catalog().groupsAfter(page->after, kListMax);
  bool last = next.size() < kListMax;
  if (!next.empty()) page->after = next.back()->spec.name;
  std::erase_if(next, [&](const catalog::GroupPointer& it) { return !page->wants(*it); });
  return gather(host_, next)
      .then([this, context, page, next, last](HostWords words) mutable -> kj::Promise<void> {
        for (const catalog::GroupPointer& group : next) {
          if (page->unhealthyOnly && troubleOf(*group, words).empty()) continue;
          if (page->groups.size() == page->limit) {
            page->more = true;
            break;
          }
          page->groups.push_back(group);
          page->words.push_back(words);
        }
        if (!page->more && !last) return fillPage(context, page);
        auto results = context.getResults();
        results.setMore(page->more);
        auto groups = results.initGroups(static_cast<unsigned>(page->groups.size()));
        for (unsigned i = 0; i < groups.size(); ++i) {
          write(*page->groups[i], host_.catalog(), page->words[i], groups[i]);
        }
        return kj::READY_NOW;
      });
}

kj::Promise<void> AdminService::countGroups(CountGroupsContext context) {
  context.getResults().setGroups(host_.catalog().groupCount());
  return kj::READY_NOW;
}

kj::Promise<void> AdminService::showGroup(ShowGroupContext context) {
  return known(context.getParams().getName())
      .then([this, context](catalog::GroupPointer group) mutable {
        return rounds_.of(group).then([this, context, group](HostWords words) mutable {
          write(*group, host_.catalog(), words, context.getResults().initGroup());
        });
      });
}

// ---- words to replicas -----------------------------------------------------------------------

kj::Promise<uint64_t> AdminService::control(uint64_t host, uint64_t group, schema::Peer::Verb verb,
                                            uint64_t argument) {
  if (host == host_.id()) return host_.control(group, verb, argument);
  if (!host_.hostUp(host)) return doesNotAnswer(host);
  return host_.peer(host).then([group, verb, argument](schema::Peer::Client peer) {
    auto request = peer.controlRequest();
    request.setGroup(group);
    request.setVerb(verb);
    request.setArgument(argument);
    return request.send().then([](auto response) -> uint64_t { return response.getValue(); });
  });
}

kj::Promise<void> AdminService::transferLeader(TransferLeaderContext context) {
  uint64_t to = context.getParams().getTo();
  kj::TimePoint deadline = commands_.deadlineOf(context.getParams().getTimeoutMs());
  return known(context.getParams().getName())
      .then([this, to, deadline](catalog::GroupPointer group) -> kj::Promise<uint64_t> {
        const catalog::ReplicaRecord* replica = group->on(to);
        if (replica == nullptr || !replica->voter) {
          return exceptionOf(ErrorCode::badRequest, "group " + group->spec.name + ": host " +
                                                        std::to_string(to) +
                                                        " has no voter of it to lead");
        }
        return transferred(group, to, deadline);
      })
      .then([context](uint64_t leader) mutable { context.getResults().setLeader(leader); });
}

// Asks whoever leads to hand over, and looks, until the wanted host leads.
kj::Promise<uint64_t> AdminService::transferred(catalog::GroupPointer group, uint64_t to,
                                                kj::TimePoint deadline) {
  return gather(host_, {group})
      .then([this, group, to, deadline](HostWords words) -> kj::Promise<uint64_t> {
        uint64_t leader = leaderOf(*group, words).host;
        if (leader == to) return leader;
        if (host_.timer().now() >= deadline) {
          return exceptionOf(ErrorCode::timeout, "group " + group->spec.name + ": host " +
                                                     std::to_string(leader) +
                                                     " still leads; host " + std::to_string(to) +
                                                     " may be behind or not answering");
        }
        kj::Promise<uint64_t> asked = uint64_t{0};
        if (leader != 0) {
          asked = control(leader, group->id, schema::Peer::Verb::TRANSFER, group->on(to)->id);
        }
        auto lookAgain = [this, group, to, deadline]() {
          return host_.timer().afterDelay(kLookAgain).then([this, group, to, deadline]() {
            return transferred(group, to, deadline);
          });
        };
        // Leadership may have moved since the hosts were asked; that is seen at the next look.
        return asked.then([lookAgain](uint64_t) { return lookAgain(); },
                          [lookAgain](kj::Exception&&) { return lookAgain(); });
      });
}

kj::Promise<void> AdminService::snapshotGroup(SnapshotGroupContext context) {
  kj::TimePoint deadline = commands_.deadlineOf(context.getParams().getTimeoutMs());
  auto work =
      known(context.getParams().getName())
          .then([this](catalog::GroupPointer group) {
            return gather(host_, {group}).then([this, group](HostWords words) {
              uint64_t leader = leaderOf(*group, words).host;
              auto asked = kj::heapArrayBuilder<kj::Promise<uint64_t>>(group->replicas.size());
              for (const catalog::ReplicaRecord& replica : group->replicas) {
                uint64_t host = replica.host;
                auto one = control(host, group->id, schema::Peer::Verb::SNAPSHOT, 0);
                // A follower that cannot is seen in its status; the leader's word counts.
                if (host == leader) {
                  asked.add(kj::mv(one));
                } else {
                  asked.add(one.then([](uint64_t) -> uint64_t { return 0; },
                                     [](kj::Exception&&) -> uint64_t { return 0; }));
                }
              }
              if (leader == 0) {
                kj::throwFatalException(
                    exceptionOf(ErrorCode::unavailable,
                                "group " + group->spec.name + ": it has no leader; try again"));
              }
              return kj::joinPromises(asked.finish());
            });
          })
          .then([context](kj::Array<uint64_t> indexes) mutable {
            uint64_t index = *std::max_element(indexes.begin(), indexes.end());
            context.getResults().setIndex(index);
          });
  kj::Timer& timer = host_.timer();
  return kj::mv(work).exclusiveJoin(timer.atTime(deadline).then([]() -> kj::Promise<void> {
    return exceptionOf(ErrorCode::timeout,
                       "snapshot: not all replicas have saved one yet; they go on");
  }));
}

kj::Promise<void> AdminService::retryGroup(RetryGroupContext context) {
  struct Tried {
    uint64_t host;
    kj::Maybe<uint64_t> replicas;
  };
  return known(context.getParams().getName())
      .then([this](catalog::GroupPointer group) {
        auto asked = kj::heapArrayBuilder<kj::Promise<Tried>>(group->replicas.size());
        for (const catalog::ReplicaRecord& replica : group->replicas) {
          uint64_t host = replica.host;
          // One whose log is damaged has nothing to try again, and says so.
          auto answered = control(host, group->id, schema::Peer::Verb::RETRY, 0)
                              .then(
                                  [host](uint64_t tried) {
                                    return Tried{host, tried};
                                  },
                                  [host](kj::Exception&& why) {
                                    bool none = faultOf(why).code == ErrorCode::noSuchGroup;
                                    return none ? Tried{host, uint64_t{0}} : Tried{host, nullptr};
                                  });
          auto late = host_.timer().afterDelay(kAnswerTime).then([host]() {
            return Tried{host, nullptr};
          });
          asked.add(answered.exclusiveJoin(kj::mv(late)));
        }
        return kj::joinPromises(asked.finish());
      })
      .then([context](kj::Array<Tried> tried) mutable {
        uint64_t replicas = 0;
        std::vector<uint64_t> unanswered;
        for (const Tried& one : tried) {
          KJ_IF_MAYBE (count, one.replicas) {
            replicas += *count;
          } else {
            unanswered.push_back(one.host);
          }
        }
        auto results = context.getResults();
        results.setReplicas(static_cast<uint32_t>(replicas));
        results.setUnanswered({unanswered.data(), unanswered.size()});
      });
}

kj::Promise<void> AdminService::rebuildGroup(RebuildGroupContext context) {
  uint64_t on = context.getParams().getOn();
  kj::TimePoint deadline = commands_.deadlineOf(context.getParams().getTimeoutMs());
  return known(context.getParams().getName())
      .then([this, on, deadline](catalog::GroupPointer group) -> kj::Promise<void> {
        if (group->on(on) == nullptr) {
          return exceptionOf(
              ErrorCode::badRequest,
              "group " + group->spec.name + ": no replica on host " + std::to_string(on));
        }
        return control(on, group->id, schema::Peer::Verb::REBUILD, 0)
            .then([this, group, on, deadline](uint64_t) { return rebuilt(group, on, deadline); });
      });
}

// Looks until the replica there is ready again, or says why it cannot be.
kj::Promise<void> AdminService::rebuilt(catalog::GroupPointer group, uint64_t on,
                                        kj::TimePoint deadline) {
  std::map<uint64_t, std::vector<uint64_t>> asked{{on, {group->id}}};
  return gather(host_, std::move(asked))
      .then([this, group, on, deadline](HostWords words) -> kj::Promise<void> {
        std::string who =
            "group " + group->spec.name + ": its replica on host " + std::to_string(on);
        auto word = words.find(on);
        if (word != words.end()) {
          KJ_IF_MAYBE (status, word->second->replica(group->id)) {
            auto member = status->getMember();
            if (member.getFault().size() != 0) {
              return exceptionOf(ErrorCode::faulted,
                                 who + " cannot be rebuilt: " + member.getFault().cStr());
            }
            if (member.getReady() && member.getMachine() != "rebuilding") return kj::READY_NOW;
          }
        }
        if (host_.timer().now() >= deadline) {
          return exceptionOf(
              ErrorCode::timeout,
              who + " is not rebuilt yet; it goes on, see flotilla group show " + group->spec.name);
        }
        return host_.timer().afterDelay(kLookAgain).then([this, group, on, deadline]() {
          return rebuilt(group, on, deadline);
        });
      });
}

// ---- the whole -----------------------------------------------------------------------------

// What is found out about the cluster, page by page.
struct AdminService::Health {
  std::string after;
  HostWords hosts;
  uint64_t groups = 0;
  uint64_t ready = 0;
  uint64_t unhealthy = 0;
  std::vector<std::string> problems;

  void add(std::string problem) {
    if (problems.size() < kProblemsMax) problems.push_back(std::move(problem));
  }
};

kj::Promise<void> AdminService::lookAtGroups(std::shared_ptr<Health> health) {
  auto next = host_.catalog().groupsAfter(health->after, kListMax);
  if (next.empty()) return kj::READY_NOW;
  health->after = next.back()->spec.name;
  return gather(host_, next).then([this, health, next](HostWords words) -> kj::Promise<void> {
    for (const catalog::GroupPointer& group : next) {
      ++health->groups;
      if (group->phase == catalog::GroupPhase::ready) ++health->ready;
      std::string trouble = troubleOf(*group, words);
      if (trouble.empty()) continue;
      ++health->unhealthy;
      health->add("group " + group->spec.name + ": " + trouble);
    }
    if (next.size() < kListMax) return kj::READY_NOW;
    return lookAtGroups(health);
  });
}

kj::Promise<void> AdminService::clusterStatus(ClusterStatusContext context) {
  auto health = std::make_shared<Health>();
  return askHosts()
      .then([this, health](HostWords words) {
        health->hosts = std::move(words);
        return lookAtGroups(health);
      })
      .then([this, context, health]() mutable {
        const catalog::CatalogView& view = host_.catalog();
        auto status = context.getResults().initStatus();
        status.setCluster(host_.config().clusterName);
        auto known = view.hosts();
        auto hosts = status.initHosts(static_cast<unsigned>(known.size()));
        for (unsigned i = 0; i < hosts.size(); ++i) {
          write(*known[i], health->hosts, hosts[i]);
          std::string who = "host " + std::to_string(known[i]->id);
          if (hosts[i].getState() != "up") health->add(who + ": does not answer");
          for (auto volume : hosts[i].getVolumes()) {
            if (volume.getState() == "open") continue;
            health->add(who + ": volume " + volume.getName().cStr() + " is " +
                        volume.getState().cStr());
          }
        }
        uint64_t leader = host_.router().leaderHost(0);
        if (leader == 0) health->add("catalog: no leader is known; commands will wait");
        status.setCatalogLeader(leader);
        status.setGroups(health->groups);
        status.setGroupsReady(health->ready);
        status.setGroupsUnhealthy(health->unhealthy);
        status.setPlugins(view.plugins().size());
        status.setHealthy(health->problems.empty());
        auto problems = status.initProblems(static_cast<unsigned>(health->problems.size()));
        for (unsigned i = 0; i < problems.size(); ++i) problems.set(i, health->problems[i]);
      });
}

}  // namespace flotilla::api
