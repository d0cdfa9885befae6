// The way from other threads into the loop: a mailbox whose wake is an eventfd.
#include "host/runtime/inbox.h"

#include <cstdint>
#include <limits>
#include <sys/eventfd.h>
#include <unistd.h>

#include <kj/debug.h>

namespace flotilla::runtime {
namespace {

int makeWakeFd() {
  int fd;
  KJ_SYSCALL(fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  return fd;
}

}  // namespace

Inbox::Inbox(kj::UnixEventPort& port)
    : wakeFd_(makeWakeFd()),
      observer_(port, wakeFd_, kj::UnixEventPort::FdObserver::OBSERVE_READ),
      mailbox_(std::numeric_limits<std::size_t>::max(), [fd = wakeFd_.get()]() {
        uint64_t one = 1;
        // A full counter means that a wake is due already.
        [[maybe_unused]] ssize_t written = ::write(fd, &one, sizeof one);
      }) {}

kj::Promise<void> Inbox::run() {
  return observer_.whenBecomesReadable().then([this]() {
    drain();
    return run();
  });
}

void Inbox::drain() {
  uint64_t count = 0;
  // The whole counter comes at once. What is posted from now on makes it readable again.
  [[maybe_unused]] ssize_t got = ::read(wakeFd_, &count, sizeof count);
  runAll();
}

void Inbox::runAll() {
  mailbox_.takeAll(batch_);
  for (Task& task : batch_) task();
  batch_.clear();
}

}  // namespace flotilla::runtime
