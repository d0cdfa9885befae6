// Several cores in one process, with disks that can forget and messages that lie in a pool.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/raft/core.h"
#include "host/raft/effects.h"
#include "host/raft/input.h"
#include "tests/raft/sparing_core.h"

namespace flotilla::test {

// A replica's disk as of one write.
struct DiskImage {
  raft::WriteId id = 0;
  raft::HardState hard;
  raft::LogShape shape;
  std::map<raft::Index, raft::Term> entries;  // as the writes named them, kept apart from the shape
};

struct FleetReplica {
  raft::CoreConfig config;
  std::unique_ptr<raft::Core> core;
  std::unique_ptr<SparingCore> sparing;  // wants the same at each step
  DiskImage disk;                        // would survive a power cut
  std::vector<DiskImage> pending;        // asked for, not yet safe
  std::optional<raft::Install> installing;
  std::vector<raft::ReplicaId> snapshotsFor;  // peers that are to be sent one
  raft::LogPoint snapshot;                    // the newest saved; what Compact named, or installed
  raft::Configuration snapshotConfiguration;
  raft::Index applied = 0;
};

// Owner:  a test.
// Thread: one.
// Errors: a write that does not say what changed is a doctest failure.
class Fleet {
public:
  void add(const raft::CoreConfig& config, raft::HardState hard, raft::LogShape shape);
  FleetReplica& at(raft::ReplicaId replica);
  const std::map<raft::ReplicaId, FleetReplica>& all() const { return replicas_; }

  // One step, whose sends go to the pool and whose write becomes pending.
  raft::Effects step(raft::ReplicaId replica, const raft::Input& input);
  void doubtLease(raft::ReplicaId replica);
  // Messages on their way, oldest first.
  std::vector<raft::Message>& pool() { return pool_; }

  // The writes up to `write` (0: all) are on the disk; the core is told.
  raft::Effects persist(raft::ReplicaId replica, raft::WriteId write = 0);
  // Power goes: `surviving` of the pending writes had reached the disk all the same.
  void crash(raft::ReplicaId replica, size_t surviving = 0);
  void compact(raft::ReplicaId replica, raft::Index to);
  // What a sender of snapshots does for the first one wanted: the message, if there is a snapshot.
  std::optional<raft::Message> takeSnapshotMessage(raft::ReplicaId from);

private:
  static void begin(FleetReplica& replica);
  void carryOut(FleetReplica& replica, const raft::Effects& effects);

  std::map<raft::ReplicaId, FleetReplica> replicas_;
  std::vector<raft::Message> pool_;
  uint64_t starts_ = 0;
};

}  // namespace flotilla::test
