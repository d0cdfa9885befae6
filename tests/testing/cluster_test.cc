// A cluster in a test's process goes through what a cluster of processes does.
#include "sdk/testing/cluster.h"

#include <chrono>
#include <filesystem>

#include <doctest/doctest.h>

#include "drudge.capnp.h"
#include "kv.capnp.h"
#include "sdk/client/fault_text.h"
#include "tests/plugin/built.h"

namespace flotilla::testing {
namespace {

ClusterOptions kvOptions(const std::string& plugin = "kv") {
  ClusterOptions options;
  options.plugin = test::pluginFile(plugin);
  options.checker = test::built("bin/flotilla-plugin-check");
  return options;
}

void put(Cluster& cluster, Kv::Client kv, const std::string& key, const std::string& value) {
  auto request = kv.putRequest();
  request.setKey(key);
  request.setValue(
      capnp::Data::Reader(reinterpret_cast<const kj::byte*>(value.data()), value.size()));
  cluster.wait(request.send());
}

std::string get(Cluster& cluster, Kv::Client kv, const std::string& key) {
  auto request = kv.getRequest();
  request.setKey(key);
  auto response = cluster.wait(request.send());
  auto value = response.getValue().asChars();
  return response.getFound() ? std::string(value.begin(), value.size()) : "not found";
}

}  // namespace

TEST_CASE("testing/cluster: it is ready within two seconds, and gone without a trace") {
  std::string directory;
  {
    auto began = std::chrono::steady_clock::now();
    Cluster cluster(kvOptions());
    auto ready = std::chrono::steady_clock::now();
    auto kv = cluster.create<Kv>("g");
    put(cluster, kv, "a", "1");
    CHECK(get(cluster, kv, "a") == "1");
    auto tookMs = std::chrono::duration_cast<std::chrono::milliseconds>(ready - began).count();
    MESSAGE("ready in " << tookMs << " ms");
    CHECK(tookMs < 2000 * (std::getenv("FLOTILLA_SLOW") == nullptr ? 1 : 10));
    directory = cluster.hosts().directory();
    CHECK(std::filesystem::exists(directory + "/hosts.log"));
  }
  CHECK_FALSE(std::filesystem::exists(directory));
}

TEST_CASE("testing/cluster: nothing that was answered is lost by kills, stops and restarts") {
  Cluster cluster(kvOptions());
  auto kv = cluster.create<Kv>("g", {.options = {{"snapshotEveryBytes", "65536"}}});
  int written = 0;
  auto write = [&](int count) {
    for (int i = 0; i < count; ++i, ++written) {
      put(cluster, kv, "k" + std::to_string(written), std::string(500, 'v'));
    }
  };
  write(20);
  for (bool inOrder : {false, true}) {
    uint64_t leader = cluster.leader("g");
    if (inOrder) {
      cluster.stop(leader);
    } else {
      cluster.kill(leader);
    }
    CHECK_FALSE(cluster.hosts().runs(leader));
    write(20);
    CHECK(cluster.leader("g") != leader);
    cluster.restart(leader);
    write(20);
  }
  // All at once, from what lies on disk.
  for (uint64_t host : cluster.hosts().ids()) cluster.kill(host);
  for (uint64_t host : cluster.hosts().ids()) cluster.hosts().start(host);
  cluster.agree("g");
  for (int i = 0; i < written; ++i) {
    REQUIRE(get(cluster, kv, "k" + std::to_string(i)) == std::string(500, 'v'));
  }
}

TEST_CASE(
    "testing/cluster: a machine on disk goes on from there, and one that was away catches up") {
  Cluster cluster(kvOptions("archive"));
  auto kv = cluster.create<Kv>("g", {.options = {{"snapshotEveryBytes", "65536"}}});
  uint64_t away = cluster.leader("g") % 3 + 1;
  cluster.kill(away);
  for (int i = 0; i < 200; ++i) put(cluster, kv, "k" + std::to_string(i), std::string(5000, 'v'));
  cluster.restart(away);
  cluster.agree("g");
  CHECK(cluster.snapshot("g") > 0);
  for (uint64_t host : cluster.hosts().ids()) cluster.kill(host);
  for (uint64_t host : cluster.hosts().ids()) cluster.hosts().start(host);
  cluster.agree("g");
  for (auto member : cluster.show("g").getGroup().getMembers()) {
    CHECK(member.getOnDisk());
    CHECK(member.getDurableIndex() > 0);
  }
  CHECK(get(cluster, kv, "k0") == std::string(5000, 'v'));
  CHECK(get(cluster, kv, "k199") == std::string(5000, 'v'));
}

TEST_CASE("testing/cluster: a leadership moves, a snapshot is saved, an error is the author's") {
  Cluster cluster(kvOptions());
  auto kv = cluster.create<Kv>("g");
  put(cluster, kv, "a", "1");
  uint64_t other = cluster.leader("g") % 3 + 1;
  cluster.transfer("g", other);
  CHECK(cluster.leader("g") == other);
  CHECK(cluster.snapshot("g") > 0);
  for (auto member : cluster.show("g").getGroup().getMembers()) {
    CHECK(member.getSnapshotIndex() > 0);
  }
  KJ_IF_MAYBE (thrown, kj::runCatchingExceptions([&]() { put(cluster, kv, "", "1"); })) {
    CHECK(client::faultOf(*thrown).appCode == "emptyKey");
  } else {
    FAIL("an empty key was taken");
  }
}

TEST_CASE("testing/cluster: what does not come about, and what cannot be asked, is said") {
  ClusterOptions options = kvOptions();
  options.waitMs = 300;
  CHECK_THROWS_WITH(Hosts({.count = 9, .checker = options.checker}),
                    "hosts: 9 asked for; there can be 1 to 7");
  Cluster cluster({.plugin = {}, .checker = options.checker, .hosts = 1});
  CHECK_THROWS_WITH(cluster.push("nowhere.so"), "plugin nowhere.so: cannot be read");
  CHECK_THROWS_WITH(cluster.kill(4), "host 4: there are 1 to 1");
  cluster.kill(1);
  CHECK_THROWS_WITH(cluster.kill(1), "host 1: does not run");
  cluster.restart(1);
  Cluster hasty({.plugin = {}, .checker = options.checker, .hosts = 1, .waitMs = 300});
  std::string why;
  try {
    hasty.until([]() { return false; }, "what never is");
  } catch (const std::runtime_error& error) {
    why = error.what();
  }
  CHECK(why.starts_with("what never is: not so after 300 ms; hosts' log: "));
}

TEST_CASE("testing/cluster: two clusters in one process know nothing of each other") {
  Cluster one(kvOptions());
  Cluster two(kvOptions());
  auto first = one.create<Kv>("g");
  auto second = two.create<Kv>("g");
  put(one, first, "a", "1");
  put(two, second, "a", "2");
  CHECK(get(one, first, "a") == "1");
  one.kill(one.leader("g"));
  CHECK(get(two, second, "a") == "2");
  CHECK(get(one, first, "a") == "1");
}

TEST_CASE("testing/cluster: a host ends while a long query is under way in it") {
  ClusterOptions options = kvOptions();
  options.plugin = test::badFile("drudge");
  Cluster cluster(options);
  auto drudge = cluster.create<Drudge>("g");
  for (uint64_t key = 0; key < 200; ++key) {
    auto put = drudge.putRequest();
    put.setKey(key);
    put.setValue(1);
    cluster.wait(put.send());
  }
  auto weigh = drudge.weighRequest();
  weigh.setRounds(4'000'000);  // seconds
  auto asked = weigh.send();
  for (uint64_t host : cluster.hosts().ids()) cluster.kill(host);
  for (uint64_t host : cluster.hosts().ids()) cluster.hosts().start(host);
  auto again = drudge.weighRequest();
  again.setRounds(1);
  CHECK(cluster.wait(again.send()).getEntries() == 200);
}

}  // namespace flotilla::testing
