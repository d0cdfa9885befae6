// How the bench's calls reach their groups.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <kj/async-io.h>

#include "sdk/client/client.h"
#include "sdk/flotilla/result.h"
#include "tests/bench/options.h"
#include "tests/bench/written.h"

namespace flotilla::bench {

// One call under way. It travels with its callback: a table of tens of thousands of calls would be
// read from memory anew at each end, which costs as much as a quarter of the client.
struct Call {
  int64_t dueNs = 0;
  KeyId key;
  uint64_t put = 0;  // its number; 0: a get
};

// How one call ended.
struct Ended {
  const Fault* fault = nullptr;  // null: well
  bool found = false;            // get: there is such a key
  std::string_view value;        // get: dies with the call
};

// Told of every call's end, once; from the loop, never from inside `put` or `get`.
//
// Thread: the loop's. Errors: none.
class Sink {
public:
  virtual ~Sink() noexcept(false) = default;
  virtual void ended(const Call& call, const Ended& end) = 0;
};

// One connection's way to all groups.
//
// Owner:  main; outlives its calls.
// Thread: the loop's.
// Errors: each call's in its end.
class Road {
public:
  virtual ~Road() noexcept(false) = default;
  // Ends when the first calls can be made without a detour; rejected where that cannot be.
  virtual kj::Promise<void> open() = 0;
  virtual void put(const Call& call, std::string_view key, std::string_view value) = 0;
  virtual void get(const Call& call, std::string_view key) = 0;
};

// Through sdk/client: calls are gathered, stamped and repeated.
std::unique_ptr<Road> sdkRoad(kj::AsyncIoContext& io, const client::ClientOptions& access,
                              const Options& options, Sink& sink);
// As any Cap'n Proto client would: the group's own capability at its leader, a request a call.
std::unique_ptr<Road> rawRoad(kj::AsyncIoContext& io, const client::ClientOptions& access,
                              const Options& options, Sink& sink);

}  // namespace flotilla::bench
