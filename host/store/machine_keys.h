// What an on-disk machine keeps: a LevelDB of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "host/group/ports.h"
#include "host/store/machine_env.h"

namespace leveldb {
class Cache;
class DB;
class FilterPolicy;
}  // namespace leveldb

namespace flotilla::store {

// What the databases of a volume's machines share. Each holds it, for a machine that does not come
// back may outlive all else.
struct MachineShared {
  // What a thousand machines may hold together; from there on each writes as soon as it has a
  // little. Half of it is what their commands have gathered, half LevelDB's write buffers.
  static constexpr uint64_t kHeldBytesMax = 512 << 20;

  explicit MachineShared(size_t cacheBytes, uint64_t heldBytesMax = kHeldBytesMax);
  ~MachineShared();

  const uint64_t heldBytesMax;
  std::atomic<uint64_t> gathered{0};
  std::atomic<uint64_t> buffered{0};  // as of each one's last write

  MachineEnv env;
  std::unique_ptr<leveldb::Cache> blocks;
  std::unique_ptr<const leveldb::FilterPolicy> filter;
};

// Rows of the machine, and one that says where they stand, with the group state. Each write is one
// synced batch that bears a number; that of the one before it is taken away with it, so a batch
// that LevelDB silently leaves out when it recovers leaves two numbers behind, and the place is
// refused; as it is where the mark of the first batch, which had none before it, is missing. A torn
// end is no damage: nobody was told of it.
//
// Owner:  group::MachineStore.
// Thread: one at a time; LevelDB's own thread and those that read what is held are beside it.
// Errors: corrupt, io: for good. diskFull: the database is opened anew with the next write, once
//         there is room; what is there can be read meanwhile.
class MachineKeys final : public group::KeptKeys {
public:
  // In a directory that is there and empty, or in one where there is a database.
  enum class Begin { fresh, existing };
  static Result<std::unique_ptr<MachineKeys>> open(std::string path,
                                                   std::shared_ptr<MachineShared> shared,
                                                   Begin begin);
  ~MachineKeys() override;

  const group::Kept& kept() const override { return kept_; }
  Result<bool> get(std::string_view key, std::string& value) override;
  std::unique_ptr<group::KeyWalk> walk(std::string_view from) override;
  std::shared_ptr<const group::HeldKeys> hold() override;
  Result<void> write(const group::KeyChanges& changes, group::Kept kept) override;
  Result<void> mend() override;
  bool gathered(uint64_t bytes) override;
  void rest() override;
  uint64_t memoryBytes() const override;

private:
  MachineKeys(std::string path, std::shared_ptr<MachineShared> shared)
      : path_(std::move(path)), shared_(std::move(shared)) {}
  Result<void> openDatabase(Begin begin, bool strict);
  Result<void> openExisting();
  Result<void> load();
  std::optional<Fault> lacksRoom() const;
  uint64_t bufferBytes() const;
  void flushBuffer(uint64_t bytes);
  Result<void> openOnceMore();

  std::string path_;
  std::shared_ptr<MachineShared> shared_;
  std::shared_ptr<leveldb::DB> database_;
  group::Kept kept_;
  uint64_t sequence_ = 0;  // of the last write
  bool begun_ = false;     // the first batch's mark is there
  bool stale_ = false;     // a write found no room: what follows it would be lost
  std::optional<Fault> broken_;
  uint64_t gathered_ = 0;  // its part of what all share
  uint64_t buffered_ = 0;
  std::string key_;
};

}  // namespace flotilla::store
