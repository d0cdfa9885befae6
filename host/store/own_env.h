// An Env of one kind of database alone, and the door from leveldb::Status to Fault.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include <leveldb/env.h>

#include "flotilla/result.h"

namespace flotilla::store {

// All databases of one Env share its one background thread, so a compaction of one kind would hold
// up every other: each kind has its own here. And an Env may keep files: a database that is opened
// to be judged must not have LevelDB tidy away what it, perhaps wrongly, takes for rubbish.
//
// Owner:  the databases' owner; outlives them.
// Thread: any.
// Errors: its target's.
class OwnEnv final : public leveldb::EnvWrapper {
public:
  enum class Removal { removes, keeps };
  OwnEnv(leveldb::Env* target, Removal removal);  // nullptr: the system's
  ~OwnEnv() override;                             // what is scheduled is done first

  void Schedule(void (*work)(void*), void* argument) override;
  leveldb::Status RemoveFile(const std::string& path) override;
  leveldb::Status NewLogger(const std::string& path, leveldb::Logger** logger) override;

private:
  void run();

  Removal removal_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::pair<void (*)(void*), void*>> work_;
  bool stopping_ = false;
  std::thread thread_;  // begun with the first work
};

// `who` stands before LevelDB's own words, which name the file.
Fault statusFault(const std::string& who, const leveldb::Status& status);

}  // namespace flotilla::store
