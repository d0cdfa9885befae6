// flotilla top: what the hosts and the busiest groups are doing now.
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <unistd.h>

#include "admin/cluster.h"
#include "admin/nouns.h"
#include "admin/table.h"
#include "admin/views.h"

namespace flotilla::admin {
namespace {

constexpr size_t kGroupsShown = 20;
constexpr double kSecondsUsual = 2;

struct Asked {
  bool once = false;
  double seconds = kSecondsUsual;
};

// What one host's counters of one group, or of all it has, were.
struct Counted {
  uint64_t commands = 0;
  uint64_t queries = 0;
  std::vector<uint64_t> applyUs;
};

struct GroupRow {
  std::string name;
  uint64_t id = 0;
  uint64_t leader = 0;
  double commands = 0;  // a second
  double queries = 0;
  uint64_t logBytes = 0;
  std::vector<uint64_t> applyUs;  // of the time between two looks

  double calls() const { return commands + queries; }
};

struct HostRow {
  schema::HostStatus::Reader status;
  double commands = 0;
  double queries = 0;
};

// The counters of a look, to be held against the next one's.
using Book = std::map<std::pair<uint64_t, uint64_t>, Counted>;  // host, group; 0: all of the host

// A counter that is lower than before belongs to another process, or to a place that was passed on.
uint64_t risen(uint64_t now, uint64_t before) {
  return now >= before ? now - before : now;
}

// The value below which that part of a row of buckets lies, at most; see HostStatus.BusyGroup.
uint64_t percentile(const std::vector<uint64_t>& buckets, double part) {
  uint64_t all = 0;
  for (uint64_t count : buckets) all += count;
  uint64_t seen = 0;
  for (size_t bits = 0; bits < buckets.size(); ++bits) {
    seen += buckets[bits];
    if (seen > 0 && static_cast<double>(seen) >= static_cast<double>(all) * part) {
      return (uint64_t{1} << bits) - 1;
    }
  }
  return 0;
}

// Two looks at the cluster, and what happened in between.
//
// Owner:  run, on its stack.
// Thread: main's.
// Errors: none; a host that did not answer has no row of rates.
class Looks {
public:
  // False for the first look.
  bool take(schema::ClusterStatus::Reader status, double seconds) {
    Book before = std::move(book_);
    book_.clear();
    hosts_.clear();
    groups_.clear();
    seconds_ = seconds;
    std::map<uint64_t, GroupRow> groups;
    for (auto host : status.getHosts()) {
      HostRow row{host, 0, 0};
      Counted all{host.getCommands(), host.getQueries(), {}};
      Counted was = remember({host.getId(), 0}, all, before);
      row.commands = rate(all.commands, was.commands);
      row.queries = rate(all.queries, was.queries);
      hosts_.push_back(row);
      for (auto busy : host.getBusy()) addGroup(host.getId(), busy, before, groups);
    }
    for (auto& [id, row] : groups) groups_.push_back(std::move(row));
    std::stable_sort(
        groups_.begin(), groups_.end(),
        [](const GroupRow& left, const GroupRow& right) { return left.calls() > right.calls(); });
    if (groups_.size() > kGroupsShown) groups_.resize(kGroupsShown);
    return !before.empty();
  }

  Json json() const {
    Json out = {{"seconds", seconds_}, {"hosts", Json::array()}, {"groups", Json::array()}};
    for (const HostRow& row : hosts_) {
      Json host = hostJson(row.status);
      host["commandsPerSecond"] = row.commands;
      host["queriesPerSecond"] = row.queries;
      out["hosts"].push_back(std::move(host));
    }
    for (const GroupRow& row : groups_) {
      out["groups"].push_back(
          {{"name", row.name},
           {"id", row.id},
           {"leader", row.leader},
           {"commandsPerSecond", row.commands},
           {"queriesPerSecond", row.queries},
           {"applyUs",
            {{"p50", percentile(row.applyUs, 0.5)}, {"p99", percentile(row.applyUs, 0.99)}}},
           {"logBytes", row.logBytes}});
    }
    return out;
  }

  std::string text() const {
    Table hosts({"HOST", "STATE", "COMMANDS/S", "QUERIES/S", "LEADING", "REPLICAS", "FAULTED",
                 "MEMORY", "UP"});
    for (const HostRow& row : hosts_) {
      hosts.add({std::to_string(row.status.getId()), row.status.getState().cStr(),
                 number(row.commands), number(row.queries), std::to_string(row.status.getLeading()),
                 std::to_string(row.status.getReplicas()), std::to_string(row.status.getFaulted()),
                 bytesText(row.status.getMemoryBytes()), durationText(row.status.getUptimeMs())});
    }
    if (groups_.empty()) return hosts.text() + "\nno group is busy\n";
    Table groups({"GROUP", "LEADER", "COMMANDS/S", "QUERIES/S", "APPLY P50", "APPLY P99", "LOG"});
    for (const GroupRow& row : groups_) {
      groups.add({row.name, orDash(row.leader), number(row.commands), number(row.queries),
                  lag(row, 0.5), lag(row, 0.99), bytesText(row.logBytes)});
    }
    return hosts.text() + "\n" + groups.text();
  }

private:
  // What was counted there at the look before; nothing happened where there was none.
  Counted remember(std::pair<uint64_t, uint64_t> place, const Counted& now, const Book& before) {
    auto was = before.find(place);
    book_[place] = now;
    return was == before.end() ? now : was->second;
  }
  double rate(uint64_t now, uint64_t before) const {
    return static_cast<double>(risen(now, before)) / seconds_;
  }
  void addGroup(uint64_t host, schema::HostStatus::BusyGroup::Reader busy, const Book& before,
                std::map<uint64_t, GroupRow>& groups) {
    Counted now{busy.getCommands(), busy.getQueries(), {}};
    for (uint64_t count : busy.getApplyUs()) now.applyUs.push_back(count);
    Counted was = remember({host, busy.getId()}, now, before);
    GroupRow& row = groups[busy.getId()];
    row.name = busy.getName().cStr();
    row.id = busy.getId();
    row.commands += rate(now.commands, was.commands);
    row.queries += rate(now.queries, was.queries);
    if (!busy.getLeads()) return;
    row.leader = host;
    row.logBytes = busy.getLogBytes();
    was.applyUs.resize(now.applyUs.size());
    for (size_t i = 0; i < now.applyUs.size(); ++i) {
      row.applyUs.push_back(risen(now.applyUs[i], was.applyUs[i]));
    }
  }
  static std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.0f", value);
    return text;
  }
  static std::string lag(const GroupRow& row, double part) {
    uint64_t us = percentile(row.applyUs, part);
    if (us == 0) return "-";
    char text[32];
    std::snprintf(text, sizeof text, "%.1f ms", static_cast<double>(us) / 1000);
    return text;
  }

  Book book_;
  std::vector<HostRow> hosts_;
  std::vector<GroupRow> groups_;
  double seconds_ = 1;
};

Exit run(const Options& options, const std::string& command, const Asked& asked) {
  bool live = isatty(STDOUT_FILENO) == 1 && !asked.once && !options.json;
  return withCluster(options, {command, kAskMs}, [&](Cluster& cluster) {
    kj::Timer& timer = cluster.io().provider->getTimer();
    auto pause = static_cast<int64_t>(asked.seconds * 1e6) * kj::MICROSECONDS;
    Looks looks;
    kj::TimePoint last = timer.now();
    while (true) {
      auto response = cluster.wait(cluster.admin().clusterStatus());
      kj::TimePoint now = timer.now();
      double seconds = static_cast<double>((now - last) / kj::MICROSECONDS) / 1e6;
      last = now;
      if (looks.take(response.getStatus(), std::max(seconds, 1e-3))) {
        if (options.json) {
          printJson(looks.json());
        } else {
          std::printf("%s%s", live ? "\033[H\033[J" : "", looks.text().c_str());
          std::fflush(stdout);
        }
        if (!live) return Exit::done;
      }
      cluster.wait(timer.afterDelay(pause));
    }
  });
}

}  // namespace

void addTopCommand(CLI::App& root, Chosen& chosen) {
  auto asked = std::make_shared<Asked>();
  CLI::App* top = addCommand(
      root, "top",
      "Shows hosts and the busiest groups, again and again, until interrupted. Without a terminal, "
      "once. APPLY is how long commands take from their entry to its being applied, at most.");
  top->add_flag("--once", asked->once, "one table, of what happens within the seconds");
  top->add_option("--seconds", asked->seconds, "between two looks; default 2")
      ->type_name("N")
      ->check(CLI::Range(0.1, 3600.0).description(""));
  top->callback([&chosen, asked, name = fullName(*top)]() {
    chosen.run = [asked, name](const Options& options) { return run(options, name, *asked); };
  });
}

}  // namespace flotilla::admin
