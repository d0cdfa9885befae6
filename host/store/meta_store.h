// A host's small records (replicas, tombstones): a synced LevelDB that is read whole at open.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flotilla/result.h"

namespace leveldb {
class DB;
class Env;
}  // namespace leveldb

namespace flotilla::store {

class MarkFile;
class OwnEnv;

struct MetaOptions {
  std::string path;             // its directory
  bool create = false;          // a new one: there must be none; without it, there must
  leveldb::Env* env = nullptr;  // for tests, in place of the system's; outlives the store
};

// One change of a batch.
struct MetaChange {
  std::string key;                   // not empty
  std::optional<std::string> value;  // nothing: erase
};

// Opaque keys and values, held in memory as well. Every value lies on disk with version and
// checksum over key and value, and beside them a count and a digest of all records, so that one
// that LevelDB silently leaves out is missed.
//
// Owner:  runtime.
// Thread: any. A change waits for the disk: call it from a worker, not from a loop.
// Errors: open refuses a missing or damaged file with a text that names it. A change that fails for
//         space answers diskFull: it may or may not be there later, and the next change tries
//         again. After any other failure every change answers the same fault: the host must stop.
class MetaStore {
public:
  static constexpr size_t kValueBytesMax = 1 << 20;

  static Result<std::unique_ptr<MetaStore>> open(MetaOptions options);
  ~MetaStore();

  // All return once the change is synced; a batch is there whole or not at all.
  Result<void> put(std::string key, std::string value);
  Result<void> erase(std::string key);
  Result<void> apply(std::vector<MetaChange> batch);

  std::optional<std::string> get(const std::string& key) const;
  // Records whose keys begin with `prefix`, in order of keys.
  std::vector<std::pair<std::string, std::string>> scan(std::string_view prefix = {}) const;

private:
  explicit MetaStore(MetaOptions options);
  Result<void> openDatabase(bool create);
  Result<void> load();
  Result<void> applyLocked(const std::vector<MetaChange>& batch);

  MetaOptions options_;
  std::unique_ptr<OwnEnv> env_;
  std::unique_ptr<leveldb::DB> database_;
  std::unique_ptr<MarkFile> mark_;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> records_;
  uint64_t sequence_ = 0;       // of the last batch
  uint64_t digest_ = 0;         // over all records, in any order
  bool reopen_ = false;         // the last change found no space
  std::optional<Fault> fault_;  // sticky
};

}  // namespace flotilla::store
