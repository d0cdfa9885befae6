// A promise that has to be kept in time.
#pragma once

#include <kj/async.h>
#include <kj/timer.h>

#include "sdk/client/fault_text.h"

namespace flotilla::client {

// Rejected with `late` when nothing came of it by then; the promise is dropped.
template <typename T>
kj::Promise<T> within(kj::Timer& timer, kj::Duration limit, kj::Promise<T>&& promise, Fault late) {
  return promise.exclusiveJoin(timer.afterDelay(limit).then(
      [late = std::move(late)]() -> kj::Promise<T> { return exceptionOf(late); }));
}

}  // namespace flotilla::client
