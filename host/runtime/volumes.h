// The volumes of this host: where logs and snapshots lie.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "flotilla/result.h"
#include "host/group/ports.h"
#include "host/runtime/config.h"
#include "host/runtime/inbox.h"
#include "host/store/log_volume.h"
#include "host/store/machine_places.h"
#include "host/store/snapshot_files.h"

namespace flotilla::runtime {

class VolumeRoom;

// What the volumes' threads report, on the loop.
//
// Owner:  Host's parts; outlives Volumes.
// Thread: the loop's.
// Errors: after diskFailed the host stops.
class DiskListener {
public:
  using Written = std::vector<std::pair<group::ReplicaKey, raft::WriteId>>;

  virtual ~DiskListener() = default;
  virtual void persisted(const Written& writes) = 0;
  virtual void fetched(group::ReplicaKey replica, group::Fetched fetched) = 0;
  virtual void forgotten(group::ReplicaKey replica) = 0;
  virtual void crowded(const std::vector<group::ReplicaKey>& replicas) = 0;
  virtual void damaged(group::ReplicaKey replica, Fault fault) = 0;
  virtual void volumeFull(VolumeRoom& room, bool full) = 0;
  virtual void diskFailed(Fault fault) = 0;
};

// One volume: its log, its snapshots, its machines on disk.
//
// Owner:  Volumes.
// Thread: the loop's; the store's events come on the volume's own thread and go to the inbox.
// Errors: see store::LogVolume.
class VolumeRoom final : private store::VolumeEvents {
public:
  VolumeRoom(Volume volume, Inbox& inbox, DiskListener& listener);

  Result<void> open(const Config& config, bool create);
  void start() { log_->start(); }
  void stop() { log_->stop(); }

  const std::string& name() const { return volume_.name; }
  const std::string& path() const { return volume_.path; }
  bool isFull() const { return full_; }
  store::LogVolume& log() { return *log_; }
  store::SnapshotFiles& snapshots() { return snapshots_; }
  store::MachinePlaces& machines() { return machines_; }

private:
  void persisted(std::span<const std::pair<group::ReplicaKey, raft::WriteId>> writes) override;
  void fetched(group::ReplicaKey replica, group::Fetched fetched) override;
  void forgotten(group::ReplicaKey replica) override;
  void crowded(std::span<const group::ReplicaKey> replicas) override;
  void full() override;
  void reopened() override;
  void failed(Fault fault) override;
  void damaged(group::ReplicaKey replica, Fault fault) override;

  Volume volume_;
  Inbox& inbox_;
  DiskListener& listener_;
  store::SnapshotFiles snapshots_;
  store::MachinePlaces machines_;
  std::unique_ptr<store::LogVolume> log_;
  bool full_ = false;
};

// All of them, the default one first.
//
// Owner:  Host's parts; outlives the replicas.
// Thread: the loop's.
// Errors: open answers the first volume's fault.
class Volumes {
public:
  Volumes(const Config& config, Inbox& inbox, DiskListener& listener);

  // Makes the files of every volume (--init), or opens them. `made` gets every directory that was
  // not there before.
  static Result<void> create(const Config& config, std::vector<std::string>& made);
  Result<void> open();
  void start();
  void stop();

  // Nothing where the host has no volume of that name; "" is the default one.
  VolumeRoom* find(const std::string& name);
  const std::vector<std::unique_ptr<VolumeRoom>>& all() const { return rooms_; }

  // What open found of a replica, given away; nothing where its log has never been written.
  std::optional<store::RecoveredReplica> takeRecovered(group::ReplicaKey replica);
  // Those nobody took: their records in meta/ are gone, so their logs are dead.
  std::vector<std::pair<VolumeRoom*, group::ReplicaKey>> unclaimed() const;

private:
  const Config& config_;
  std::vector<std::unique_ptr<VolumeRoom>> rooms_;
  std::map<group::ReplicaKey, std::pair<VolumeRoom*, store::RecoveredReplica>> recovered_;
};

}  // namespace flotilla::runtime
