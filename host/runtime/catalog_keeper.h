// Keeps this host's view of the catalog, and makes true here what it wants.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <kj/async.h>
#include <kj/timer.h>

#include "flotilla/result.h"
#include "host/catalog/reconciler.h"
#include "host/catalog/view.h"
#include "host/group/ports.h"
#include "host/runtime/catalog_reader.h"
#include "host/runtime/declared_groups.h"
#include "host/runtime/records.h"
#include "host/runtime/replica.h"

namespace flotilla::runtime {

struct HostParts;

// After every entry applied to this host's replica of group 0 it asks that replica what is new, and
// then compares what is wanted with what is here: replicas are created and wiped, plugins fetched,
// and what has become true is reported. Every action can be cut off by a crash and begun again.
// With thousands of groups a pass looks at those of which something has changed; now and then, and
// after whatever went wrong, at all.
//
// Owner:  HostParts.
// Thread: the loop's.
// Errors: an action that fails is logged and tried again at the next pass, a second later at most.
class CatalogKeeper {
public:
  explicit CatalogKeeper(HostParts& parts) : parts_(parts), reader_(parts), declared_(parts) {}

  // Opens what meta/ remembers: every replica starts and serves without the catalog's quorum.
  Result<void> openStored();
  // For ever, once the host is founded.
  kj::Promise<void> run();
  // Something here or in group 0 may have changed.
  void wake();
  void groupChanged(uint64_t group);  // of this one, here

  const catalog::CatalogView& view() const { return reader_.view(); }
  // Resolves once the view has moved on.
  kj::Promise<void> changed() { return reader_.moved(); }
  bool settled() const { return settled_; }  // the first pass found nothing to do

private:
  kj::Promise<void> pass();
  catalog::Reconciled compare();
  kj::Promise<void> registerHost();
  kj::Promise<void> carryOut(catalog::Reconciled wanted);
  kj::Promise<void> start(std::vector<catalog::StartReplica> wanted);
  StoredReplica recordOf(const catalog::StartReplica& wanted) const;
  kj::Promise<void> wipe(catalog::WipeReplica wanted);
  kj::Promise<void> drop(std::vector<catalog::DropTombstone> wanted, uint64_t floor);
  kj::Promise<void> fetch(catalog::FetchPlugin wanted);
  kj::Promise<void> fetchFrom(uint64_t host, std::string sha256, kj::Vector<kj::byte>& into);
  void retryFetched();
  void tellOfSwitch(const Replica& replica);
  void report(std::vector<catalog::ReportedReplica> replicas, std::vector<std::string> plugins);

  catalog::LocalState local(const std::set<uint64_t>* only) const;
  void add(const Replica& replica, catalog::LocalState& to) const;
  Result<void> sweepSnapshots();
  VolumeRoom* roomOf(const StoredReplica& record);
  void openReplica(StoredReplica record, Crowd crowd = {});

  HostParts& parts_;
  CatalogReader reader_;
  uint32_t registered_ = 0;  // with host.id of that format; 0: not yet
  bool registering_ = false;
  bool reporting_ = false;
  bool telling_ = false;
  bool settled_ = false;
  std::set<uint64_t> changed_;                                  // groups to be looked at
  kj::TimePoint lookAtAllFrom_ = kj::origin<kj::TimePoint>();   // the next pass that looks at all
  kj::TimePoint lookAtAllUntil_ = kj::origin<kj::TimePoint>();  // until then each does
  std::vector<std::string> plugins_;  // files that were here at the last pass
  uint64_t floor_ = 0;
  // Tombstones: those whose files are known to be gone, and those that may have some left.
  std::map<group::ReplicaKey, StoredReplica> tombstones_;
  std::set<group::ReplicaKey> wiped_;
  DeclaredGroups declared_;
  std::set<std::string> fetched_;        // SHA-256 of plugins that came since the start
  std::set<group::ReplicaKey> retried_;  // began anew for one of them
  // What was logged of an action last, to say it once.
  std::map<std::string, std::string> troubles_;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> wake_;
  bool woken_ = false;
  kj::Duration passTook_ = 0 * kj::SECONDS;  // the loop's time for the last one
};

}  // namespace flotilla::runtime
