// The threads on which machines run.
#include "host/runtime/apply_pool.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "host/base/prefetch.h"
#include "host/base/thread_name.h"

namespace flotilla::runtime {
namespace {

constexpr std::size_t kLaneBytes = 512;  // of a lane's own, fetched ahead

int64_t nowUs() {
  auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(since).count();
}

}  // namespace

// One worker, while it waits.
struct ApplyPool::Idle {
  std::condition_variable ready;
  bool called = false;
};

struct ApplyPool::Shared {
  std::mutex mutex;
  std::deque<Idle> places;  // a worker's each; they stay until all are gone
  // The last to have come is called first: with little to do one worker stays warm, and with it
  // what it has in its caches of the machine it was in.
  std::vector<Idle*> idle;
  std::condition_variable home;
  std::deque<std::shared_ptr<Lane>> queue;
  std::vector<Lane*> inside;  // lanes that a worker is in
  std::size_t workers = 0;
  bool stopping = false;
};

ApplyPool::ApplyPool(std::size_t workers, const char* name)
    : shared_(std::make_shared<Shared>()), wanted_(workers), name_(name) {
  for (std::size_t i = 0; i < workers; ++i) addWorker();
}

ApplyPool::~ApplyPool() {
  if (!threads_.empty()) stop(0);
}

void ApplyPool::addWorker() {
  {
    std::lock_guard lock(shared_->mutex);
    ++shared_->workers;
  }
  threads_.emplace_back(workerLoop, shared_, name_);
}

void ApplyPool::workerLoop(std::shared_ptr<Shared> shared, const char* name) {
  base::nameThread(name);
  std::unique_lock lock(shared->mutex);
  Idle& me = shared->places.emplace_back();
  while (true) {
    if (shared->queue.empty()) {
      if (shared->stopping) break;  // nothing is left to do
      me.called = false;
      shared->idle.push_back(&me);
      me.ready.wait(lock, [&]() { return me.called; });
      continue;
    }
    std::shared_ptr<Lane> lane = std::move(shared->queue.front());
    shared->queue.pop_front();
    if (shared->queue.size() > 1) base::prefetch(shared->queue[1].get(), kLaneBytes);
    if (!shared->queue.empty()) shared->queue.front()->prefetch();
    lane->state_ = Lane::State::working;
    lane->sinceUs_ = nowUs();
    shared->inside.push_back(lane.get());
    lock.unlock();
    lane->work();
    lock.lock();
    shared->inside.erase(std::find(shared->inside.begin(), shared->inside.end(), lane.get()));
    lane->sinceUs_ = 0;
    if (lane->state_ == Lane::State::workingAndQueued) {
      lane->state_ = Lane::State::queued;
      shared->queue.push_back(std::move(lane));  // at the end: the others come first
    } else {
      lane->state_ = Lane::State::idle;
      // A lane's last holder may be this worker; its end must not run under the lock.
      lock.unlock();
      lane.reset();
      lock.lock();
    }
  }
  --shared->workers;
  shared->home.notify_all();
}

void ApplyPool::schedule(const std::shared_ptr<Lane>& lane) {
  Idle* called = nullptr;
  {
    std::lock_guard lock(shared_->mutex);
    called = enqueue(lane);
  }
  if (called != nullptr) called->ready.notify_one();  // who wakes finds the lock free
}

// The worker to wake; null where one will come by itself.
ApplyPool::Idle* ApplyPool::enqueue(const std::shared_ptr<Lane>& lane) {
  switch (lane->state_) {
    case Lane::State::idle: {
      lane->state_ = Lane::State::queued;
      shared_->queue.push_back(lane);
      if (shared_->idle.empty()) return nullptr;
      Idle* called = shared_->idle.back();
      shared_->idle.pop_back();
      called->called = true;
      return called;
    }
    case Lane::State::working:
      lane->state_ = Lane::State::workingAndQueued;
      break;
    case Lane::State::queued:
    case Lane::State::workingAndQueued:
      break;
  }
  return nullptr;
}

int64_t ApplyPool::busyUs(const Lane& lane) const {
  std::lock_guard lock(shared_->mutex);
  return lane.sinceUs_ == 0 ? 0 : nowUs() - lane.sinceUs_;
}

std::size_t ApplyPool::stuck(int64_t stuckUs) const {
  std::lock_guard lock(shared_->mutex);
  int64_t now = nowUs();
  return static_cast<std::size_t>(
      std::count_if(shared_->inside.begin(), shared_->inside.end(),
                    [&](const Lane* lane) { return now - lane->sinceUs_ > stuckUs; }));
}

std::size_t ApplyPool::queued() const {
  std::lock_guard lock(shared_->mutex);
  return shared_->queue.size();
}

void ApplyPool::relieve(int64_t stuckUs) {
  std::size_t held = stuck(stuckUs);
  while (threads_.size() < std::min(wanted_ + held, kWorkersMax)) addWorker();
}

bool ApplyPool::stop(int64_t waitUs) {
  bool home = false;
  {
    std::unique_lock lock(shared_->mutex);
    shared_->stopping = true;
    for (Idle* worker : std::exchange(shared_->idle, {})) {
      worker->called = true;
      worker->ready.notify_one();
    }
    home = shared_->home.wait_for(lock, std::chrono::microseconds(waitUs),
                                  [&]() { return shared_->workers == 0; });
  }
  for (std::thread& thread : threads_) {
    if (home) {
      thread.join();
    } else {
      thread.detach();
    }
  }
  threads_.clear();
  return home;
}

}  // namespace flotilla::runtime
