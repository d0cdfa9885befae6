// An Env of one kind of database alone, and the door from leveldb::Status to Fault.
#include "host/store/own_env.h"

#include <cerrno>
#include <system_error>

namespace flotilla::store {

namespace {

// LevelDB's own log lines say nothing that our faults do not.
class NoLogger final : public leveldb::Logger {
public:
  void Logv(const char*, std::va_list) override {}
};

}  // namespace

OwnEnv::OwnEnv(leveldb::Env* target, Removal removal)
    : EnvWrapper(target != nullptr ? target : leveldb::Env::Default()), removal_(removal) {}

OwnEnv::~OwnEnv() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void OwnEnv::Schedule(void (*work)(void*), void* argument) {
  std::lock_guard lock(mutex_);
  work_.emplace_back(work, argument);
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  wake_.notify_one();
}

void OwnEnv::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !work_.empty(); });
    if (work_.empty()) return;
    auto [work, argument] = work_.front();
    work_.pop_front();
    lock.unlock();
    work(argument);
    lock.lock();
  }
}

leveldb::Status OwnEnv::RemoveFile(const std::string& path) {
  if (removal_ == Removal::keeps) return leveldb::Status::OK();
  return target()->RemoveFile(path);
}

leveldb::Status OwnEnv::NewLogger(const std::string&, leveldb::Logger** logger) {
  *logger = new NoLogger;  // LevelDB's own: it deletes it
  return leveldb::Status::OK();
}

Fault statusFault(const std::string& who, const leveldb::Status& status) {
  std::string words = status.ToString();
  auto says = [&](int errorNumber) {
    return words.find(std::generic_category().message(errorNumber)) != std::string::npos;
  };
  ErrorCode code = ErrorCode::io;  // a Status has no errno, only its words
  if (status.IsCorruption() || status.IsNotFound() || status.IsInvalidArgument()) {
    code = ErrorCode::corrupt;
  } else if (says(ENOSPC) || says(EDQUOT)) {
    code = ErrorCode::diskFull;
  }
  return Fault{code, who + ": " + words, {}};
}

}  // namespace flotilla::store
