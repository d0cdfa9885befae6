// What a Host is made of, in the order in which it is built.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include <kj/async-io.h>

#include "host/net/connection.h"
#include "host/net/listener.h"
#include "host/net/peer_network.h"
#include "host/net/tls.h"
#include "host/plugin/crash_mark.h"
#include "host/runtime/apply_pool.h"
#include "host/runtime/call_table.h"
#include "host/runtime/catalog_keeper.h"
#include "host/runtime/config.h"
#include "host/runtime/founding.h"
#include "host/runtime/host.h"
#include "host/runtime/inbox.h"
#include "host/runtime/io_thread.h"
#include "host/runtime/peers.h"
#include "host/runtime/plugin_room.h"
#include "host/runtime/ready_lanes.h"
#include "host/runtime/records.h"
#include "host/runtime/replica_set.h"
#include "host/runtime/router.h"
#include "host/runtime/save_pace.h"
#include "host/runtime/secrets.h"
#include "host/runtime/turn.h"
#include "host/runtime/volumes.h"
#include "host/store/host_id.h"
#include "host/store/meta_store.h"

namespace flotilla::runtime {

inline constexpr uint64_t kCatalogGroup = 0;
inline constexpr uint64_t kCatalogIncarnation = 1;

// flotilla-host itself, which probes run: in tests the process is another program beside it.
std::string ownProgram();

// The machine's clocks.
//
// Thread: any.
// Errors: none.
class SystemClock final : public group::Clock {
public:
  int64_t monotonicUs() const override;
  int64_t wallUs() const override;
};

// Members are built from the top and go from the bottom; what a thread posts to goes after the
// thread.
//
// Owner:  Host.
// Thread: the loop's.
// Errors: see Host.
struct HostParts final : private kj::TaskSet::ErrorHandler {
  HostParts(Host& host, Config config, kj::AsyncIoContext& io);
  ~HostParts() noexcept(false);

  Host& host;
  const Config config;
  kj::AsyncIoContext& io;
  kj::Timer& timer;
  SystemClock clock;
  int64_t startedUs;

  std::optional<store::DataLock> lock;
  store::HostId id;
  uint64_t bootNumber = 0;
  uint32_t entriesVersion = 1;  // the catalog's clusterVersion, as last heard
  Secrets secrets;
  std::unique_ptr<store::MetaStore> meta;
  std::optional<FoundingRecord> founding;
  std::unique_ptr<PluginRoom> plugins;
  std::unique_ptr<plugin::CrashMarks> marks;

  Inbox inbox;
  CallTable calls;
  Turn turn{inbox};
  group::StepRoom steps;
  group::TailRoom tails;
  SavePace savePace;
  IoThread saves;  // of snapshots
  IoThread frees;  // blocks of those that are gone; `files` leaves it work
  IoThread files;
  ApplyPool pool;
  ReadyLanes ready{pool};
  ApplyPool queries;  // those that are asked beside
  ReplicaSet replicas;
  Volumes volumes;
  Surroundings around() {
    return {inbox,
            turn,
            calls,
            ready,
            queries,
            files,
            saves,
            frees,
            savePace,
            *plugins,
            marks.get(),
            replicas,
            clock,
            steps,
            tails,
            replicas.ticks(),
            bootNumber,
            *meta,
            entriesVersion,
            [this](uint64_t group) { keeper.groupChanged(group); },
            [this](Replica& replica) { replicas.turned(replica); },
            [this](Replica& replica) { replicas.sooner(replica); }};
  }
  std::optional<Surroundings> shared;                              // once plugins are open
  std::map<uint64_t, kj::Own<kj::PromiseFulfiller<void>>> trials;  // of plugins, under way
  uint64_t lastTrial = 0;

  Host::Services services;
  kj::Maybe<kj::Own<net::Tls>> tls;
  kj::Maybe<kj::Own<net::NetworkDialer>> dialer;
  Peers peers;
  kj::Maybe<kj::Own<net::PeerNetwork>> network;
  kj::Maybe<kj::Own<net::Listener>> listener;
  Founder founder;
  CatalogKeeper keeper;
  Router router;

  bool stopping = false;
  bool leftThreads = false;  // some have not come back at the stop
  kj::Own<kj::PromiseFulfiller<int>> ended;
  kj::ForkedPromise<int> end;
  kj::TaskSet tasks;

private:
  void taskFailed(kj::Exception&& exception) override;
};

}  // namespace flotilla::runtime
