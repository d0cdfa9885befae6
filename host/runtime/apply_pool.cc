// The threads on which machines run.
#include "host/runtime/apply_pool.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "host/base/assert.h"
#include "host/base/prefetch.h"
#include "host/base/thread.h"

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

// The lanes that wait for one kind of worker, and the workers. A lane whose hurry grew while it was
// queued stands in both rows; who comes to it in the row that it is no longer of passes it over.
struct ApplyPool::Row {
  std::deque<Idle> places;  // a worker's each; they stay until all are gone
  // The last to have come is called first: with little to do one worker stays warm, and with it
  // what it has in its caches of the machine it was in.
  std::vector<Idle*> idle;
  std::deque<std::shared_ptr<Lane>> queue;
  std::vector<Lane*> inside;  // lanes that a worker is in
  std::size_t workers = 0;

  void fetchAhead() const;
};

// One that is not queued here any more has a worker in it, perhaps.
void ApplyPool::Row::fetchAhead() const {
  if (queue.size() > 1) base::prefetch(queue[1].get(), kLaneBytes);
  if (!queue.empty() && queue.front()->state_ == Lane::State::queued) queue.front()->prefetch();
}

struct ApplyPool::Shared {
  std::mutex mutex;
  std::array<Row, 2> rows;  // by hurry
  std::condition_variable home;
  std::size_t queued = 0;  // lanes
  bool stopping = false;

  Row& row(Hurry hurry) { return rows[static_cast<std::size_t>(hurry)]; }
  Idle* enqueue(std::shared_ptr<Lane> lane, Hurry hurry);
  Idle* toRow(std::shared_ptr<Lane> lane, Hurry hurry);
  std::shared_ptr<Lane> next(Hurry kind, std::vector<std::shared_ptr<Lane>>& leaving);
  static std::size_t stuck(const Row& among, int64_t stuckUs);
};

ApplyPool::ApplyPool(std::size_t workers, Names names)
    : shared_(std::make_shared<Shared>()), wanted_(workers), names_(names) {
  for (std::size_t i = 0; i < workers; ++i) {
    addWorker(Hurry::some);
    if (names_.patient != nullptr) addWorker(Hurry::none);
  }
}

ApplyPool::~ApplyPool() {
  if (!threads_.empty()) stop(0);
}

const char* ApplyPool::nameOf(Hurry kind) const {
  return kind == Hurry::some ? names_.prompt : names_.patient;
}

void ApplyPool::addWorker(Hurry kind) {
  {
    std::lock_guard lock(shared_->mutex);
    ++shared_->row(kind).workers;
  }
  threads_.emplace_back(workerLoop, shared_, kind, nameOf(kind));
}

// The first that waits for this kind of worker; null where none does. What is passed over may have
// no other holder.
std::shared_ptr<Lane> ApplyPool::Shared::next(Hurry kind,
                                              std::vector<std::shared_ptr<Lane>>& leaving) {
  std::deque<std::shared_ptr<Lane>>& queue = row(kind).queue;
  while (!queue.empty()) {
    std::shared_ptr<Lane> lane = std::move(queue.front());
    queue.pop_front();
    if (lane->state_ != Lane::State::queued || lane->hurry_ != kind) {
      leaving.push_back(std::move(lane));
      continue;
    }
    --queued;
    lane->state_ = Lane::State::working;
    lane->hurry_ = Hurry::none;
    return lane;
  }
  return nullptr;
}

void ApplyPool::workerLoop(std::shared_ptr<Shared> shared, Hurry kind, const char* name) {
  base::nameThread(name);
  if (kind == Hurry::none) base::giveWay();
  std::unique_lock lock(shared->mutex);
  Hurry other = kind == Hurry::some ? Hurry::none : Hurry::some;
  Row& row = shared->row(kind);
  Idle& me = row.places.emplace_back();
  std::vector<std::shared_ptr<Lane>> leaving;
  while (true) {
    std::shared_ptr<Lane> lane = shared->next(kind, leaving);
    if (lane == nullptr && shared->stopping) lane = shared->next(other, leaving);
    if (lane == nullptr && !leaving.empty()) {
      lock.unlock();
      leaving.clear();  // their ends must not run under the lock
      lock.lock();
      continue;
    }
    if (lane == nullptr) {
      if (shared->stopping) break;  // nothing is left to do
      me.called = false;
      row.idle.push_back(&me);
      me.ready.wait(lock, [&]() { return me.called; });
      continue;
    }
    row.fetchAhead();
    lane->sinceUs_ = nowUs();
    lane->patiently_ = kind == Hurry::none;
    row.inside.push_back(lane.get());
    lock.unlock();
    leaving.clear();
    lane->work();
    lock.lock();
    row.inside.erase(std::find(row.inside.begin(), row.inside.end(), lane.get()));
    lane->sinceUs_ = 0;
    if (lane->state_ != Lane::State::workingAndQueued) {
      lane->state_ = Lane::State::idle;
      if (lane.use_count() > 1) {
        leaving.push_back(std::move(lane));  // its other holders may go before this worker does
        continue;
      }
      lock.unlock();  // before another waits here for what may be a long end
      lane.reset();
      lock.lock();
      continue;
    }
    Hurry hurry = lane->hurry_;
    Idle* called = shared->toRow(std::move(lane), hurry);  // at the end: the others come first
    if (called == nullptr) continue;
    lock.unlock();
    called->ready.notify_one();
    lock.lock();
  }
  --row.workers;
  shared->home.notify_all();
}

void ApplyPool::schedule(std::shared_ptr<Lane> lane, Hurry hurry) {
  Ready one{std::move(lane), hurry};
  schedule({&one, 1});
}

void ApplyPool::schedule(std::span<Ready> lanes) {
  std::array<Idle*, 2 * kWorkersMax> called;  // each worker at most once
  std::size_t calledCount = 0;
  {
    std::lock_guard lock(shared_->mutex);
    for (Ready& each : lanes) {
      Hurry hurry = names_.patient == nullptr ? Hurry::some : each.hurry;
      bool full = shared_->row(Hurry::none).queue.size() >= kPatientLanesMax;
      if (full && each.lane->state_ == Lane::State::idle) hurry = Hurry::some;
      Idle* one = shared_->enqueue(std::move(each.lane), hurry);
      if (one == nullptr) continue;
      ASSERT(calledCount < called.size());
      called[calledCount++] = one;
    }
  }
  // Who wakes finds the lock free.
  for (std::size_t i = 0; i < calledCount; ++i) called[i]->ready.notify_one();
}

// The worker to wake; null where one will come by itself.
ApplyPool::Idle* ApplyPool::Shared::enqueue(std::shared_ptr<Lane> lane, Hurry hurry) {
  switch (lane->state_) {
    case Lane::State::idle:
      return toRow(std::move(lane), hurry);
    case Lane::State::working:
    case Lane::State::workingAndQueued:
      lane->state_ = Lane::State::workingAndQueued;
      lane->hurry_ = std::max(lane->hurry_, hurry);
      return nullptr;
    case Lane::State::queued:
      if (hurry <= lane->hurry_) return nullptr;
      --queued;
      return toRow(std::move(lane), hurry);
  }
  return nullptr;
}

ApplyPool::Idle* ApplyPool::Shared::toRow(std::shared_ptr<Lane> lane, Hurry hurry) {
  ++queued;
  lane->state_ = Lane::State::queued;
  lane->hurry_ = hurry;
  Row& to = row(hurry);
  to.queue.push_back(std::move(lane));
  if (to.idle.empty()) return nullptr;
  Idle* called = to.idle.back();
  to.idle.pop_back();
  called->called = true;
  return called;
}

void ApplyPool::hurry(const std::shared_ptr<Lane>& lane) {
  Idle* called = nullptr;
  {
    std::lock_guard lock(shared_->mutex);
    bool queued =
        lane->state_ == Lane::State::queued || lane->state_ == Lane::State::workingAndQueued;
    if (queued) called = shared_->enqueue(lane, Hurry::some);
  }
  if (called != nullptr) called->ready.notify_one();
}

int64_t ApplyPool::busyUs(const Lane& lane) const {
  std::lock_guard lock(shared_->mutex);
  return lane.sinceUs_ == 0 ? 0 : std::max<int64_t>(heldUs(lane, nowUs()), 1);
}

int64_t ApplyPool::heldUs(const Lane& lane, int64_t now) {
  constexpr int64_t kPatientTimes = 10;
  return (now - lane.sinceUs_) / (lane.patiently_ ? kPatientTimes : 1);
}

std::size_t ApplyPool::Shared::stuck(const Row& among, int64_t stuckUs) {
  int64_t now = nowUs();
  return static_cast<std::size_t>(
      std::count_if(among.inside.begin(), among.inside.end(),
                    [&](const Lane* lane) { return heldUs(*lane, now) > stuckUs; }));
}

std::size_t ApplyPool::stuck(int64_t stuckUs) const {
  std::lock_guard lock(shared_->mutex);
  std::size_t all = 0;
  for (const Row& row : shared_->rows) all += shared_->stuck(row, stuckUs);
  return all;
}

std::size_t ApplyPool::queued() const {
  std::lock_guard lock(shared_->mutex);
  return shared_->queued;
}

void ApplyPool::relieve(int64_t stuckUs) {
  for (Hurry kind : {Hurry::some, Hurry::none}) {
    if (nameOf(kind) == nullptr) continue;
    std::size_t missing = 0;
    {
      std::lock_guard lock(shared_->mutex);
      Row& row = shared_->row(kind);
      std::size_t wanted = std::min(wanted_ + shared_->stuck(row, stuckUs), kWorkersMax);
      missing = wanted - std::min(wanted, row.workers);
    }
    for (; missing != 0; --missing) addWorker(kind);
  }
}

bool ApplyPool::stop(int64_t waitUs) {
  bool home = false;
  {
    std::unique_lock lock(shared_->mutex);
    shared_->stopping = true;
    for (Row& row : shared_->rows) {
      for (Idle* worker : std::exchange(row.idle, {})) {
        worker->called = true;
        worker->ready.notify_one();
      }
    }
    home = shared_->home.wait_for(lock, std::chrono::microseconds(waitUs), [&]() {
      return std::all_of(shared_->rows.begin(), shared_->rows.end(),
                         [](const Row& row) { return row.workers == 0; });
    });
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
