// What an on-disk machine keeps: a LevelDB of its own.
#include "host/store/machine_keys.h"

#include <utility>

#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>

#include "host/group/machine_store.h"
#include "host/store/files.h"
#include "host/store/own_env.h"
#include "host/store/packing.h"

namespace flotilla::store {
namespace {

// Keys of the database: 'b' and a number for each batch that may be the last; 'f' for the first
// batch; 'h' for where all of it stands; 'm' before the machine's own.
constexpr char kBatch = 'b';
constexpr std::string_view kFirst = "f";
constexpr std::string_view kHead = "h";
constexpr char kRow = 'm';
constexpr uint32_t kVersion = 2;
constexpr uint32_t kVersionWithoutFirst = 1;
constexpr size_t kHeadBytes = 4 + 3 * 8;
constexpr size_t kWriteBufferBytes = 4 << 20;
constexpr size_t kTableBytes = 4 << 20;
// Each open table keeps its index and its filter in memory: some 100 KiB.
constexpr int kOpenFilesMax = 256;
constexpr int kFilterBits =
    10;  // a key: of those that are not there one in a hundred is looked for
constexpr uint64_t kFlushedBytes = 256 << 10;  // of a buffer: less is not worth a table
constexpr uint64_t kRestingBytes = 1 << 20;    // of a machine that rests, while there is room
constexpr uint64_t kRoomBytes = 16 << 20;      // on the disk, for opening anew what found none

std::string batchKey(uint64_t sequence) {
  std::string key(1, kBatch);
  for (int shift = 56; shift >= 0; shift -= 8) {
    key.push_back(static_cast<char>(sequence >> shift & 0xff));
  }
  return key;
}

std::string headOf(uint64_t sequence, const group::Kept& kept) {
  std::string head;
  putFixed32(head, kVersion);
  putFixed64(head, sequence);
  putFixed64(head, kept.at.index);
  putFixed64(head, kept.at.term);
  head += kept.groupState.view();
  return head;
}

std::string_view viewOf(const leveldb::Slice& slice) {
  return {slice.data(), slice.size()};
}
leveldb::Slice sliceOf(std::string_view view) {
  return {view.data(), view.size()};
}

// Owner: whoever walks; keeps the database open. Thread: one. Errors: LevelDB's.
class DatabaseWalk final : public group::KeyWalk {
public:
  DatabaseWalk(std::shared_ptr<leveldb::DB> database, const std::string& path,
               const leveldb::Snapshot* snapshot, std::string_view from)
      : database_(std::move(database)), path_(path) {
    leveldb::ReadOptions how;
    how.verify_checksums = true;
    how.snapshot = snapshot;
    how.fill_cache = snapshot == nullptr;  // one that reads all of it would push out all else
    rows_.reset(database_->NewIterator(how));
    rows_->Seek(kRow + std::string(from));
  }

  Result<bool> next(std::string_view& key, std::string_view& value) override {
    if (begun_ && rows_->Valid()) rows_->Next();
    begun_ = true;
    if (!rows_->status().ok()) return statusFault("machine " + path_, rows_->status());
    if (!rows_->Valid() || rows_->key()[0] != kRow) return false;
    key = viewOf(rows_->key()).substr(1);
    value = viewOf(rows_->value());
    return true;
  }

private:
  std::shared_ptr<leveldb::DB> database_;
  std::string path_;
  std::unique_ptr<leveldb::Iterator> rows_;
  bool begun_ = false;
};

// Owner: captures, shared. Thread: any. Errors: its walks'.
class HeldDatabase final : public group::HeldKeys {
public:
  HeldDatabase(std::shared_ptr<leveldb::DB> database, std::string path)
      : database_(std::move(database)),
        path_(std::move(path)),
        snapshot_(database_->GetSnapshot()) {}
  ~HeldDatabase() override { database_->ReleaseSnapshot(snapshot_); }
  HeldDatabase(const HeldDatabase&) = delete;
  HeldDatabase& operator=(const HeldDatabase&) = delete;

  std::unique_ptr<group::KeyWalk> walk(std::string_view from) const override {
    return std::make_unique<DatabaseWalk>(database_, path_, snapshot_, from);
  }

private:
  std::shared_ptr<leveldb::DB> database_;
  std::string path_;
  const leveldb::Snapshot* snapshot_;
};

// A database that is gone, because it could not be opened anew.
//
// Owner: whoever walks. Thread: one. Errors: always the same.
class NoWalk final : public group::KeyWalk {
public:
  explicit NoWalk(Fault fault) : fault_(std::move(fault)) {}
  Result<bool> next(std::string_view&, std::string_view&) override { return fault_; }

private:
  Fault fault_;
};

// Owner: captures, shared. Thread: any. Errors: always the same.
class HeldNothing final : public group::HeldKeys {
public:
  explicit HeldNothing(Fault fault) : fault_(std::move(fault)) {}
  std::unique_ptr<group::KeyWalk> walk(std::string_view) const override {
    return std::make_unique<NoWalk>(fault_);
  }

private:
  Fault fault_;
};

}  // namespace

MachineShared::MachineShared(size_t cacheBytes, uint64_t heldBytes)
    : heldBytesMax(heldBytes),
      blocks(leveldb::NewLRUCache(cacheBytes)),
      filter(leveldb::NewBloomFilterPolicy(kFilterBits)) {}

MachineShared::~MachineShared() = default;

MachineKeys::~MachineKeys() {
  shared_->gathered -= gathered_;
  shared_->buffered -= buffered_;
}

Result<std::unique_ptr<MachineKeys>> MachineKeys::open(std::string path,
                                                       std::shared_ptr<MachineShared> shared,
                                                       Begin begin) {
  std::unique_ptr<MachineKeys> keys(new MachineKeys(std::move(path), std::move(shared)));
  Result<void> opened =
      begin == Begin::fresh ? keys->openDatabase(begin, true) : keys->openExisting();
  if (!opened) return opened.fault();
  return keys;
}

Result<void> MachineKeys::openDatabase(Begin begin, bool strict) {
  leveldb::Options how;
  how.env = &shared_->env;
  how.block_cache = shared_->blocks.get();
  how.filter_policy = shared_->filter.get();
  how.create_if_missing = begin == Begin::fresh;
  how.error_if_exists = begin == Begin::fresh;
  how.paranoid_checks = strict;
  how.write_buffer_size = kWriteBufferBytes;
  how.max_file_size = kTableBytes;
  how.max_open_files = kOpenFilesMax;
  how.compression = leveldb::kNoCompression;
  leveldb::DB* database = nullptr;
  leveldb::Status status = leveldb::DB::Open(how, path_, &database);
  if (!status.ok()) return statusFault("machine " + path_ + ": does not open", status);
  database_ = std::shared_ptr<leveldb::DB>(
      database, [shared = shared_](leveldb::DB* itself) { delete itself; });
  return {};
}

// Strictly: only then are tables checked where they are compacted. A journal's torn end is refused
// with that, so what is refused is opened once as it is, which leaves the torn end behind, and
// judged by the batches' numbers.
Result<void> MachineKeys::openExisting() {
  auto opened = openDatabase(Begin::existing, true);
  if (!opened && opened.fault().code == ErrorCode::corrupt) {
    if (auto loose = openDatabase(Begin::existing, false); !loose) return opened;
    if (auto whole = load(); !whole) return whole;
    database_.reset();
    opened = openDatabase(Begin::existing, true);
  }
  if (!opened) return opened;
  return load();
}

Result<void> MachineKeys::load() {
  auto damage = [&](const std::string& what) {
    return Fault{ErrorCode::corrupt, "machine " + path_ + ": " + what, {}};
  };
  leveldb::ReadOptions how;
  how.verify_checksums = true;
  std::unique_ptr<leveldb::Iterator> at(database_->NewIterator(how));
  std::string lastBatch;
  size_t batches = 0;
  for (at->Seek(std::string(1, kBatch)); at->Valid() && at->key()[0] == kBatch; at->Next()) {
    lastBatch = at->key().ToString();
    ++batches;
  }
  if (!at->status().ok()) return statusFault("machine " + path_, at->status());
  std::string head;
  leveldb::Status found = database_->Get(how, sliceOf(kHead), &head);
  if (found.IsNotFound() && batches == 0) {  // nothing was ever written
    kept_ = {};
    sequence_ = 0;
    begun_ = false;
    return {};
  }
  if (!found.ok()) return statusFault("machine " + path_ + ": its head", found);
  Unpacker in(head);
  uint32_t version = in.fixed32();
  uint64_t sequence = in.fixed64();
  group::Kept kept;
  kept.at.index = in.fixed64();
  kept.at.term = in.fixed64();
  if (!in.good() || (version != kVersion && version != kVersionWithoutFirst)) {
    return damage("its head is of version " + std::to_string(version) + ", this build reads " +
                  std::to_string(kVersion));
  }
  if (batches != 1 || lastBatch != batchKey(sequence)) {
    return damage("a write in its middle is lost, before number " + std::to_string(sequence));
  }
  std::string first;
  leveldb::Status begun = database_->Get(how, sliceOf(kFirst), &first);
  if (!begun.ok() && !begun.IsNotFound()) return statusFault("machine " + path_, begun);
  if (begun.IsNotFound() && version != kVersionWithoutFirst) {
    return damage("its first write is lost, and perhaps more before number " +
                  std::to_string(sequence));
  }
  kept.groupState = Bytes::copyOf(std::string_view(head).substr(kHeadBytes));
  kept_ = std::move(kept);
  sequence_ = sequence;
  begun_ = begun.ok();
  return {};
}

Result<bool> MachineKeys::get(std::string_view key, std::string& value) {
  if (database_ == nullptr) return *broken_;
  key_.assign(1, kRow);
  key_ += key;
  leveldb::ReadOptions how;
  how.verify_checksums = true;
  leveldb::Status status = database_->Get(how, key_, &value);
  if (status.ok()) return true;
  if (status.IsNotFound()) return false;
  return statusFault("machine " + path_, status);
}

std::unique_ptr<group::KeyWalk> MachineKeys::walk(std::string_view from) {
  if (database_ == nullptr) return std::make_unique<NoWalk>(*broken_);
  return std::make_unique<DatabaseWalk>(database_, path_, nullptr, from);
}

std::shared_ptr<const group::HeldKeys> MachineKeys::hold() {
  if (database_ == nullptr) return std::make_shared<HeldNothing>(*broken_);
  return std::make_shared<HeldDatabase>(database_, path_);
}

Result<void> MachineKeys::write(const group::KeyChanges& changes, group::Kept kept) {
  if (broken_) return group::advised(*broken_);
  if (stale_) {
    if (auto lacks = lacksRoom()) return *lacks;
    if (auto opened = openOnceMore(); !opened) return opened;
  }
  leveldb::WriteBatch batch;
  for (const auto& [key, value] : changes) {
    key_.assign(1, kRow);
    key_ += key;
    if (value) {
      batch.Put(key_, *value);
    } else {
      batch.Delete(key_);
    }
  }
  batch.Put(sliceOf(kHead), headOf(sequence_ + 1, kept));
  batch.Put(batchKey(sequence_ + 1), "");
  batch.Delete(batchKey(sequence_));
  if (!begun_) batch.Put(sliceOf(kFirst), "");
  // Always synced: LevelDB syncs no journal that it has left behind, so an unsynced batch could be
  // lost and a synced one after it be there.
  leveldb::WriteOptions how;
  how.sync = true;
  leveldb::Status status = database_->Write(how, &batch);
  if (status.ok()) {
    ++sequence_;
    begun_ = true;
    kept_ = std::move(kept);
    flushBuffer(shared_->buffered > shared_->heldBytesMax / 2 ? kFlushedBytes : UINT64_MAX);
    return {};
  }
  Fault fault = statusFault("machine " + path_, status);
  if (fault.code == ErrorCode::diskFull) {
    stale_ = true;
  } else {
    broken_ = fault;
  }
  return group::advised(std::move(fault));
}

// What has found no room is opened anew, which takes some. It all comes to that: once a snapshot of
// it is saved, or has found none either, it is nobody else's.
std::optional<Fault> MachineKeys::lacksRoom() const {
  if (database_.use_count() > 1) {
    return Fault{
        ErrorCode::diskFull, "machine " + path_ + ": waits for a snapshot that is being saved", {}};
  }
  auto room = freeBytes(path_);
  if (!room) return room.fault();
  if (*room >= kRoomBytes) return std::nullopt;
  return Fault{
      ErrorCode::diskFull,
      "machine " + path_ + ": waits for " + std::to_string(kRoomBytes >> 20) + " MiB of room",
      {}};
}

// What was torn must not be written behind. The last write may have come through whole after all:
// the one that follows says the same once more, and later changes with it.
Result<void> MachineKeys::openOnceMore() {
  database_.reset();
  auto opened = openExisting();
  stale_ = false;
  broken_.reset();
  if (opened) return {};
  database_.reset();
  broken_ = opened.fault();
  return group::advised(*broken_);
}

Result<void> MachineKeys::mend() {
  if (!broken_ && !stale_) return {};
  if (stale_ || broken_->code == ErrorCode::diskFull) {
    if (auto lacks = lacksRoom()) return *lacks;
  }
  if (database_ != nullptr && database_.use_count() > 1) {
    return Fault{ErrorCode::unavailable,
                 "machine " + path_ + ": a snapshot of it is being saved; try again",
                 {}};
  }
  return openOnceMore();
}

bool MachineKeys::gathered(uint64_t bytes) {
  shared_->gathered += bytes - std::exchange(gathered_, bytes);
  return shared_->gathered > shared_->heldBytesMax / 2;
}

// The buffer is in the journal, and a start would bring it back; but as long as the database is
// open it stays in memory until the next one is full.
void MachineKeys::rest() {
  bool crowded = shared_->buffered > shared_->heldBytesMax / 4;
  flushBuffer(crowded ? kFlushedBytes : kRestingBytes);
}

// Counts what it holds, and from so much on has it written to a table. That LevelDB does beside.
void MachineKeys::flushBuffer(uint64_t bytes) {
  if (database_ == nullptr || stale_ || broken_) return;
  uint64_t held = bufferBytes();
  shared_->buffered += held - std::exchange(buffered_, held);
  if (held < bytes) return;
  // No batch: a new buffer is begun. What goes wrong the next write is told.
  static_cast<void>(database_->Write(leveldb::WriteOptions(), nullptr));
  shared_->buffered -= std::exchange(buffered_, 0);
}

uint64_t MachineKeys::bufferBytes() const {
  std::string bytes;
  if (database_ == nullptr || !database_->GetProperty("leveldb.approximate-memory-usage", &bytes)) {
    return 0;
  }
  // LevelDB counts the cache, which all share.
  uint64_t all = std::strtoull(bytes.c_str(), nullptr, 10);
  uint64_t shared = shared_->blocks->TotalCharge();
  return all > shared ? all - shared : 0;
}

uint64_t MachineKeys::memoryBytes() const {
  return kept_.groupState.size() + bufferBytes();
}

}  // namespace flotilla::store
