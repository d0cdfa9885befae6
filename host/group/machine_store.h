// The keys and values of one on-disk machine: what lies on disk, and over it what has changed
// since.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "flotilla/bytes.h"
#include "flotilla/result.h"
#include "host/group/ports.h"
#include "host/raft/types.h"

namespace flotilla::group {

// Gathers what a machine changes until `sync` writes it, with the group state of the same boundary,
// at once. So the disk holds a boundary's state at any moment, and only that; what is gathered is
// bounded by whoever asks `gatheredBytes`.
//
// Owner:  shared by a machine, whoever syncs it, and, for what they hold, captures.
// Thread: one at a time.
// Errors: KeptKeys'.
class MachineStore {
public:
  static constexpr uint64_t kSpillBytes = 4 << 20;  // a load writes at least so much at a time

  explicit MachineStore(std::unique_ptr<KeptKeys> keys) : keys_(std::move(keys)) {}
  MachineStore(const MachineStore&) = delete;
  MachineStore& operator=(const MachineStore&) = delete;

  // ---- a machine's
  Result<bool> get(std::string_view key, std::string& value);
  void set(std::string_view key, std::string_view value);
  void erase(std::string_view key);
  // Sees what is changed while it goes on, where it has not yet been: the same on every replica,
  // whatever of the state is gathered and what is on disk.
  std::unique_ptr<KeyWalk> walk(std::string_view from);

  // ---- its owner's
  const Kept& kept() const { return keys_->kept(); }
  Result<void> sync(raft::LogPoint at, Bytes groupState);
  // Forgets what was gathered: the state is what is kept once more. A fault: that cannot be read.
  Result<void> revert();
  // The rows as last synced, beside later changes; what is gathered is not among them.
  // Saving it is refused as `tooLarge` where it comes to more than that.
  std::unique_ptr<Capture> capture(uint32_t stateVersion, uint64_t bytesMax = UINT64_MAX);
  // Rows that such a capture has saved, into a store that is empty. What is on disk stays
  // unfinished until the next sync.
  Result<void> load(SnapshotSource& source, uint32_t stateVersion);

  uint64_t gatheredBytes() const { return gatheredBytes_; }
  // Whether it is to be written soon, however little it is: all machines of this disk hold much.
  bool isCrowded() { return keys_->gathered(gatheredBytes_); }
  void rest() { keys_->rest(); }
  // Of one that has stopped nothing that was gathered will ever be written.
  void forget();
  uint64_t memoryBytes() const { return gatheredBytes_ + keys_->memoryBytes(); }

private:
  class Merged;

  void gather(std::string_view key, std::optional<std::string> value);

  std::unique_ptr<KeptKeys> keys_;
  KeyChanges gathered_;
  uint64_t gatheredBytes_ = 0;  // with what a node of the map takes, roughly
  uint64_t changes_ = 0;  // counts insertions, after which a place in the map is looked up anew
};

// What the disk has done to a machine, and what is to be done about it, by which commands.
Fault advised(Fault fault, const std::string& retry = "flotilla group retry",
              const std::string& rebuild = "flotilla group rebuild");

}  // namespace flotilla::group
