// A cluster for threads that have no event loop.
#pragma once

#include <string>
#include <thread>
#include <utility>

#include <kj/async.h>

#include "sdk/client/client.h"

namespace flotilla::client {

// A client with a loop and a thread of its own, which any thread may ask and wait for:
//
//   BlockingClient blocking(options);
//   auto revision = blocking.run([&](Client& client) {
//     auto request = client.group("orders")->as<Kv>().putRequest();
//     request.setKey("k");
//     return request.send().then([](auto&& response) { return response.getRevision(); });
//   });
//
// Calls of several threads meet on its loop and travel together, as calls of one do.
//
// Owner:  the application. Whoever is inside `run` or `call` must have come back before its end.
// Thread: any, several at a time; not one with a KJ loop, which it would stop.
// Errors: run throws what its promise was rejected with (read it with faultOf); call and query
//         never throw, and the constructor throws where no thread can be had.
// Time:   a call ends within ClientOptions::callTimeoutMs.
class BlockingClient {
public:
  explicit BlockingClient(ClientOptions options);
  ~BlockingClient();
  KJ_DISALLOW_COPY(BlockingClient);

  // Runs `body(Client&)` on the loop; what its promise gives, or what it gives itself, must not
  // refer to the loop (no capability, no response: take the values out of it).
  template <typename Body>
  auto run(Body&& body) {
    return executor_->executeSync([this, &body]() { return body(*client_); });
  }

  // A command and a query by flat words; the answer is a copy.
  Outcome call(const std::string& group, MethodId method, kj::ArrayPtr<const capnp::word> params);
  Outcome query(const std::string& group, MethodId method, kj::ArrayPtr<const capnp::word> params,
                Freshness freshness = {});

private:
  struct Start;
  void serve(ClientOptions options, Start& start);

  // Set by the thread before the constructor ends.
  Client* client_ = nullptr;
  kj::Own<const kj::Executor> executor_;
  kj::Own<kj::PromiseFulfiller<void>> stop_;  // the loop's
  std::thread thread_;
};

}  // namespace flotilla::client
