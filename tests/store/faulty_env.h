// A LevelDB Env whose disk fails on request and forgets what was not synced.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include <leveldb/env.h>

#include "host/store/journal_env.h"

namespace flotilla::test {

// Owner: the test; outlives the databases. Thread: any. Errors: those it is told to give.
class FaultyEnv final : public leveldb::EnvWrapper {
public:
  // With a number: over journals that are laid out ahead, so many bytes long.
  explicit FaultyEnv(uint64_t laidOut = 0)
      : EnvWrapper(laidOut == 0 ? leveldb::Env::Default() : &journals_) {
    journals_.layOut(laidOut);
  }

  // From now on every write finds no space, until it is false again. A write leaves half behind.
  void setFull(bool full);
  // Likewise for as long as this file is there.
  void setFullBeside(std::string path);
  // The `count`th sync of a journal from now on fails with an I/O error, and all after it.
  void failSyncAfter(uint64_t count);
  uint64_t syncs() const;
  bool laysOut() const { return target() == &journals_; }
  uint64_t writtenOver() const { return writtenOver_; }  // journals that held something before

  // What a power cut leaves, once the databases are closed: of each file what was synced, and of
  // the rest as many bytes as `tornBytes` says; behind them what was there before, where it was
  // laid out ahead.
  void cutPower(uint64_t tornBytes);

  leveldb::Status NewWritableFile(const std::string& path, leveldb::WritableFile** file) override;
  leveldb::Status NewAppendableFile(const std::string& path, leveldb::WritableFile** file) override;
  leveldb::Status RenameFile(const std::string& from, const std::string& to) override;

  // Of one file, called by its wrapper.
  leveldb::Status appending(const std::string& path, uint64_t bytes);
  leveldb::Status syncing(const std::string& path);

private:
  struct Extent {
    uint64_t written = 0;
    uint64_t synced = 0;
    std::string before;  // what it began as
  };
  store::JournalEnv journals_;
  mutable std::mutex mutex_;
  std::map<std::string, Extent> extents_;
  bool isFull() const;  // the lock is held
  bool full_ = false;
  std::string fullBeside_;
  uint64_t syncs_ = 0;
  uint64_t writtenOver_ = 0;
  uint64_t failFrom_ = UINT64_MAX;
};

}  // namespace flotilla::test
