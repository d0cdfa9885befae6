// A cluster of fake hosts on pipes: what a client sees, and nothing behind it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>
#include <kj/timer.h>

#include "schemas/admin.capnp.h"
#include "schemas/client.capnp.h"
#include "sdk/client/client.h"
#include "sdk/flotilla/result.h"

namespace flotilla::test {

// One command as it reached a group, in the order of carrying out.
struct Applied {
  uint64_t session = 0;
  uint64_t sequence = 0;
  uint64_t acknowledgedBelow = 0;
  std::string params;
};

// One group, the same on all hosts: counts, remembers answers by stamp, and fails as it is told.
struct FakeGroup {
  uint64_t id = 7;
  uint64_t incarnation = 1;
  uint64_t leader = 1;  // host id
  uint64_t index = 0;
  uint64_t nextSession = 100;
  std::set<uint64_t> sessions;
  std::vector<Fault> sessionFaults;  // for those who ask for one, each once
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> answers;  // (session, sequence) → index
  std::vector<Applied> applied;
  std::vector<size_t> batches;  // sizes as they came
  size_t batchesUnderWayMax = 0;
  size_t batchesUnderWay = 0;
  size_t queries = 0;

  // What becomes of the next batches; the last one stays.
  enum class Fate { answer, loseAnswer, loseRequest, hang };
  std::vector<Fate> fates = {Fate::answer};
  // What its plugin is, where it is to be more than a Gate; and what it answers, where that is to
  // be more than the parameters themselves.
  std::function<void(schema::PluginDescription::Builder)> describe;
  std::function<std::string(uint16_t method, std::string_view params)> answer;
  std::function<kj::Promise<void>()> delay;  // of a batch's answers, where it is more than a turn

  // Who listens to its events; a test pushes to them by hand.
  struct Listened {
    uint64_t host = 0;
    std::string topicPrefix;
    uint64_t afterIndex = 0;
    std::shared_ptr<schema::EventSink::Client> sink;
  };
  std::vector<Listened> listeners;

  // The fault that the next commands get, each once.
  std::vector<Fault> faults;
  uint64_t faultsIndex = 0;  // the position that they bear
};

// Hosts 1…N at "h1:1"…; each connection is a pipe with a Gate at its far end.
//
// Owner:  a test.
// Thread: the test's loop.
// Errors: connecting to a host that is down is refused.
class FakeCluster final : public client::Connector {
public:
  explicit FakeCluster(uint64_t hosts);
  ~FakeCluster() noexcept(false) override;

  kj::Promise<kj::Own<kj::AsyncIoStream>> connect(kj::StringPtr address) override;

  void kill(uint64_t host);  // cuts its connections
  void revive(uint64_t host);
  static std::string addressOf(uint64_t host) { return "h" + std::to_string(host) + ":1"; }

  std::string token = "secret";
  std::map<std::string, FakeGroup> groups;
  std::map<uint64_t, bool> up;
  std::map<uint64_t, size_t> connections;  // made so far
  bool forwards = true;                    // hosts pass calls on to the leader
  bool tellsLeader = true;                 // findGroup says who leads
  bool couriers = true;                    // hosts know them
  std::vector<size_t> deliveries;          // parcels of each call of a courier
  std::optional<Fault> courierFault;       // the next call of a courier gets it, and does nothing
  std::set<uint64_t> silent;               // hosts that do not answer countGroups
  size_t statusAsked = 0;
  std::optional<Fault> statusFault;

  // The same on a real port, for programs; host 1's.
  kj::Promise<void> serve(kj::ConnectionReceiver& receiver);

  struct Connection;
  std::vector<kj::Own<Connection>> open;
};

// A client's connector onto a cluster that lives elsewhere.
class FakeNetwork final : public client::Connector {
public:
  explicit FakeNetwork(FakeCluster& cluster) : cluster_(cluster) {}
  kj::Promise<kj::Own<kj::AsyncIoStream>> connect(kj::StringPtr address) override {
    return cluster_.connect(address);
  }

private:
  FakeCluster& cluster_;
};

}  // namespace flotilla::test
