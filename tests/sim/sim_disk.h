// A host's disk in a simulated world: one log for all its replicas, and a shelf of snapshot files.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/base/prng.h"
#include "host/group/memory_keys.h"
#include "host/group/ports.h"
#include "tests/sim/events.h"
#include "tests/sim/options.h"

namespace flotilla::sim {

// A replica's log and state as they lie on a disk.
struct Stored {
  group::ReplicaState state;
  std::map<raft::Index, group::LogEntry> entries;
};
// Nothing where `stored` is what its own shape says, else what is wrong with it.
std::optional<std::string> wrongWith(const Stored& stored);

// What a disk tells its host. Answers come later, never from inside a call.
//
// Owner:  Host.
// Thread: one.
// Errors: after diskFailed nothing is ever acknowledged.
class DiskListener {
public:
  virtual ~DiskListener() = default;
  virtual void persisted(group::ReplicaKey replica, raft::WriteId write) = 0;
  virtual void fetched(group::ReplicaKey replica, group::Fetched fetched) = 0;
  virtual void volumeFull(bool full) = 0;
  virtual void diskFailed() = 0;
};

// Group commit: what has gathered while a sync was under way is the next batch. Outlives its host's
// process: a crash loses what was not synced, or all but the beginning of what was being synced.
//
// Owner:  Host.
// Thread: one.
// Errors: as group::Disk says.
// Time:   microseconds of the world; a sync goes on while the process is stopped.
class SimDisk final : public group::Disk {
public:
  SimDisk(Events& events, base::Prng& dice, const Options& options, DiskListener& listener)
      : events_(events), dice_(dice), options_(options), listener_(listener) {}

  void write(group::ReplicaKey replica, group::DiskWrite write) override;
  void fetch(group::ReplicaKey replica, group::DiskFetch fetch) override;
  // All of a replica is gone, in order with its writes.
  void forget(group::ReplicaKey replica);

  // The process is gone. Answers how many writes were lost.
  size_t crash();
  // All that ever lay on it is gone, and its process too.
  void lose();
  void stall(int64_t us) { stalledUntilUs_ = events_.nowUs() + us; }
  void failNextSync() { failNext_ = true; }
  void setFull(bool full);
  bool isFull() const { return full_; }
  bool failed() const { return failed_; }

  // What would survive a crash now, whatever it tears; null: nothing was ever synced.
  const Stored* safe(group::ReplicaKey replica) const;
  const Stored* written(group::ReplicaKey replica) const;
  const std::map<group::ReplicaKey, Stored>& all() const { return safe_; }

  // Snapshot files, whole, by index. They are synced when they are put.
  struct File {
    raft::LogPoint point;
    std::shared_ptr<const std::string> bytes;
    bool astray = false;  // of a machine that had gone astray
  };
  using Shelf = std::map<raft::Index, File>;
  Shelf& shelf(group::ReplicaKey replica) { return shelves_[replica]; }
  // What has arrived of a file. It is not synced: a crash may cut or spoil its end.
  struct Part {
    raft::LogPoint point;
    std::string bytes;
  };
  Part& part(group::ReplicaKey replica) { return parts_[replica]; }
  // What machines on disk have kept, by generation. Each of their syncs is safe at once.
  using Places = std::map<uint64_t, std::shared_ptr<group::MemoryPlace>>;
  Places& places(group::ReplicaKey replica) { return places_[replica]; }
  std::shared_ptr<group::MachineStore> storeAt(std::shared_ptr<group::MemoryPlace> place);

private:
  struct Item {
    group::ReplicaKey replica;
    std::optional<group::DiskWrite> write;  // nothing: forget
  };
  using Image = std::map<group::ReplicaKey, Stored>;

  static void put(const Item& item, Image& to);
  bool hasRoom() const { return !full_ || ballastSyncs_ > 0; }
  void startSync();
  void endSync();

  Events& events_;
  base::Prng& dice_;
  const Options& options_;
  DiskListener& listener_;
  Image safe_;
  Image written_;
  std::map<group::ReplicaKey, Shelf> shelves_;
  std::map<group::ReplicaKey, Part> parts_;
  std::map<group::ReplicaKey, Places> places_;
  std::deque<Item> waiting_;
  std::deque<Item> syncing_;
  bool busy_ = false;  // a sync is under way
  bool full_ = false;
  uint64_t ballastSyncs_ = 0;  // that still go through while it is full
  bool failed_ = false;
  bool failNext_ = false;
  int64_t stalledUntilUs_ = 0;
  uint64_t boot_ = 0;  // answers to a process that is gone are dropped
};

// As runtime's Replica::newestSnapshot: the newest file that the log goes on from; its base, where
// none is newer.
raft::LogPoint newestSnapshot(const SimDisk::Shelf& shelf, const raft::LogShape& shape);

}  // namespace flotilla::sim
