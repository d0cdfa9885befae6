// The threads for files.
#include "host/runtime/io_thread.h"

#include "host/base/thread.h"

namespace flotilla::runtime {

IoThread::IoThread(Inbox& inbox, const char* name, bool patient)
    : inbox_(inbox), name_(name), patient_(patient), thread_([this]() { loop(); }) {}

IoThread::~IoThread() {
  finish();
}

void IoThread::finish() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void IoThread::abandon() {
  std::deque<kj::Function<void()>> dropped;
  {
    std::lock_guard lock(mutex_);
    std::swap(dropped, work_);
  }
  finish();
}

void IoThread::post(kj::Function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    work_.push_back(kj::mv(work));
  }
  ready_.notify_one();
}

void IoThread::loop() {
  base::nameThread(name_);
  if (patient_) base::giveWay();
  std::unique_lock lock(mutex_);
  while (true) {
    ready_.wait(lock, [this]() { return stopping_ || !work_.empty(); });
    if (work_.empty()) return;
    kj::Function<void()> work = kj::mv(work_.front());
    work_.pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
}

}  // namespace flotilla::runtime
