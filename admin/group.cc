// flotilla group: what runs.
#include <cstdio>
#include <memory>

#include "admin/cluster.h"
#include "admin/group_views.h"
#include "admin/nouns.h"
#include "admin/table.h"
#include "admin/views.h"

namespace flotilla::admin {
namespace {

constexpr uint64_t kReplicasMax = 7;

// What `group create` was told.
struct Creation {
  std::string name;
  std::string plugin;
  uint32_t replicas = 0;
  std::string onText;
  std::string learnersText;
  std::vector<std::string> optionTexts;
  std::vector<std::string> configTexts;

  std::vector<uint64_t> on;
  std::vector<uint64_t> learners;
  std::vector<std::pair<std::string, std::string>> options;
  std::vector<std::pair<std::string, std::string>> config;
};

Result<void> readPairs(const std::string& option, const std::vector<std::string>& texts,
                       std::vector<std::pair<std::string, std::string>>& out) {
  for (const std::string& text : texts) {
    Result<std::pair<std::string, std::string>> pair = splitPair(option, text);
    if (!pair) return pair.fault();
    for (const auto& earlier : out) {
      if (earlier.first == pair->first) {
        return Fault{ErrorCode::badRequest, option + " " + pair->first + ": given twice", ""};
      }
    }
    out.push_back(*pair);
  }
  return {};
}

Result<void> readCreation(Creation& creation) {
  if (Result<void> name = checkGroupName(creation.name, false); !name) return name.fault();
  Result<std::vector<uint64_t>> on = splitIds("--on", creation.onText);
  if (!on) return on.fault();
  creation.on = *on;
  Result<std::vector<uint64_t>> learners = splitIds("--learners", creation.learnersText);
  if (!learners) return learners.fault();
  creation.learners = *learners;
  if (Result<void> it = readPairs("--set", creation.optionTexts, creation.options); !it) {
    return it.fault();
  }
  return readPairs("--config", creation.configTexts, creation.config);
}

template <typename List>
void fillNumbers(List list, const std::vector<uint64_t>& numbers) {
  for (unsigned i = 0; i < numbers.size(); ++i) list.set(i, numbers[i]);
}

void fillPairs(capnp::List<schema::KeyValue>::Builder list,
               const std::vector<std::pair<std::string, std::string>>& pairs) {
  for (unsigned i = 0; i < pairs.size(); ++i) {
    list[i].setKey(pairs[i].first);
    list[i].setValue(pairs[i].second);
  }
}

unsigned count(size_t size) {
  return static_cast<unsigned>(size);
}

void fillSpec(const Creation& creation, schema::GroupSpec::Builder spec) {
  spec.setName(creation.name);
  spec.setPlugin(creation.plugin);
  spec.setReplicas(creation.replicas);
  fillNumbers(spec.initOn(count(creation.on.size())), creation.on);
  fillNumbers(spec.initLearners(count(creation.learners.size())), creation.learners);
  fillPairs(spec.initOptions(count(creation.options.size())), creation.options);
  fillPairs(spec.initConfig(count(creation.config.size())), creation.config);
}

// The group as it is, and whether it was so before.
void printWithExisted(schema::GroupStatus::Reader group, bool existed) {
  Json out = groupJson(group);
  out["existed"] = existed;
  printJson(out);
}

Exit create(const Options& options, const std::string& command, Creation creation) {
  if (Result<void> read = readCreation(creation); !read) {
    return Speaker(options.json, command).usage(read.fault().text);
  }
  return withCluster(options, {command, kChangeMs}, [&](Cluster& cluster) {
    Progress progress(options.json);
    progress.say("group " + creation.name + ": waiting until its replicas serve");
    auto response = cluster.wait(cluster.admin().createGroup(
        [&creation](schema::GroupSpec::Builder spec) { fillSpec(creation, spec); }));
    progress.clear();
    auto group = response.getGroup();
    if (options.json) {
      printWithExisted(group, response.getExisted());
    } else {
      std::printf("group %s: %s, id %llu, plugin %s %s, leader host %s\n", group.getName().cStr(),
                  response.getExisted() ? "exists already" : "created",
                  static_cast<unsigned long long>(group.getId()),
                  group.getPlugin().getName().cStr(), group.getPlugin().getVersion().cStr(),
                  orDash(group.getLeader()).c_str());
    }
    return Exit::done;
  });
}

// What `group list` was told.
struct Listing {
  client::Admin::GroupFilter filter;
  bool countOnly = false;
};

Exit list(const Options& options, const std::string& command, const Listing& listing) {
  return withCluster(options, {command, kAskMs}, [&](Cluster& cluster) {
    client::Admin::GroupFilter filter = listing.filter;
    bool filtered = filter.on != 0 || !filter.plugin.empty() || filter.unhealthyOnly;
    Table table = groupRows();
    Json groups = Json::array();
    uint64_t seen = 0;
    if (listing.countOnly && !filtered) {
      seen = cluster.wait(cluster.admin().countGroups()).getGroups();
    } else {
      for (bool more = true; more;) {
        auto response = cluster.wait(cluster.admin().listGroups(filter));
        for (auto group : response.getGroups()) {
          ++seen;
          filter.after = group.getName().cStr();
          if (listing.countOnly) continue;
          if (options.json) {
            groups.push_back(groupJson(group));
          } else {
            addGroupRow(table, group);
          }
        }
        more = response.getMore() && response.getGroups().size() != 0;
      }
    }
    if (listing.countOnly) {
      if (options.json) {
        printJson({{"count", seen}});
      } else {
        std::printf("%llu\n", static_cast<unsigned long long>(seen));
      }
    } else if (options.json) {
      printJson({{"groups", groups}});
    } else {
      table.print();
    }
    return Exit::done;
  });
}

Exit show(const Options& options, const std::string& command, const std::string& name) {
  return withCluster(options, {command, kAskMs}, [&](Cluster& cluster) {
    auto response = cluster.wait(cluster.admin().showGroup(name));
    if (options.json) {
      printJson(groupJson(response.getGroup()));
    } else {
      printGroup(response.getGroup());
    }
    return Exit::done;
  });
}

Exit remove(const Options& options, const std::string& command, const std::string& name) {
  return withCluster(options, {command, kChangeMs}, [&](Cluster& cluster) {
    Progress progress(options.json);
    progress.say("group " + name + ": waiting until its replicas are gone");
    bool existed = cluster.wait(cluster.admin().removeGroup(name)).getExisted();
    progress.clear();
    if (options.json) {
      printJson({{"name", name}, {"existed", existed}});
    } else {
      std::printf("group %s: %s\n", name.c_str(), existed ? "removed" : "was not there");
    }
    return Exit::done;
  });
}

Exit transfer(const Options& options, const std::string& command, const std::string& name,
              uint64_t to) {
  return withCluster(options, {command, kChangeMs}, [&](Cluster& cluster) {
    uint64_t leader = cluster.wait(cluster.admin().transferLeader(name, to)).getLeader();
    if (options.json) {
      printJson({{"name", name}, {"leader", leader}});
    } else {
      std::printf("group %s: led by host %llu\n", name.c_str(),
                  static_cast<unsigned long long>(leader));
    }
    return Exit::done;
  });
}

Exit snapshot(const Options& options, const std::string& command, const std::string& name) {
  return withCluster(options, {command, kChangeMs}, [&](Cluster& cluster) {
    Progress progress(options.json);
    progress.say("group " + name + ": saving snapshots");
    uint64_t index = cluster.wait(cluster.admin().snapshotGroup(name)).getIndex();
    progress.clear();
    if (options.json) {
      printJson({{"name", name}, {"index", index}});
    } else {
      std::printf("group %s: snapshot at index %llu\n", name.c_str(),
                  static_cast<unsigned long long>(index));
    }
    return Exit::done;
  });
}

Exit retry(const Options& options, const std::string& command, const std::string& name) {
  return withCluster(options, {command, kChangeMs}, [&](Cluster& cluster) {
    auto tried = cluster.wait(cluster.admin().retryGroup(name));
    std::vector<uint64_t> unanswered;
    for (uint64_t host : tried.getUnanswered()) unanswered.push_back(host);
    if (options.json) {
      printJson({{"name", name}, {"replicas", tried.getReplicas()}, {"unanswered", unanswered}});
      return Exit::done;
    }
    std::printf("group %s: replicas that try again: %u\n", name.c_str(), tried.getReplicas());
    for (uint64_t host : unanswered) {
      std::fprintf(stderr, "host %llu did not answer; if its replica has stopped, say it again\n",
                   static_cast<unsigned long long>(host));
    }
    return Exit::done;
  });
}

Exit rebuild(const Options& options, const std::string& command, const std::string& name,
             uint64_t on) {
  return withCluster(options, {command, kChangeMs}, [&](Cluster& cluster) {
    Progress progress(options.json);
    progress.say("group " + name + ": waiting for a snapshot of another replica");
    cluster.wait(cluster.admin().rebuildGroup(name, on));
    progress.clear();
    if (options.json) {
      printJson({{"name", name}, {"on", on}});
    } else {
      std::printf("group %s: rebuilt on host %llu\n", name.c_str(),
                  static_cast<unsigned long long>(on));
    }
    return Exit::done;
  });
}

Exit upgrade(const Options& options, const std::string& command, const std::string& name,
             const std::string& plugin) {
  return withCluster(options, {command, kChangeMs}, [&](Cluster& cluster) {
    Progress progress(options.json);
    progress.say("group " + name + ": its hosts try " + plugin);
    auto response = cluster.wait(cluster.admin().upgradeGroup(name, plugin));
    progress.clear();
    auto group = response.getGroup();
    if (options.json) {
      printWithExisted(group, response.getExisted());
    } else {
      std::printf("group %s: %s plugin %s %s\n", group.getName().cStr(),
                  response.getExisted() ? "runs already" : "runs now",
                  group.getPlugin().getName().cStr(), group.getPlugin().getVersion().cStr());
    }
    return Exit::done;
  });
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

Exit set(const Options& options, const std::string& command, const std::string& name,
         const Pairs& values) {
  return withCluster(options, {command, kChangeMs}, [&](Cluster& cluster) {
    auto response = cluster.wait(cluster.admin().setGroup(name, values));
    auto group = response.getGroup();
    if (options.json) {
      printWithExisted(group, response.getExisted());
    } else {
      std::string quotas = quotasText(group);
      std::printf("group %s: %s, quotas: %s\n", group.getName().cStr(),
                  response.getExisted() ? "is so already" : "set",
                  quotas.empty() ? "none" : quotas.c_str());
    }
    return Exit::done;
  });
}

void addSet(CLI::App& group, Chosen& chosen) {
  auto target = std::make_shared<std::string>();
  auto texts = std::make_shared<std::vector<std::string>>();
  CLI::App* app =
      addCommand(group, "set",
                 "Changes what may be changed of a group while it is there: its quotas, "
                 "memoryBytesMax, applyTimePercentMax and callsPerSecondMax. 0 takes one away.");
  app->add_option("NAME", *target, "the group's name, or id:7")->required()->type_name("");
  app->add_option("OPTIONS", *texts, "such as memoryBytesMax=536870912")
      ->required()
      ->type_name("NAME=VALUE …");
  app->callback([&chosen, target, texts, name = fullName(*app)]() {
    chosen.run = [target, texts, name](const Options& options) {
      Pairs values;
      Result<void> good = checkGroupName(*target, true);
      if (good) good = readPairs("option", *texts, values);
      if (!good) return Speaker(options.json, name).usage(good.fault().text);
      return set(options, name, *target, values);
    };
  });
}

void addUpgrade(CLI::App& group, Chosen& chosen) {
  auto target = std::make_shared<std::string>();
  auto plugin = std::make_shared<std::string>();
  CLI::App* app = addCommand(group, "upgrade",
                             "Has a group run another version of its plugin, newer or older, from "
                             "one entry of its log on.");
  app->add_option("NAME", *target, "the group's name, or id:7")->required()->type_name("");
  app->add_option("--plugin", *plugin, "what it is to run; without a version, the newest")
      ->required()
      ->type_name("NAME[@VERSION]");
  app->callback([&chosen, target, plugin, name = fullName(*app)]() {
    chosen.run = [target, plugin, name](const Options& options) {
      if (Result<void> good = checkGroupName(*target, true); !good) {
        return Speaker(options.json, name).usage(good.fault().text);
      }
      return upgrade(options, name, *target, *plugin);
    };
  });
}

void addCreate(CLI::App& group, Chosen& chosen) {
  auto creation = std::make_shared<Creation>();
  CLI::App* app =
      addCommand(group, "create",
                 "Creates a group and waits until it serves. Creating it again with the "
                 "same words succeeds.");
  app->add_option("NAME", creation->name, "1 to 63 of a-z, 0-9, '.', '_', '-'")
      ->required()
      ->type_name("");
  app->add_option("--plugin", creation->plugin, "what it runs; without a version, the newest")
      ->required()
      ->type_name("NAME[@VERSION]");
  CLI::Option* replicas =
      app->add_option("--replicas", creation->replicas,
                      "voters, on hosts chosen evenly; default 3, or as many as there are hosts")
          ->type_name("N")
          ->check(CLI::Range(uint64_t{1}, kReplicasMax).description(""));
  app->add_option("--on", creation->onText, "hosts of the voters, instead of --replicas")
      ->type_name("ID[,ID…]")
      ->excludes(replicas);
  app->add_option("--learners", creation->learnersText, "hosts that follow without a vote")
      ->type_name("ID[,ID…]");
  app->add_option("--set", creation->optionTexts,
                  "an option such as electionTimeoutMs=500 or, a quota, memoryBytesMax=536870912")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  app->add_option("--config", creation->configTexts, "an option of the plugin's own")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  app->callback([&chosen, creation, name = fullName(*app)]() {
    chosen.run = [creation, name](const Options& options) {
      return create(options, name, *creation);
    };
  });
}

void addList(CLI::App& group, Chosen& chosen) {
  auto listing = std::make_shared<Listing>();
  CLI::App* app = addCommand(group, "list", "Lists groups, by name.");
  app->add_option("--on", listing->filter.on, "only those with a replica on that host")
      ->type_name("ID");
  app->add_option("--plugin", listing->filter.plugin, "only those that run it")->type_name("NAME");
  app->add_flag("--unhealthy", listing->filter.unhealthyOnly,
                "only those without a leader, with a replica that does not serve, or over a quota");
  app->add_flag("--count", listing->countOnly, "only how many");
  app->callback([&chosen, listing, name = fullName(*app)]() {
    chosen.run = [listing, name](const Options& options) { return list(options, name, *listing); };
  });
}

using Verb = Exit (*)(const Options&, const std::string&, const std::string&);

void addVerb(CLI::App& group, Chosen& chosen, const std::string& verb, Verb run,
             const std::string& description) {
  auto target = std::make_shared<std::string>();
  CLI::App* app = addCommand(group, verb, description);
  app->add_option("NAME", *target, "the group's name, or id:7")->required()->type_name("");
  app->callback([&chosen, target, run, name = fullName(*app)]() {
    chosen.run = [target, run, name](const Options& options) {
      if (Result<void> good = checkGroupName(*target, true); !good) {
        return Speaker(options.json, name).usage(good.fault().text);
      }
      return run(options, name, *target);
    };
  });
}

// A verb whose object is one of the group's hosts.
struct HostVerb {
  std::string verb;
  std::string description;
  std::string option;
  std::string optionDescription;
  Exit (*run)(const Options&, const std::string&, const std::string&, uint64_t);
};

void addHostVerb(CLI::App& group, Chosen& chosen, const HostVerb& verb) {
  auto target = std::make_shared<std::string>();
  auto host = std::make_shared<uint64_t>(0);
  CLI::App* app = addCommand(group, verb.verb, verb.description);
  app->add_option("NAME", *target, "the group's name, or id:7")->required()->type_name("");
  app->add_option(verb.option, *host, verb.optionDescription)->required()->type_name("HOST");
  app->callback([&chosen, target, host, run = verb.run, name = fullName(*app)]() {
    chosen.run = [target, host, run, name](const Options& options) {
      if (Result<void> good = checkGroupName(*target, true); !good) {
        return Speaker(options.json, name).usage(good.fault().text);
      }
      return run(options, name, *target, *host);
    };
  });
}

}  // namespace

void addGroupCommands(CLI::App& root, Chosen& chosen) {
  CLI::App* group =
      addNoun(root, "group", "The groups: replicated services, each run by a plugin.");
  addCreate(*group, chosen);
  addList(*group, chosen);
  addVerb(*group, chosen, "show", show, "Shows one group and each of its replicas.");
  addVerb(
      *group, chosen, "remove", remove,
      "Removes a group with all it holds, and waits until it is gone. Removing what is not there "
      "succeeds.");
  addHostVerb(*group, chosen,
              {"transfer", "Hands a group's leadership to another host.", "--to", "who is to lead",
               transfer});
  addVerb(*group, chosen, "snapshot", snapshot, "Saves a snapshot on every replica of a group.");
  addVerb(*group, chosen, "retry", retry,
          "Has replicas that stopped at a command try it again, from their own snapshots.");
  addHostVerb(*group, chosen,
              {"rebuild",
               "Builds a replica anew from another one's snapshot, and waits until it serves. Its "
               "log and its vote stay.",
               "--on", "whose replica", rebuild});
  addUpgrade(*group, chosen);
  addSet(*group, chosen);
}

}  // namespace flotilla::admin
