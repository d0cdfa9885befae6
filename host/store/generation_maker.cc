// Makes a volume's next generation, and destroys old ones, beside the writing.
#include "host/store/generation_maker.h"

#include <chrono>
#include <utility>

#include "host/base/assert.h"
#include "host/base/thread.h"
#include "host/store/files.h"
#include "host/store/journal_env.h"

namespace flotilla::store {
namespace {

constexpr std::chrono::milliseconds kPause(20);  // between the pieces that a large file is freed in

}  // namespace

GenerationMaker::~GenerationMaker() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void GenerationMaker::post(std::function<void()> job, bool first) {
  std::lock_guard lock(mutex_);
  jobs_.insert(first ? jobs_.begin() : jobs_.end(), std::move(job));
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  changed_.notify_all();
}

void GenerationMaker::run() {
  base::nameThread("generations");
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // what it held ends here, not under the lock
    lock.lock();
  }
}

void GenerationMaker::begin(const Generation::Options& options) {
  ASSERT(!begun_);
  begun_ = options.listed.number;
  post(
      [this, options] {
        auto made = Generation::make(options);
        std::lock_guard lock(mutex_);
        made_ = std::move(made);
        changed_.notify_all();
      },
      true);
}

Result<std::unique_ptr<Generation>> GenerationMaker::take() {
  ASSERT(begun_);
  begun_.reset();
  std::unique_lock lock(mutex_);
  wanted_ = true;
  changed_.notify_all();
  changed_.wait(lock, [this] { return made_.has_value(); });
  wanted_ = false;
  Result<std::unique_ptr<Generation>> made = std::move(*made_);
  made_.reset();
  return made;
}

void GenerationMaker::destroy(std::unique_ptr<Generation> generation, std::string path,
                              uint64_t journalBytes) {
  // A std::function must be copyable.
  std::shared_ptr<Generation> last = std::move(generation);
  post(
      [this, last = std::move(last), path = std::move(path), journalBytes]() mutable {
        last.reset();  // which may write to its journal once more
        bool room = journalBytes == 0 || keepJournals(path, journalBytes);
        auto removed = removeTree(path, [this] { return pause(); });
        if (removed && !room) {
          removed = store::removeSpares(parentOf(path), [this] { return pause(); });
        }
        if (removed) return;
        std::lock_guard lock(mutex_);
        if (!trouble_) trouble_ = removed.fault();
      },
      false);
}

void GenerationMaker::removeSpares(std::string path) {
  auto remove = [this, path = std::move(path)] {
    auto removed = store::removeSpares(path, [this] { return pause(); });
    std::lock_guard lock(mutex_);
    if (!removed && !trouble_) trouble_ = removed.fault();
  };
  post(std::move(remove), true);
}

bool GenerationMaker::pause() {
  std::unique_lock waiting(mutex_);
  changed_.wait_for(waiting, kPause, [this] { return stopping_ || wanted_; });
  return !stopping_ && !wanted_;
}

std::optional<Fault> GenerationMaker::trouble() {
  std::lock_guard lock(mutex_);
  return std::exchange(trouble_, std::nullopt);
}

}  // namespace flotilla::store
