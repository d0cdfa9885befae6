// Hosts that crash at any step still end with what the catalog wants, and nothing else.
#include "host/catalog/reconciler.h"

#include <algorithm>
#include <map>
#include <set>

#include <doctest/doctest.h>

#include "host/base/prng.h"
#include "tests/catalog/catalog_fixture.h"

namespace flotilla::catalog {
namespace {

using Key = std::pair<uint64_t, uint64_t>;  // group, replica

// A host as a crash leaves it, and what a crash takes. Files stand for a replica's log and machine.
class ModelHost {
public:
  ModelHost(uint64_t id, CatalogFixture& catalog, std::vector<CatalogView>& history)
      : catalog_(catalog), history_(history) {
    durable_.host = id;
    durable_.birth = birthOf(id);
  }

  // One pass, of which only some is done before something else happens.
  void pass(base::Prng& random, uint64_t permilleDone) {
    Reconciled wanted = reconcile(view_, local());
    for (const FetchPlugin& fetch : wanted.fetch) {
      REQUIRE(std::count(fetch.from.begin(), fetch.from.end(), durable_.host) == 0);
      if (random.chance(permilleDone)) durable_.plugins.push_back(fetch.plugin->sha256);
    }
    for (const StartReplica& start : wanted.start) {
      if (random.chance(permilleDone)) create(start);
    }
    for (const WipeReplica& wipe : wanted.wipe) {
      if (!random.chance(permilleDone)) continue;
      setPhase({wipe.group, wipe.replica}, wipe.incarnation, LocalPhase::removing);
      if (!random.chance(permilleDone)) continue;  // a crash between tombstone and wiping
      files_.erase({wipe.group, wipe.replica});
      setPhase({wipe.group, wipe.replica}, wipe.incarnation, LocalPhase::tombstone);
      ++wiped;
    }
    if (random.chance(permilleDone)) drop(wanted);
    if (random.chance(permilleDone)) report(wanted);
    for (LocalReplica& replica : durable_.replicas) {
      bool leads = replica.phase == LocalPhase::present && random.chance(permilleDone);
      if (leads) replica.phase = LocalPhase::ready;
    }
  }

  void crash(base::Prng& random) {
    for (LocalReplica& replica : durable_.replicas) {
      if (replica.phase == LocalPhase::ready) replica.phase = LocalPhase::present;
    }
    view_ =
        history_[random.below(history_.size())];  // of any age: what its own replica replays from
  }

  void look(const CatalogView& view) {
    if (view.revision() >= view_.revision()) view_ = view;
  }

  std::set<Key> running() const {
    std::set<Key> keys;
    for (const LocalReplica& replica : durable_.replicas) {
      if (replica.phase <= LocalPhase::ready) keys.insert({replica.group, replica.replica});
    }
    return keys;
  }
  size_t records() const { return durable_.replicas.size(); }
  const std::set<Key>& files() const { return files_; }
  LocalState local() const { return durable_; }
  uint64_t id() const { return durable_.host; }

  int started = 0;
  int wiped = 0;
  int dropped = 0;

private:
  void create(const StartReplica& start) {
    Key key{start.group->id, start.replica};
    INFO("host " << durable_.host << " group " << key.first << " view " << view_.revision());
    REQUIRE(everCreated_.insert(key).second);  // created empty once, whatever happened since
    REQUIRE(start.initialVoters.size() == 3);
    files_.insert(key);
    durable_.replicas.push_back(
        {key.first, start.group->incarnation, key.second, LocalPhase::present});
    ++started;
  }

  void setPhase(Key key, uint64_t incarnation, LocalPhase phase) {
    for (LocalReplica& replica : durable_.replicas) {
      if (Key{replica.group, replica.replica} != key) continue;
      REQUIRE((replica.phase <= phase));
      replica.phase = phase;
      return;
    }
    everCreated_.insert(key);  // a tombstone of what never was here forbids it all the same
    durable_.replicas.push_back({key.first, incarnation, key.second, phase});
  }

  void drop(const Reconciled& wanted) {
    for (const DropTombstone& gone : wanted.drop) {
      dropped += static_cast<int>(std::erase_if(durable_.replicas, [&](const LocalReplica& it) {
        return it.group == gone.group && it.replica == gone.replica;
      }));
    }
    if (!wanted.drop.empty()) durable_.floor = wanted.floor;
  }

  void report(const Reconciled& wanted) {
    if (wanted.reportReplicas.empty() && wanted.reportPlugins.empty()) return;
    std::vector<CatalogFixture::Line> lines;
    for (const ReportedReplica& it : wanted.reportReplicas) {
      lines.push_back({it.group, it.incarnation, it.replica, it.phase});
    }
    catalog_.report(durable_.host, lines, wanted.reportPlugins);
  }

  CatalogFixture& catalog_;
  std::vector<CatalogView>& history_;
  CatalogView view_;
  LocalState durable_;
  std::set<Key> files_;
  std::set<Key> everCreated_;
};

// Creates and removes groups of a few names while three hosts crash, then lets them settle.
void runSeed(uint64_t seed, int& worked) {
  INFO("seed " << seed);
  base::Prng random(seed);
  CatalogFixture catalog(3);
  std::vector<CatalogView> history{catalog.view()};
  std::vector<ModelHost> hosts;
  for (uint64_t id = 1; id <= 3; ++id) hosts.emplace_back(id, catalog, history);
  std::set<std::string> wanted;
  for (int step = 0; step < 150; ++step) {
    std::string name = "g" + std::to_string(random.below(4));
    if (random.chance(250)) {
      REQUIRE(catalog.create(name) == "");
      wanted.insert(name);
    } else if (random.chance(250)) {
      catalog.remove(name);
      wanted.erase(name);
    }
    if (random.chance(100)) catalog.machine.restart();
    CatalogView next = history.back();
    while (catalog.step(next, 1 + static_cast<uint32_t>(random.below(5)))) history.push_back(next);
    history.push_back(next);
    ModelHost& host = hosts[random.below(hosts.size())];
    if (random.chance(120)) host.crash(random);
    host.look(history[random.below(history.size())]);
    host.pass(random, 700);
  }
  for (int round = 0; round < 12; ++round) {
    for (ModelHost& host : hosts) {
      host.look(catalog.view());
      host.pass(random, 1000);
    }
  }
  CatalogView last = catalog.view();
  REQUIRE(last.groupCount() == wanted.size());
  REQUIRE(last.removing().empty());
  for (ModelHost& host : hosts) {
    std::set<Key> expected;
    for (const GroupPointer& group : last.groupsOn(host.id())) {
      REQUIRE(group->phase == GroupPhase::ready);
      expected.insert({group->id, group->on(host.id())->id});
    }
    REQUIRE(host.running() == expected);
    REQUIRE(host.files() == expected);
    REQUIRE(host.records() == expected.size());
    REQUIRE(reconcile(last, host.local()).idle());
    worked += host.started + host.wiped + host.dropped;
  }
}

}  // namespace

TEST_CASE("catalog/reconciler: after any crashes exactly the wanted replicas remain") {
  int worked = 0;
  constexpr uint64_t kSeeds = 150;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) runSeed(seed, worked);
  CHECK(worked > static_cast<int>(kSeeds) * 60);
}

TEST_CASE("catalog/reconciler: absence from the catalog removes nothing") {
  CatalogFixture catalog;
  LocalState local{.host = 1, .birth = birthOf(1), .floor = 0, .replicas = {}, .plugins = {}};
  local.replicas.push_back({.group = 7, .incarnation = 7, .replica = 1});
  Reconciled done = reconcile(catalog.view(), local);
  CHECK(done.wipe.empty());
  for (int i = 0; i < 8; ++i) catalog.create("g" + std::to_string(i));
  CatalogView view = catalog.view();
  catalog.remove("g6");
  catalog.reportAll(*view.group(7), ReplicaPhase::removed);
  done = reconcile(catalog.view(), local);
  CHECK(done.wipe.empty());
  REQUIRE_FALSE(done.waiting.empty());
  CHECK(done.waiting.front() ==
        "group id:7: not in the catalog, though it has a replica here; it is kept");
}

TEST_CASE("catalog/reconciler: a disk of another birth, or an unfinished view, starts nothing") {
  CatalogFixture catalog;
  catalog.create("orders");
  LocalState local{
      .host = 1, .birth = "other", .floor = 0, .replicas = {}, .plugins = {shaOf('1')}};
  Reconciled done = reconcile(catalog.view(), local);
  CHECK(done.idle());
  REQUIRE(done.waiting.size() == 1);
  CHECK(done.waiting.front() ==
        "host 1: the catalog knows birth b1, this disk carries other; join under a new id");
  local.birth = birthOf(1);
  CHECK(reconcile(catalog.view(), local).start.size() == 1);
  CatalogView half;
  catalog.step(half, 1);
  CHECK_FALSE(half.complete());
  CHECK(reconcile(half, local).idle());
}

TEST_CASE("catalog/reconciler: a group waits for its plugin, which is fetched from who has it") {
  CatalogFixture catalog;
  catalog.create("orders");
  LocalState local{.host = 2, .birth = birthOf(2), .floor = 0, .replicas = {}, .plugins = {}};
  Reconciled done = reconcile(catalog.view(), local);
  CHECK(done.start.empty());
  REQUIRE(done.fetch.size() == 1);
  CHECK(done.fetch.front().from == std::vector<uint64_t>{1});
  REQUIRE(done.waiting.size() == 1);
  CHECK(done.waiting.front() == "group orders: waits for plugin kv@1.0.0 to be fetched");
  local.plugins = {shaOf('1')};
  done = reconcile(catalog.view(), local);
  CHECK(done.reportPlugins == std::vector<std::string>{shaOf('1')});
  CHECK(done.start.size() == 1);
}

TEST_CASE("catalog/reconciler: options go forward only, and to replicas that run") {
  CatalogFixture catalog;
  catalog.create("orders");
  uint64_t id = catalog.id;
  CatalogView before = catalog.view();
  auto set = catalog.machine.call<&CatalogMachine::setGroup>([&](auto in) {
    in.setId(id);
    auto options = in.initOptions(1);
    options[0].setKey("memoryBytesMax");
    options[0].setValue("1");
  });
  REQUIRE(set.ok());
  CatalogView after = catalog.view();
  uint64_t replica = after.group(id)->on(1)->id;
  LocalState local{
      .host = 1, .birth = birthOf(1), .floor = 0, .replicas = {}, .plugins = {shaOf('1')}};
  local.replicas.push_back(
      {.group = id, .incarnation = after.group(id)->incarnation, .replica = replica});
  LocalReplica& here = local.replicas.front();
  CHECK(reconcile(before, local).set.empty());
  Reconciled done = reconcile(after, local);
  REQUIRE(done.set.size() == 1);
  CHECK_FALSE(done.idle());
  CHECK(done.set.front().group->spec.options == std::vector<OptionText>{{"memoryBytesMax", "1"}});
  here.optionsVersion = 1;
  CHECK(reconcile(after, local).set.empty());
  CHECK(reconcile(before, local).set.empty());  // what a start may show again
  here.optionsVersion = 0;
  here.phase = LocalPhase::removing;
  CHECK(reconcile(after, local).set.empty());
}

}  // namespace flotilla::catalog
