// All replicas of this host, and what comes for them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include <kj/async.h>
#include <kj/timer.h>

#include "host/group/ports.h"
#include "host/group/sleepers.h"
#include "host/group/tick_calendar.h"
#include "host/net/peer_network.h"
#include "host/runtime/busy_groups.h"
#include "host/runtime/leader_return.h"
#include "host/runtime/replica.h"
#include "host/runtime/room_maker.h"
#include "host/runtime/snapshot_transfer.h"
#include "host/runtime/volumes.h"

namespace flotilla::runtime {

// One replica a group at most. Brings the disk's and the peers' messages to the right one, and
// theirs to the right host.
//
// Owner:  Host's parts; outlives Volumes' threads' answers and the network.
// Thread: the loop's.
// Errors: what comes for nobody here is dropped: Raft asks again. A failed disk goes to `onFailed`.
class ReplicaSet final : public DiskListener, public group::Outbox {
public:
  struct Pools {
    ReadyLanes& apply;
    ApplyPool& queries;
  };
  ReplicaSet(uint64_t host, Inbox& inbox, IoThread& files, Pools pools)
      : host_(host), inbox_(inbox), files_(files), pools_(pools), sleepers_(host) {}

  void setNetwork(net::PeerNetwork* network) { network_ = network; }
  // Waits for a removed replica's log to be dead; see forget.
  kj::Promise<void> forgetLog(VolumeRoom& room, group::ReplicaKey key);

  void add(std::shared_ptr<Replica> replica);
  void remove(uint64_t group);
  Replica* find(uint64_t group) const;
  Replica* find(group::ReplicaKey key) const;
  const std::unordered_map<uint64_t, std::shared_ptr<Replica>>& all() const { return replicas_; }

  // For ever: ticks every replica that has something to do, sends beats under this boot number, and
  // looks after slow machines.
  kj::Promise<void> tickLoop(kj::Timer& timer, uint64_t boot);
  const uint64_t& ticks() const { return ticks_; }
  // After each turn of a replica.
  void turned(Replica& replica);
  void sooner(Replica& replica);  // its next tick is due before it was to be looked at

  // Counted since this process began: how often a replica here stood, and how often one won.
  uint64_t elections() const { return elections_; }
  uint64_t electionsWon() const { return electionsWon_; }

  const BusyGroups& busy() const { return busy_; }

  // How far a snapshot of the replica here is on its way to that one; total 0: none is.
  SnapshotProgress sending(group::ReplicaKey from, raft::ReplicaId to) const;

  // From a peer.
  void received(uint64_t host, std::vector<group::PeerMessage> messages);
  void hostDown(uint64_t host);
  void hostUp(uint64_t host);
  void heardBeat(uint64_t host, group::Beat beat) { sleepers_.heard(host, beat); }

  // group::Outbox
  void send(group::PeerMessage&& message) override;
  void sendSnapshot(group::ReplicaKey from, raft::Message head) override;

  std::function<void(const Fault&)> onFailed;

private:
  void persisted(const Written& writes) override;
  void fetched(group::ReplicaKey replica, group::Fetched fetched) override;
  void forgotten(group::ReplicaKey replica) override;
  void crowded(const std::vector<group::ReplicaKey>& replicas) override;
  void damaged(group::ReplicaKey replica, Fault fault) override;
  void volumeFull(VolumeRoom& room, bool full) override;
  void diskFailed(Fault fault) override;

  void tick(uint64_t boot);
  bool tick(Replica& replica);
  void countElections(Replica& replica);
  bool isUp(uint64_t host) const;
  bool isFirst(const Replica& replica) const;
  std::vector<LeaderReturn::Led> ledFor(uint64_t host) const;
  LeaderReturn::Answer giveBack(LeaderReturn::Led led, uint64_t host);
  void giveMemoryBack();
  void lookWhoIsBusy();
  void makeRoom();
  void snapshotEnded(group::ReplicaKey from, raft::ReplicaId to, raft::LogPoint point, bool ok);

  uint64_t host_;
  Inbox& inbox_;
  IoThread& files_;
  Pools pools_;
  net::PeerNetwork* network_ = nullptr;
  BusyGroups busy_;  // outlives the replicas, which count there
  std::unordered_map<uint64_t, std::shared_ptr<Replica>> replicas_;  // by group id
  using Calendar = group::TickCalendar<std::shared_ptr<Replica>>;
  static_assert(Calendar::kTicksMax > group::Group::kTicksLeftOutMax);
  Calendar calendar_;
  group::Sleepers sleepers_;
  LeaderReturn returns_;
  RoomMaker roomMaker_;
  size_t fellAsleep_ = 0;  // since memory was given back
  uint64_t fellAsleepAt_ = 0;
  uint64_t ticks_ = 0;
  uint64_t elections_ = 0;
  uint64_t electionsWon_ = 0;
  std::map<group::ReplicaKey, kj::Own<kj::PromiseFulfiller<void>>> forgetting_;
  struct Sending {
    kj::Promise<void> promise;
    std::shared_ptr<SnapshotProgress> progress;
  };
  std::map<std::pair<group::ReplicaKey, raft::ReplicaId>, Sending> snapshots_;
};

}  // namespace flotilla::runtime
