// The threads for files: one for snapshots that come and go, plugins and records, one for snapshots
// that are saved. Never the log.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include <kj/async.h>
#include <kj/debug.h>
#include <kj/function.h>

#include "host/runtime/inbox.h"

namespace flotilla::runtime {

// Does one piece of blocking work after another, and brings its result back to the loop.
//
// Owner:  Host's parts; work under way is finished before its end.
// Thread: run on the loop, post from any; the work itself on this thread.
// Errors: what the work throws rejects the promise; work should answer a Result instead.
class IoThread {
public:
  // `name` is the thread's; a `patient` one gives way to those that others wait for.
  IoThread(Inbox& inbox, const char* name, bool patient);
  ~IoThread();
  KJ_DISALLOW_COPY(IoThread);

  // Ends it once it has done what was posted.
  void finish();
  // Ends it once it has done what it is at; what else was posted is dropped.
  void abandon();

  // Work whose result nobody here waits for.
  void post(kj::Function<void()> work);

  // The result of `work()`, on the loop. A dropped promise does not stop the work.
  template <typename Work>
  auto run(Work work) -> kj::Promise<decltype(work())> {
    using T = decltype(work());
    auto paf = kj::newPromiseAndFulfiller<T>();
    post([this, work = std::move(work), fulfiller = std::move(paf.fulfiller)]() mutable {
      kj::Maybe<T> result;
      kj::Maybe<kj::Exception> failure = kj::runCatchingExceptions([&]() { result = work(); });
      inbox_.post([fulfiller = std::move(fulfiller), result = std::move(result),
                   failure = std::move(failure)]() mutable {
        KJ_IF_MAYBE (exception, failure) {
          fulfiller->reject(kj::mv(*exception));
        } else {
          fulfiller->fulfill(kj::mv(KJ_ASSERT_NONNULL(result)));
        }
      });
    });
    return kj::mv(paf.promise);
  }

private:
  void loop();

  Inbox& inbox_;
  const char* name_;
  bool patient_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<kj::Function<void()>> work_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace flotilla::runtime
