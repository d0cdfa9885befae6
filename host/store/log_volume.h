// The logs of all replicas of one volume: one row of frames, one thread that waits for the disk.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "flotilla/result.h"
#include "host/base/buckets.h"
#include "host/group/ports.h"

namespace leveldb {
class Env;
}

namespace flotilla::store {

// What a volume reports.
//
// Owner:  runtime; outlives the LogVolume.
// Thread: called on the volume's own thread, between start() and the end of stop(). Must not wait.
// Errors: after failed() nothing more is persisted.
class VolumeEvents {
public:
  virtual ~VolumeEvents() = default;

  // Each named write, and every earlier one of its replica, would survive a power cut. One call for
  // each frame; a replica stands in it once, with its newest write.
  virtual void persisted(std::span<const std::pair<group::ReplicaKey, raft::WriteId>> writes) = 0;
  // `unavailable`: the entries are not in the log (any more); `corrupt`: they are damaged.
  virtual void fetched(group::ReplicaKey replica, group::Fetched fetched) = 0;
  // Nothing of the replica is read again, whatever crash comes.
  virtual void forgotten(group::ReplicaKey replica) = 0;
  // What lives in the log takes more and more of what it may: the logs of these replicas, the large
  // ones of those here, are to be compacted. Said again while that lasts.
  virtual void crowded(std::span<const group::ReplicaKey> replicas) = 0;
  // There is no space. Nothing unacknowledged is lost: all that was submitted, and is submitted
  // from now on, is kept in memory in order (queuedBytes() counts it). Refuse new commands until
  // reopened(). Nothing is persisted in between; fetches are still answered.
  virtual void full() = 0;
  // There is room again: the volume itself has begun to write what waited; nobody submits again.
  virtual void reopened() = 0;
  // A write or a sync ended badly, and not for space: the host must stop.
  virtual void failed(Fault fault) = 0;
  // A record of this replica does not read back: the replica stops, the others go on. Beside this
  // call the fetch that found it is answered with `corrupt`.
  virtual void damaged(group::ReplicaKey replica, Fault fault) = 0;
};

struct VolumeOptions {
  std::string name;     // for texts: "volume NAME: …"
  std::string path;     // its directory
  bool create = false;  // a new volume: `path` must not hold one; without it, it must
  uint64_t generationBytes = 32ULL << 20;  // a new LevelDB begins after so many
  uint64_t generationsBytesMax = 256ULL
                                 << 20;  // above it, idle replicas' records are copied forward
  bool layOutJournals = true;            // ahead of what is written to them: see JournalEnv
  uint64_t ballastBytes = 0;             // kept in a file that is given up when space is out

  // For tests.
  leveldb::Env* env = nullptr;    // in place of the system's; outlives the volume
  uint64_t writeBufferBytes = 0;  // of LevelDB; 0: so many that no table is ever written
  std::function<Result<uint64_t>(const std::string&)> freeBytes;  // in place of statvfs
};

// A replica found on disk at open. With a fault it may not take part: its records are damaged.
struct RecoveredReplica {
  group::ReplicaKey key;
  group::ReplicaState state;
  std::optional<Fault> fault;
  uint64_t logBytes = 0;  // roughly, of its entries
};

enum class VolumeState : uint8_t { open, full, failed };

struct VolumeStatus {
  VolumeState state = VolumeState::open;
  uint64_t bytes = 0;      // of all live generations' frames
  uint64_t liveBytes = 0;  // of these, entries that some replica still needs
  uint64_t freeBytes =
      0;  // on its file system, when last looked (once a generation, or while full)
  uint64_t generations = 0;
  uint64_t replicas = 0;
  uint64_t frames = 0;  // written since open
  uint64_t syncs = 0;
  uint64_t bytesWritten = 0;
  uint64_t bytesCopied = 0;   // of these, copied forward
  base::Buckets syncUs;       // of each frame: written and synced
  base::Buckets frameGroups;  // groups in it
  std::string fault;          // with failed
};

class VolumeWriter;
struct VolumeItem;

// Group commit across all groups of a volume: whatever is submitted while the disk is busy becomes
// one frame, one LevelDB value, one sync. What an open must find is
// described in frame_row.h.
//
// Owner:  runtime; outlives every Group whose replica lies here. Its path is one process's alone
//         (data_dir's lock).
// Thread: write, fetch, forget, queuedBytes and status from any; open, recovered, start, stop from
//         one. Callers never wait for the disk.
// Errors: by VolumeEvents. open() refuses what is damaged beyond one replica, naming generation and
//         frame.
class LogVolume final : public group::Disk {
public:
  // Callers refuse new commands above this, so the queue stays bounded whatever the disk does.
  static constexpr uint64_t kQueuedBytesMax = 64ULL << 20;

  static Result<std::unique_ptr<LogVolume>> open(VolumeOptions options, VolumeEvents& events);
  ~LogVolume() override;  // stops

  // What open found; given away, so a second call answers nothing. Before start().
  std::vector<RecoveredReplica> recovered();

  void start();
  // Writes and syncs what is queued, then ends the thread. While full: gives the queue up, none of
  // which was acknowledged.
  void stop();

  void write(group::ReplicaKey replica, group::DiskWrite write) override;
  void fetch(group::ReplicaKey replica, group::DiskFetch fetch) override;
  // The replica was removed: its records are dead. Answered with forgotten(), also where there were
  // none. Nothing may be written for it afterwards.
  void forget(group::ReplicaKey replica);

  // Submitted and not yet persisted.
  uint64_t queuedBytes() const { return queuedBytes_.load(std::memory_order_relaxed); }
  bool overloaded() const { return queuedBytes() > kQueuedBytesMax; }
  VolumeStatus status() const;

private:
  explicit LogVolume(std::unique_ptr<VolumeWriter> writer);
  void submit(VolumeItem item);
  void run();
  bool waitForWork(std::vector<VolumeItem>& batch);

  std::unique_ptr<VolumeWriter> writer_;  // the thread's, once it runs
  std::vector<RecoveredReplica> recovered_;
  std::thread thread_;
  std::atomic<uint64_t> queuedBytes_{0};
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<VolumeItem> queue_;  // below mutex_, as what follows
  VolumeStatus status_;
  bool stopping_ = false;
  bool waiting_ = false;  // the thread sleeps: only then is waking it worth a system call
};

}  // namespace flotilla::store
