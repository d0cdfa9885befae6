// Where on-disk machines live: DIRECTORY/<group>-<replica>/<generation>/, each a LevelDB.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "flotilla/result.h"
#include "host/group/machine_store.h"
#include "host/group/ports.h"
#include "host/store/machine_keys.h"

namespace flotilla::store {

// All machines on disk of a volume. A replica has one generation, or for a while two: while a
// snapshot is loaded into a fresh one, and until the log that goes on from it is safe.
//
// Owner:  runtime.
// Thread: any for different replicas; of one replica one at a time. Calls wait for the disk.
// Errors: diskFull, corrupt, io.
class MachinePlaces {
public:
  static constexpr size_t kCacheBytes = 64 << 20;  // of blocks that were read, for all of them

  explicit MachinePlaces(std::string directory, size_t cacheBytes = kCacheBytes,
                         uint64_t heldBytesMax = MachineShared::kHeldBytesMax);

  Result<void> open();  // makes the directory

  // Which there are, rising.
  Result<std::vector<uint64_t>> generations(group::ReplicaKey replica);
  // Opens the newest of each, several at a time, for `find` to have it at hand: to open one is to
  // wait for the disk some times. What nobody has come for is closed by `closeAhead`.
  void openAhead(const std::vector<group::ReplicaKey>& replicas);
  void closeAhead();
  // A fresh one; whatever lay there is removed. It counts once something was synced there. Where
  // there is no room for one nothing is left of it.
  Result<std::shared_ptr<group::MachineStore>> make(group::ReplicaKey replica, uint64_t generation);
  Result<std::shared_ptr<group::MachineStore>> find(group::ReplicaKey replica, uint64_t generation);
  Result<void> remove(group::ReplicaKey replica, uint64_t generation);
  // And what a removal has left that was cut off.
  Result<void> removeBelow(group::ReplicaKey replica, uint64_t generation);
  Result<void> removeReplica(group::ReplicaKey replica);
  // Whose directories there are.
  Result<std::vector<group::ReplicaKey>> replicas();

private:
  std::string pathOf(group::ReplicaKey replica) const;
  std::string pathOf(group::ReplicaKey replica, uint64_t generation) const;

  using Found = Result<std::shared_ptr<group::MachineStore>>;
  Found open(const std::string& path);
  std::optional<Found> takeAhead(const std::string& path);

  std::string directory_;
  std::shared_ptr<MachineShared> shared_;
  std::mutex mutex_;
  std::map<std::string, Found> ahead_;  // by path
};

}  // namespace flotilla::store
