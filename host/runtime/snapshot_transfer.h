// Snapshot files between this host's disk and its peers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include <kj/async.h>
#include <kj/memory.h>

#include "host/group/ports.h"
#include "host/net/peer_events.h"
#include "host/runtime/io_thread.h"
#include "host/store/snapshot_files.h"

namespace flotilla::runtime {

// How far one is on its way; total 0: it has not begun, or has ended.
struct SnapshotProgress {
  uint64_t bytes = 0;
  uint64_t total = 0;
};

// The saved snapshot at `point`, checked whole and ready to be sent. `damaged` is called where it
// is not whole; `progress` is kept on the loop.
kj::Promise<kj::Own<net::SnapshotSourceFile>> openSnapshotSource(
    IoThread& files, store::SnapshotFiles& snapshots, group::ReplicaKey key, raft::LogPoint point,
    std::shared_ptr<SnapshotProgress> progress, std::function<void()> damaged);

// Where one that is on its way in belongs.
struct Destination {
  IoThread& files;
  store::SnapshotFiles& snapshots;
  group::ReplicaKey key;
  raft::LogPoint point;
  std::function<bool()> wanted;   // asked before each piece: one that is removed leaves nothing
  std::function<void()> arrived;  // called on the loop: the file is whole, verified and synced
};

kj::Own<net::SnapshotFile> receiveSnapshot(Destination to);

// The same for one that comes chunk by chunk: what has arrived stays for the next attempt, and what
// older files have is not asked for.
kj::Own<net::SnapshotArrival> collectSnapshot(Destination to);

}  // namespace flotilla::runtime
