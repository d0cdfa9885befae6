// The logs of all replicas of one volume: one row of frames, one thread that waits for the disk.
#include "host/store/log_volume.h"

#include <chrono>

#include "host/base/assert.h"
#include "host/base/thread.h"
#include "host/store/volume_writer.h"

namespace flotilla::store {

namespace {

constexpr auto kLookForRoom = std::chrono::milliseconds(200);
constexpr uint64_t kItemBytes = 256;  // of a write without entries, roughly
constexpr uint64_t kEntryBytes = 64;

uint64_t bytesOf(const group::DiskWrite& write) {
  uint64_t bytes = kItemBytes + kEntryBytes * write.entries.size();
  for (const group::LogEntry& entry : write.entries) bytes += entry.payload.size();
  return bytes;
}

}  // namespace

LogVolume::LogVolume(std::unique_ptr<VolumeWriter> writer)
    : writer_(std::move(writer)), status_(writer_->status()) {}

LogVolume::~LogVolume() {
  stop();
}

Result<std::unique_ptr<LogVolume>> LogVolume::open(VolumeOptions options, VolumeEvents& events) {
  std::vector<RecoveredReplica> recovered;
  auto writer = VolumeWriter::open(std::move(options), events, recovered);
  if (!writer) return writer.fault();
  std::unique_ptr<LogVolume> volume(new LogVolume(std::move(*writer)));
  volume->recovered_ = std::move(recovered);
  return volume;
}

std::vector<RecoveredReplica> LogVolume::recovered() {
  return std::exchange(recovered_, {});
}

void LogVolume::start() {
  ASSERT(!thread_.joinable());
  thread_ = std::thread([this] { run(); });
}

void LogVolume::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void LogVolume::submit(VolumeItem item) {
  queuedBytes_.fetch_add(item.bytes, std::memory_order_relaxed);
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(item));
    wake = std::exchange(waiting_, false);
  }
  if (wake) wake_.notify_one();
}

void LogVolume::write(group::ReplicaKey replica, group::DiskWrite write) {
  uint64_t bytes = bytesOf(write);
  submit(VolumeItem{replica, std::move(write), bytes});
}

void LogVolume::fetch(group::ReplicaKey replica, group::DiskFetch fetch) {
  submit(VolumeItem{replica, fetch, 0});
}

void LogVolume::forget(group::ReplicaKey replica) {
  submit(VolumeItem{replica, Forget{}, kItemBytes});
}

VolumeStatus LogVolume::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

// Takes what is queued; false where the thread is to end.
bool LogVolume::waitForWork(std::vector<VolumeItem>& batch) {
  std::unique_lock lock(mutex_);
  status_ = writer_->status();
  bool full = writer_->state() == VolumeState::full;
  auto ready = [&] { return stopping_ || !queue_.empty() || writer_->wantsTurn(); };
  while (!ready()) {
    waiting_ = true;
    if (!full) {
      wake_.wait(lock);
    } else if (wake_.wait_for(lock, kLookForRoom) == std::cv_status::timeout) {
      break;
    }
  }
  waiting_ = false;
  batch.swap(queue_);
  return !stopping_ || !batch.empty() || (!full && writer_->wantsTurn());
}

void LogVolume::run() {
  base::nameThread("disk");
  writer_->begin();
  std::vector<VolumeItem> batch;
  auto lookedForRoom = std::chrono::steady_clock::now();
  while (waitForWork(batch)) {
    for (VolumeItem& item : batch) writer_->take(std::move(item));
    batch.clear();
    uint64_t done = writer_->turn();
    queuedBytes_.fetch_sub(done, std::memory_order_relaxed);
    if (writer_->state() != VolumeState::full) continue;
    auto now = std::chrono::steady_clock::now();
    if (now - lookedForRoom < kLookForRoom) continue;
    lookedForRoom = now;
    writer_->tryReopen();
  }
  writer_->end();
  std::lock_guard lock(mutex_);
  status_ = writer_->status();
}

}  // namespace flotilla::store
