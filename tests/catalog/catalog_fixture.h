// A catalog machine in memory, with short ways to ask it.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "flotilla/harness.h"
#include "flotilla/plugin.h"
#include "host/catalog/machine.h"
#include "host/catalog/view.h"

namespace flotilla::catalog {

using SpecFill = std::function<void(schema::GroupSpec::Builder)>;

inline std::string birthOf(uint64_t host) {
  return "b" + std::to_string(host);
}
inline std::string shaOf(char digit) {
  return std::string(64, digit);
}

class CatalogFixture {
public:
  explicit CatalogFixture(uint64_t hosts = 3) {
    for (uint64_t host = 1; host <= hosts; ++host) addHost(host);
    push("kv", "1.0.0", '1');
  }

  // "" where it went well, else the author's code; the text is in `said`.
  std::string addHost(uint64_t number, const std::string& birth = "", uint64_t boot = 1) {
    return noted(machine.call<&CatalogMachine::registerHost>([&](auto in) {
      auto host = in.initHost();
      host.setId(number);
      host.setBirth(birth.empty() ? birthOf(number) : birth);
      host.setAddress("127.0.0.1:" + std::to_string(7400 + number));
      host.setBootNumber(boot);
      host.setFounder(true);
      host.setClusterVersion(1);
    }));
  }

  std::string push(const std::string& name, const std::string& version, char sha,
                   uint64_t holder = 1) {
    auto answer = machine.call<&CatalogMachine::addPlugin>([&](auto in) {
      auto plugin = in.initPlugin();
      plugin.setName(name);
      plugin.setVersion(version);
      plugin.setSha256(shaOf(sha));
      plugin.setBytes(10);
      plugin.initHolders(1).set(0, holder);
    });
    existed = answer.ok() && answer.result().getExisted();
    return noted(answer);
  }

  std::string create(const std::string& name, const SpecFill& more = nullptr,
                     const std::string& plugin = "kv") {
    auto answer = machine.call<&CatalogMachine::createGroup>([&](auto in) {
      auto spec = in.initSpec();
      spec.setName(name);
      spec.setPlugin(plugin);
      if (more) more(spec);
    });
    if (answer.ok()) {
      id = answer.result().getId();
      incarnation = answer.result().getIncarnation();
      existed = answer.result().getExisted();
    }
    return noted(answer);
  }

  void remove(const std::string& name) {
    auto answer = machine.call<&CatalogMachine::removeGroup>([&](auto in) { in.setName(name); });
    id = answer.result().getId();
    existed = answer.result().getExisted();
  }

  struct Line {
    uint64_t group = 0;
    uint64_t incarnation = 0;
    uint64_t replica = 0;
    ReplicaPhase phase = ReplicaPhase::ready;
  };
  void report(uint64_t host, const std::vector<Line>& lines,
              const std::vector<std::string>& plugins = {}, const std::string& birth = "") {
    auto answer = machine.call<&CatalogMachine::report>([&](auto in) {
      auto report = in.initReport();
      report.setHost(host);
      report.setBirth(birth.empty() ? birthOf(host) : birth);
      auto replicas = report.initReplicas(static_cast<unsigned>(lines.size()));
      for (unsigned i = 0; i < lines.size(); ++i) {
        replicas[i].setGroup(lines[i].group);
        replicas[i].setIncarnation(lines[i].incarnation);
        replicas[i].setReplica(lines[i].replica);
        replicas[i].setState(static_cast<schema::CatalogReplica::State>(lines[i].phase));
      }
      auto files = report.initPlugins(static_cast<unsigned>(plugins.size()));
      for (unsigned i = 0; i < plugins.size(); ++i) files.set(i, plugins[i]);
    });
    answer.result();
  }
  // Every replica of the group says so.
  void reportAll(const GroupRecord& group, ReplicaPhase phase) {
    for (const ReplicaRecord& replica : group.replicas) {
      report(replica.host, {{group.id, group.incarnation, replica.id, phase}});
    }
  }

  // One step; true where there is more.
  bool step(CatalogView& view, uint32_t limit = 0, std::vector<uint64_t>* touched = nullptr) {
    auto answer = machine.call<&CatalogMachine::changes>([&](auto in) {
      in.setAfter(view.revision());
      in.setLimit(limit);
      in.setWalking(!view.complete());
    });
    view = view.with(answer.result().getChanges(), touched);
    return answer.result().getChanges().getMore();
  }
  CatalogView view() {
    CatalogView all;
    while (step(all)) {
    }
    return all;
  }

  testing::Harness<CatalogMachine> machine{
      {FLOTILLA_HANDLERS(CatalogMachine, registerHost, addPlugin, createGroup, removeGroup, report,
                         changes, switchGroup, setGroup)}};
  std::string said;
  uint64_t id = 0;
  uint64_t incarnation = 0;
  bool existed = false;

private:
  template <typename Answer>
  std::string noted(const Answer& answer) {
    said = answer.text();
    return answer.code();
  }
};

}  // namespace flotilla::catalog
