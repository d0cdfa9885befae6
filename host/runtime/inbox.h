// The way from other threads into the loop.
#pragma once

#include <vector>

#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <kj/function.h>

#include "host/base/mailbox.h"

namespace flotilla::runtime {

// Runs on the loop what other threads hand in, in order, a whole batch a wake. What is handed in
// is one batch of a thread's work already (a frame's writes, a lane's answers), never one call.
//
// Owner:  Host's parts. The threads that post end before it does.
// Thread: post from any; the rest on the loop.
// Errors: none; a task that throws is a bug and ends the process through the loop's task set.
class Inbox {
public:
  using Task = kj::Function<void()>;

  explicit Inbox(kj::UnixEventPort& port);
  KJ_DISALLOW_COPY(Inbox);

  void post(Task task) { mailbox_.force(std::move(task)); }
  // What nobody waits for: it is run with what is posted next, or when the loop looks.
  void leave(Task task) { mailbox_.leave(std::move(task)); }
  // Runs what was left, in the order in which it and all else was handed in.
  void lookForLeft() {
    if (mailbox_.left()) runAll();
  }

  // Runs for ever; dropped when the host ends.
  kj::Promise<void> run();

private:
  void drain();
  void runAll();

  kj::AutoCloseFd wakeFd_;
  kj::UnixEventPort::FdObserver observer_;
  base::Mailbox<Task> mailbox_;
  std::vector<Task> batch_;
};

}  // namespace flotilla::runtime
