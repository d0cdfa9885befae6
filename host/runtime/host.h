// One host of the cluster, whole: what the program flotilla-host runs, and tests run three of.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <capnp/capability.h>
#include <kj/async-io.h>

#include "flotilla/result.h"
#include "host/catalog/view.h"
#include "host/group/meters.h"
#include "host/group/ports.h"
#include "host/runtime/access.h"
#include "host/runtime/config.h"
#include "host/runtime/router.h"
#include "schemas/admin.capnp.h"
#include "schemas/client.capnp.h"
#include "schemas/peer.capnp.h"

namespace flotilla::group {
class Group;
}

namespace flotilla::client {
struct SharedPipe;
}

namespace flotilla::runtime {

struct HostParts;

// One connection, as the Gate that serves it sees it. May be held longer than the connection lives.
//
// Owner:  the Gate.
// Thread: the loop's.
// Errors: none.
class Visitor {
public:
  virtual ~Visitor() noexcept(false) = default;
  virtual const std::string& address() const = 0;
  virtual const std::string& certificateName() const = 0;  // "" without TLS
  // Of messages to it that have not left.
  virtual size_t unsentBytes() const = 0;
  // What is said to it and by it beside calls.
  virtual kj::Own<client::SharedPipe> pipe() = 0;
  // Must be called when a login succeeds; a connection without one is closed after 10 s.
  virtual void loggedIn(Access::Role role) = 0;
};

// What a probe found in a plugin's file.
struct ProbedPlugin {
  std::string name;
  std::string version;
  std::string sha256;
  uint64_t bytes = 0;
  kj::Array<capnp::word> description;  // a flat message: client.capnp PluginDescription
};

// What a group that is busy has done; see BusyGroups.
struct BusyFigures {
  std::string name{};
  uint64_t group = 0;
  bool leads = false;
  uint64_t logBytes = 0;
  group::Meters meters{};
};

// The figures /metrics shows; counters only rise.
struct Figures {
  uint64_t replicas = 0, leading = 0, leaderless = 0, asleep = 0, faulted = 0, stuck = 0;
  uint64_t quarantined = 0, rebuilding = 0, digestsSplit = 0, overQuota = 0;
  uint64_t elections = 0, electionsWon = 0;
  uint64_t machineBytes = 0;
  uint64_t callsAnswered = 0, callsRefused = 0;
  uint64_t diskFrames = 0, diskSyncs = 0, diskBytes = 0, diskQueuedBytes = 0;
  uint64_t peerFramesSent = 0, peerMessagesSent = 0, peerMessagesDropped = 0;
  uint64_t callsWaiting = 0, applyLanesQueued = 0, peerQueuedBytes = 0;
  base::Buckets diskSyncUs, diskFrameGroups;
  group::Meters groups;  // of all groups here
  group::Meters others;  // of those that are not among `busy`
  std::vector<BusyFigures> busy;
  uint64_t uptimeMs = 0, memoryBytes = 0;
};

// Builds and runs the rest: the disk, the plugins, the groups, the peers, the catalog's reconciler.
// What clients see of it is host/api, which is handed in as a factory so that no arrow goes up.
//
// Owner:  main, or a test; at most one for each data directory.
// Thread: the loop's, all of it. Other threads live inside and answer by mailbox.
// Errors: `start` answers a Fault for what a person must mend; afterwards a failed disk ends `run`
//         with one.
class Host {
public:
  // What host/api gives: the bootstrap of every connection, and a group as this host alone answers.
  struct Services {
    std::function<capnp::Capability::Client(kj::Own<Visitor>)> gate;
    std::function<schema::Group::Client(GroupRef)> localGroup;
  };

  Host(Config config, kj::AsyncIoContext& io);
  ~Host() noexcept(false);
  KJ_DISALLOW_COPY(Host);

  // `--init`: makes data_dir and host.id. Refuses where there is one.
  static Result<void> init(const Config& config);

  // Opens the disk and the groups, and begins to listen. Services are called from then on.
  Result<void> start(Services services);
  // Ends when the host has stopped: 0, or 1 with a fault logged.
  kj::Promise<int> run();
  // Once `run` has ended: a thread of ours is still in a machine, so this must not be destroyed.
  bool leftThreads() const;
  // Hands leaderships over, saves snapshots, stops machines: `run` then ends, within 10 s.
  void stop();
  // As the end of its process would be: nothing is handed over, saved or said; `run` ends. For
  // tests that go on in this process.
  void kill();

  // ---- who we are
  const Config& config() const;
  uint64_t id() const;
  std::string clusterId() const;  // hex; empty before the founding
  std::string birth() const;
  uint64_t bootNumber() const;
  bool ready() const;  // founded, catalog applied, all replicas of the start are serving
  std::string notReadyBecause() const;
  static const char* version();
  kj::Timer& timer();
  uint16_t listenPort() const;  // the bound port, also where the file said 0 in a test

  // ---- secrets
  Result<Access> access(kj::StringPtr token) const;  // fault `denied`

  // schemas/peer.capnp Peer, for a connection that logged in with the peers' secret.
  schema::Peer::Client peerService(Visitor& visitor);

  // ---- what this host knows
  const catalog::CatalogView& catalog() const;  // as last applied here; copy to keep
  kj::Promise<void> catalogChanged();           // resolves once the view has moved on
  std::string addressOf(uint64_t host) const;   // "" for a stranger
  std::vector<uint64_t> hosts() const;          // all that are known, ourselves included
  bool hostUp(uint64_t host) const;             // connected at the moment; true for ourselves

  // ---- calls
  Router& router();
  // A call of the catalog's interface, wherever its leader is: retried under one session until
  // the deadline. `params` is a flat segment; so is the outcome's body.
  kj::Promise<group::Outcome> catalogCall(uint16_t method, Bytes params,
                                          uint64_t timeoutMs = 10'000);
  // Another host's Peer, to ask it something (status, control, fetchPlugin). Fails `unavailable`.
  kj::Promise<schema::Peer::Client> peer(uint64_t host);

  // ---- replicas here
  bool hasReplica(uint64_t group) const;
  // False where there is none. As last published: no Raft step, disk or machine is touched.
  bool fillStatus(uint64_t group, schema::ReplicaStatus::Builder into) const;
  void fillHostStatus(schema::HostStatus::Builder into) const;
  // Which kind a method of the group's plugin is; nothing where the plugin has no such method.
  Result<group::Machine::MethodKind> methodKind(GroupRef group, uint64_t interfaceId,
                                                uint16_t method) const;
  // Peer.control on this host's replica.
  kj::Promise<uint64_t> control(uint64_t group, schema::Peer::Verb verb, uint64_t argument);

  // Peer.upgrade on this host's replica.
  kj::Promise<uint64_t> upgrade(uint64_t group, std::string sha256, bool switches);

  // ---- plugins
  // Stores and probes a pushed file, in a child process; faults say what is wrong with it.
  kj::Promise<Result<ProbedPlugin>> probePlugin(kj::Array<kj::byte> file);
  bool hasPlugin(const std::string& sha256) const;  // its file is here, whole
  // Whether its machine can be made of a group's settings, tried in a child process: `badRequest`
  // names what does not fit.
  kj::Promise<Result<void>> trySettings(std::string sha256,
                                        std::vector<std::pair<std::string, std::string>> settings);
  // Whether clients of one plugin could be served by the other: `badRequest` names what does not
  // fit.
  static Result<void> interfacesFit(schema::PluginDescription::Reader before,
                                    schema::PluginDescription::Reader after);
  // client.capnp PluginDescription of a plugin whose file is here; else a fault.
  Result<kj::Array<capnp::word>> describePlugin(const std::string& sha256) const;

  // Tells the catalog of a plugin whose file is here.
  kj::Promise<group::Outcome> addPlugin(const ProbedPlugin& plugin, uint64_t timeoutMs);

  Figures figures() const;

  // Before start: fatal signals are left alone (tests, which run several hosts in one process).
  void leaveSignals() { handleSignals_ = false; }

private:
  friend class Router;

  Result<void> openRest();
  Result<void> openNetwork();
  void fail(const Fault& fault);
  kj::Promise<void> whileAlive(kj::Promise<void> loop);
  kj::Promise<uint64_t> snapshotNow(Replica& replica);
  kj::Promise<uint64_t> syncNow(Replica& replica);
  kj::Promise<uint64_t> askGroup(Replica& replica, void (group::Group::*ask)(group::CallId));
  kj::Promise<void> tryPlugin(Replica& replica, std::string sha256);
  kj::Promise<uint64_t> switchPlugin(Replica& replica, const std::string& sha256);
  kj::Promise<void> handOver(int64_t deadlineUs);
  kj::Promise<void> saveSnapshots();
  void finishStop();
  bool endThreads();
  kj::Promise<group::Outcome> catalogTry(uint16_t method, Bytes params, int64_t deadlineUs);

  kj::Own<HostParts> parts_;
  bool handleSignals_ = true;
};

}  // namespace flotilla::runtime
