// Three hosts in one process, for plugin authors' tests.
#pragma once

#include <chrono>
#include <cstdint>
#include <fstream>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <kj/async-io.h>
#include <kj/time.h>

#include "sdk/client/client.h"
#include "sdk/testing/hosts.h"

namespace flotilla::testing {

struct ClusterOptions {
  // flotilla_add_cluster_test names these two.
#ifdef FLOTILLA_PLUGIN_FILE
  std::string plugin = FLOTILLA_PLUGIN_FILE;  // pushed at the start; empty: none is
#else
  std::string plugin;
#endif
#ifdef FLOTILLA_PLUGIN_CHECK
  std::string checker = FLOTILLA_PLUGIN_CHECK;
#else
  std::string checker;
#endif
  uint32_t hosts = 3;
  uint64_t waitMs = 20'000;  // for anything: then the test has failed
};

using Pairs = std::vector<std::pair<std::string, std::string>>;

// What a group is to be, beside its name.
struct GroupWishes {
  Pairs config{};        // the plugin's own settings
  Pairs options{};       // the group's, such as {"snapshotEveryBytes", "65536"}
  std::string plugin{};  // NAME or NAME@VERSION; empty: the one that was pushed at the start
};

// A cluster that runs the plugin under test as it will be run: replicated, through its shared
// object, with elections, snapshots and restarts.
//
//   Cluster cluster;                                  // three hosts, and the plugin pushed
//   auto tally = cluster.create<Tally>("g");          // a group of it, as its generated client
//   auto request = tally.addRequest();
//   request.setName("apples");
//   request.setBy(3);
//   expect(cluster.wait(request.send()).getValue() == 3);
//   cluster.kill(cluster.leader("g"));                // another leads, and nothing is lost
//
// Calls follow the leader and are repeated until they are answered, once, as those of every client;
// the call of a machine that answers with flotilla::Error throws kj::Exception (client::faultOf
// reads it). One client on the test's own thread: its loop turns while `wait` and `until` wait.
//
// Owner:  a test; one or several in a process.
// Thread: the one that made it.
// Errors: throws std::runtime_error for what did not come about in time, or did not work;
//         kj::Exception for a call that ended with a fault.
// Time:   ready in about a second; each wait ends within ClusterOptions::waitMs.
class Cluster {
public:
  explicit Cluster(ClusterOptions options = {})
      : options_(std::move(options)),
        hosts_({options_.hosts, options_.checker}),
        io_(loopOfThread()),
        client_(*io_, clientOptions(hosts_, options_)) {
    if (!options_.plugin.empty()) plugin_ = push(options_.plugin);
  }

  // ---- plugins and groups

  // Its name@version.
  std::string push(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(in), {}};
    if (!in) throw std::runtime_error("plugin " + file + ": cannot be read");
    auto view = kj::arrayPtr(reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size());
    auto pushed = wait(admin().pushPlugin(kj::heapArray(view)));
    return std::string(pushed.getPlugin().getName().cStr()) + "@" +
           pushed.getPlugin().getVersion().cStr();
  }

  // A group with a replica on each host; returns once it serves.
  void create(const std::string& name, const GroupWishes& wishes = {}) {
    wait(admin().createGroup([this, name, wishes](schema::GroupSpec::Builder to) {
      to.setName(name);
      to.setPlugin(wishes.plugin.empty() ? plugin_ : wishes.plugin);
      fill(wishes.config, to.initConfig(static_cast<unsigned>(wishes.config.size())));
      fill(wishes.options, to.initOptions(static_cast<unsigned>(wishes.options.size())));
    }));
  }
  template <typename Interface>
  typename Interface::Client create(const std::string& name, const GroupWishes& wishes = {}) {
    create(name, wishes);
    return group<Interface>(name);
  }
  template <typename Interface>
  typename Interface::Client group(const std::string& name) {
    return client_.group(name)->template as<Interface>();
  }

  // ---- waiting

  template <typename T>
  T wait(kj::Promise<T> promise) {
    return io_->provider->getTimer().timeoutAfter(waitTime(), kj::mv(promise)).wait(io_->waitScope);
  }
  // Looks again and again until `holds`; `what` is for whoever reads of it when it never did.
  void until(const std::function<bool()>& holds, const std::string& what) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(options_.waitMs);
    while (!holds()) {
      if (std::chrono::steady_clock::now() >= deadline) {
        throw std::runtime_error(what + ": not so after " + std::to_string(options_.waitMs) +
                                 " ms; hosts' log: " + hosts_.directory() + "/hosts.log");
      }
      io_->provider->getTimer().afterDelay(10 * kj::MILLISECONDS).wait(io_->waitScope);
    }
  }

  // ---- what a cluster goes through

  // The host that leads a group, once there is one that runs.
  uint64_t leader(const std::string& name) {
    uint64_t found = 0;
    until(
        [&]() {
          found = show(name).getGroup().getLeader();
          return found != 0 && hosts_.runs(found);
        },
        "group " + name + ": a leader");
    return found;
  }
  void transfer(const std::string& name, uint64_t to) { wait(admin().transferLeader(name, to)); }
  // On every replica; the index that the leader's holds.
  uint64_t snapshot(const std::string& name) {
    return wait(admin().snapshotGroup(name)).getIndex();
  }
  // What `flotilla group show` shows.
  capnp::Response<schema::Admin::ShowGroupResults> show(const std::string& name) {
    return wait(admin().showGroup(name));
  }
  // Every replica has applied all that is committed, and all have the same digest.
  void agree(const std::string& name) {
    until([&]() { return agrees(name); }, "group " + name + ": equal digests on all hosts");
  }

  void kill(uint64_t host) { hosts_.kill(host); }
  void stop(uint64_t host) { hosts_.stop(host); }
  // Returns once it serves again.
  void restart(uint64_t host) {
    if (hosts_.runs(host)) hosts_.kill(host);
    hosts_.start(host);
    until([&]() { return hosts_.ready(host); }, "host " + std::to_string(host) + ": ready");
  }

  Hosts& hosts() { return hosts_; }
  client::Client& client() { return client_; }
  client::Admin admin() { return client_.admin(); }
  kj::AsyncIoContext& io() { return *io_; }

private:
  static client::ClientOptions clientOptions(const Hosts& hosts, const ClusterOptions& from) {
    client::ClientOptions options;
    options.addresses = hosts.addresses();
    options.token = hosts.token();
    options.callTimeoutMs = from.waitMs;
    return options;
  }
  static void fill(const Pairs& from, capnp::List<schema::KeyValue>::Builder to) {
    for (unsigned i = 0; i < to.size(); ++i) {
      to[i].setKey(from[i].first);
      to[i].setValue(from[i].second);
    }
  }
  kj::Duration waitTime() const {
    constexpr int64_t kGraceMs = 2'000;  // so that what the client itself says comes first
    return (static_cast<int64_t>(options_.waitMs) + kGraceMs) * kj::MILLISECONDS;
  }
  // A thread has one loop, which all clusters on it share.
  static std::shared_ptr<kj::AsyncIoContext> loopOfThread() {
    thread_local std::weak_ptr<kj::AsyncIoContext> known;
    std::shared_ptr<kj::AsyncIoContext> loop = known.lock();
    if (!loop) {
      loop = std::make_shared<kj::AsyncIoContext>(kj::setupAsyncIo());
      known = loop;
    }
    return loop;
  }
  bool agrees(const std::string& name) {
    auto shown = show(name);
    auto members = shown.getGroup().getMembers();
    for (auto member : members) {
      bool same = member.getApplied() == members[0].getCommit() &&
                  member.getDigest() == members[0].getDigest();
      if (!member.getReady() || !same || member.getDigest() == 0) return false;
    }
    return true;
  }

  const ClusterOptions options_;
  Hosts hosts_;
  std::shared_ptr<kj::AsyncIoContext> io_;
  client::Client client_;
  std::string plugin_;
};

}  // namespace flotilla::testing
