// A host's small records (replicas, tombstones): a synced LevelDB that is read whole at open.
#include "host/store/meta_store.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <leveldb/db.h>
#include <leveldb/options.h>
#include <leveldb/write_batch.h>

#include "host/base/checksum.h"
#include "host/store/files.h"
#include "host/store/mark_file.h"
#include "host/store/own_env.h"
#include "host/store/packing.h"

namespace flotilla::store {

namespace {

constexpr uint32_t kVersion = 1;
constexpr char kHeadKey[] = "h";     // sequence, count and digest of all records
constexpr char kRecordPrefix = 'r';  // before every caller's key
constexpr const char* kAdvice =
    "; this host does not start: put back what is missing, or replace the host";

uint64_t checksumOf(std::string_view key, std::string_view value) {
  return base::checksum(value, base::checksum(key, kVersion));
}

std::string wrap(std::string_view key, std::string_view value) {
  std::string bytes;
  putFixed32(bytes, kVersion);
  putFixed64(bytes, checksumOf(key, value));
  bytes.append(value);
  return bytes;
}

Result<std::string_view> unwrap(std::string_view key, std::string_view bytes) {
  Unpacker in(bytes);
  uint32_t version = in.fixed32();
  uint64_t sum = in.fixed64();
  if (!in.good() || sum != checksumOf(key, in.rest())) {
    return Fault{ErrorCode::corrupt, "fails its checksum", {}};
  }
  if (version != kVersion) {
    return Fault{ErrorCode::corrupt, "is of version " + std::to_string(version), {}};
  }
  return in.rest();
}

std::string storedKey(std::string_view key) {
  return kRecordPrefix + std::string(key);
}

// What the digest of all records is made of; in any order, so each can be taken out again.
uint64_t shareOf(std::string_view key, std::string_view value) {
  return base::checksum(value, base::checksum(key, 0x6d657461));
}

}  // namespace

MetaStore::MetaStore(MetaOptions options) : options_(std::move(options)) {
  env_ = std::make_unique<OwnEnv>(options_.env, OwnEnv::Removal::removes);
}

MetaStore::~MetaStore() = default;

Result<std::unique_ptr<MetaStore>> MetaStore::open(MetaOptions options) {
  std::unique_ptr<MetaStore> store(new MetaStore(std::move(options)));
  const std::string& path = store->options_.path;
  std::string markPath = path + "/mark";
  bool create = store->options_.create;
  if (create) {
    if (exists(path + "/CURRENT")) {
      return Fault{ErrorCode::alreadyExists, "meta " + path + ": holds records already", {}};
    }
    if (auto made = makeDirectories(path); !made) return made.fault();
  }
  auto mark = create ? MarkFile::create(markPath) : MarkFile::open(markPath);
  if (!mark) return Fault{mark.fault().code, "meta " + mark.fault().text + kAdvice, {}};
  store->mark_ = std::make_unique<MarkFile>(std::move(*mark));
  if (auto opened = store->openDatabase(create); !opened) return opened.fault();
  if (create) {
    if (auto wrote = store->apply({}); !wrote) return wrote.fault();
  } else if (auto loaded = store->load(); !loaded) {
    return Fault{loaded.fault().code, loaded.fault().text + kAdvice, {}};
  }
  return store;
}

Result<void> MetaStore::openDatabase(bool create) {
  if (!create && !exists(options_.path + "/CURRENT")) {
    return Fault{
        ErrorCode::corrupt, "meta " + options_.path + ": CURRENT is missing" + kAdvice, {}};
  }
  leveldb::Options how;
  how.env = env_.get();
  how.create_if_missing = create;
  how.error_if_exists = create;
  how.compression = leveldb::kNoCompression;
  leveldb::DB* database = nullptr;
  leveldb::Status status = leveldb::DB::Open(how, options_.path, &database);
  if (!status.ok()) {
    Fault fault = statusFault("meta " + options_.path + " does not open", status);
    return Fault{fault.code, fault.text + kAdvice, {}};
  }
  database_.reset(database);
  // LevelDB syncs neither its journal's name nor its directory's.
  if (auto synced = syncDirectory(options_.path); !synced) return synced;
  return syncDirectory(parentOf(options_.path));
}

// Reads everything, and holds it against what the last batch said of the whole.
Result<void> MetaStore::load() {
  auto damage = [&](const std::string& what) {
    return Fault{ErrorCode::corrupt, "meta " + options_.path + ": " + what, {}};
  };
  leveldb::ReadOptions how;
  how.verify_checksums = true;
  std::unique_ptr<leveldb::Iterator> at(database_->NewIterator(how));
  std::map<std::string, std::string> records;
  std::string head;
  uint64_t digest = 0;
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    std::string key = at->key().ToString();
    auto value = unwrap(key, {at->value().data(), at->value().size()});
    if (!value) return damage("record \"" + key.substr(1) + "\" " + value.fault().text);
    if (key == kHeadKey) {
      head = *value;
    } else {
      digest ^= shareOf(key, *value);
      records.emplace(key.substr(1), *value);
    }
  }
  if (!at->status().ok()) return statusFault("meta " + options_.path, at->status());
  Unpacker in(head);
  uint64_t sequence = in.fixed64();
  uint64_t count = in.fixed64();
  if (in.fixed64() != digest || !in.finished() || count != records.size()) {
    return damage("records are missing: " + std::to_string(records.size()) + " are there, " +
                  std::to_string(count) + " should be");
  }
  if (sequence < mark_->value()) {
    return damage("its last change is number " + std::to_string(sequence) + ", number " +
                  std::to_string(mark_->value()) + " was synced");
  }
  records_ = std::move(records);
  sequence_ = sequence;
  digest_ = digest;
  return mark_->set(sequence);
}

Result<void> MetaStore::put(std::string key, std::string value) {
  std::vector<MetaChange> batch;
  batch.push_back({std::move(key), std::move(value)});
  return apply(std::move(batch));
}

Result<void> MetaStore::erase(std::string key) {
  std::vector<MetaChange> batch;
  batch.push_back({std::move(key), std::nullopt});
  return apply(std::move(batch));
}

Result<void> MetaStore::apply(std::vector<MetaChange> batch) {
  for (const MetaChange& change : batch) {
    if (change.key.empty()) return Fault{ErrorCode::badRequest, "meta: a key is empty", {}};
    if (change.value && change.value->size() > kValueBytesMax) {
      return Fault{ErrorCode::tooLarge,
                   "meta: the value of \"" + change.key + "\" has " +
                       std::to_string(change.value->size()) + " bytes, at most " +
                       std::to_string(kValueBytesMax) + " are stored",
                   {}};
    }
  }
  std::lock_guard lock(mutex_);
  if (fault_) return *fault_;
  auto done = applyLocked(batch);
  if (done || done.fault().code == ErrorCode::diskFull) return done;
  fault_ = done.fault();
  return done;
}

Result<void> MetaStore::applyLocked(const std::vector<MetaChange>& batch) {
  if (reopen_) {
    // After a write that found no space nothing is known of the journal's end: as after a crash,
    // what is really there is read again.
    database_.reset();
    if (auto opened = openDatabase(false); !opened) return opened;
    if (auto loaded = load(); !loaded) return loaded;
    reopen_ = false;
  }
  uint64_t digest = digest_;
  size_t count = records_.size();
  leveldb::WriteBatch changes;
  // What the batch leaves of each key; nothing: it is gone. A key may come twice.
  std::map<std::string_view, const std::string*> left;
  for (const MetaChange& change : batch) {
    std::string key = storedKey(change.key);
    const std::string* old = nullptr;
    if (auto earlier = left.find(change.key); earlier != left.end()) {
      old = earlier->second;
    } else if (auto stored = records_.find(change.key); stored != records_.end()) {
      old = &stored->second;
    }
    if (old != nullptr) {
      digest ^= shareOf(key, *old);
      --count;
    }
    left[change.key] = change.value ? &*change.value : nullptr;
    if (change.value) {
      digest ^= shareOf(key, *change.value);
      ++count;
      changes.Put(key, wrap(key, *change.value));
    } else {
      changes.Delete(key);
    }
  }
  std::string head;
  putFixed64(head, sequence_ + 1);
  putFixed64(head, count);
  putFixed64(head, digest);
  changes.Put(kHeadKey, wrap(kHeadKey, head));
  leveldb::WriteOptions how;
  how.sync = true;
  leveldb::Status status = database_->Write(how, &changes);
  if (!status.ok()) {
    Fault fault = statusFault("meta " + options_.path + " cannot be written", status);
    reopen_ = fault.code == ErrorCode::diskFull;
    return fault;
  }
  for (const MetaChange& change : batch) {
    if (change.value) {
      records_.insert_or_assign(change.key, *change.value);
    } else {
      records_.erase(change.key);
    }
  }
  digest_ = digest;
  return mark_->set(++sequence_);
}

std::optional<std::string> MetaStore::get(const std::string& key) const {
  std::lock_guard lock(mutex_);
  auto found = records_.find(key);
  if (found == records_.end()) return std::nullopt;
  return found->second;
}

std::vector<std::pair<std::string, std::string>> MetaStore::scan(std::string_view prefix) const {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, std::string>> found;
  for (auto it = records_.lower_bound(std::string(prefix)); it != records_.end(); ++it) {
    if (std::string_view(it->first).substr(0, prefix.size()) != prefix) break;
    found.emplace_back(*it);
  }
  return found;
}

}  // namespace flotilla::store
