// One generation of a volume's log: a LevelDB of frames that never writes a table.
#include "host/store/generation.h"

#include <utility>

#include <leveldb/options.h>
#include <leveldb/write_batch.h>

#include "host/store/files.h"
#include "host/store/frame.h"
#include "host/store/own_env.h"

namespace flotilla::store {

namespace {

constexpr size_t kWriteBufferBytesMax = 1ULL << 30;  // LevelDB's own limit; taken only as used

leveldb::ReadOptions checkedReads() {
  leveldb::ReadOptions options;
  options.verify_checksums = true;  // else a flipped bit in a table gives a wrong value
  options.fill_cache = false;
  return options;
}

}  // namespace

std::optional<Fault> FrameCursor::fault() const {
  if (at_->status().ok()) return std::nullopt;
  return statusFault(who_, at_->status());
}

Generation::Generation(Options options)
    : options_(std::move(options)),
      who_(options_.who + ": generation " + std::to_string(options_.listed.number)) {}

Result<std::unique_ptr<Generation>> Generation::start(const Options& options, bool create) {
  std::unique_ptr<Generation> made(new Generation(options));
  leveldb::Options how;
  how.env = options.env;
  how.create_if_missing = create;  // elsewhere a missing CURRENT would open as an empty database
  how.error_if_exists = create;
  how.paranoid_checks = false;  // with it a torn tail refuses to open; our frames check themselves
  how.compression = leveldb::kNoCompression;
  how.reuse_logs = true;  // else an open writes the journal's content into a table
  how.write_buffer_size =
      options.writeBufferBytes == 0 ? kWriteBufferBytesMax : options.writeBufferBytes;
  std::string path = generationPath(options.volumePath, options.listed.number);
  if (!create && !exists(path + "/CURRENT")) {
    std::string lost = exists(path) ? "CURRENT" : "its directory";
    return Fault{ErrorCode::corrupt, made->who_ + ": " + lost + " is missing in " + path, {}};
  }
  leveldb::DB* database = nullptr;
  leveldb::Status status = leveldb::DB::Open(how, path, &database);
  if (!status.ok()) return statusFault(made->who_ + " does not open", status);
  made->database_.reset(database);
  return made;
}

Result<std::unique_ptr<Generation>> Generation::make(const Options& options) {
  std::string path = generationPath(options.volumePath, options.listed.number);
  if (auto removed = removeTree(path); !removed) return removed.fault();
  auto made = start(options, true);
  if (!made) return made;
  // LevelDB syncs neither its journal's name nor its directory's.
  if (auto synced = syncDirectory(path); !synced) return synced.fault();
  if (auto synced = syncDirectory(options.volumePath); !synced) return synced.fault();
  return made;
}

Result<std::unique_ptr<Generation>> Generation::open(const Options& options) {
  return start(options, false);
}

Result<void> Generation::append(uint64_t frame, std::string_view bytes, leveldb::WriteBatch& room) {
  room.Clear();
  room.Put(frameKey(frame), leveldb::Slice(bytes.data(), bytes.size()));
  leveldb::WriteOptions how;
  how.sync = true;
  leveldb::Status status = database_->Write(how, &room);
  if (!status.ok()) {
    return statusFault(who_ + ": frame " + std::to_string(frame) + " cannot be written", status);
  }
  bytes_ += bytes.size();
  return {};
}

Result<PinnedFrame> Generation::read(uint64_t frame) const {
  std::unique_ptr<leveldb::Iterator> at(database_->NewIterator(checkedReads()));
  std::string key = frameKey(frame);
  at->Seek(key);
  if (!at->status().ok()) return statusFault(who_, at->status());
  if (!at->Valid() || at->key() != leveldb::Slice(key)) {
    return Fault{ErrorCode::corrupt, who_ + ": frame " + std::to_string(frame) + " is missing", {}};
  }
  return PinnedFrame(std::move(at), frame);
}

FrameCursor Generation::cursor() const {
  return FrameCursor(std::unique_ptr<leveldb::Iterator>(database_->NewIterator(checkedReads())),
                     who_);
}

}  // namespace flotilla::store
