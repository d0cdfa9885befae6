// Threads without an event loop.
#include "sdk/client/blocking.h"

#include <cstring>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <kj/async-io.h>

#include "sdk/client/fault_text.h"
#include "tests/client/fake_cluster.h"

namespace {

using namespace flotilla;        // NOLINT(google-build-using-namespace)
using namespace flotilla::test;  // NOLINT(google-build-using-namespace)

// A fake cluster on this thread's loop; `body` runs on another, with where it listens.
template <typename Body>
void beside(FakeCluster& cluster, Body body) {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  auto address = io.provider->getNetwork().parseAddress("127.0.0.1", 0).wait(io.waitScope);
  auto receiver = address->listen();
  client::ClientOptions options;
  options.addresses = {"127.0.0.1:" + std::to_string(receiver->getPort())};
  options.token = "secret";
  kj::Promise<void> serving = cluster.serve(*receiver);
  auto ended = kj::newPromiseAndCrossThreadFulfiller<void>();
  std::thread thread([&]() {
    body(options);
    ended.fulfiller->fulfill();
  });
  ended.promise.exclusiveJoin(kj::mv(serving)).wait(io.waitScope);
  thread.join();
  cluster.kill(1);  // its connections are this loop's
  kj::evalLast([]() {}).wait(io.waitScope);
}

client::Outcome put(client::BlockingClient& blocking, uint64_t value) {
  capnp::word words[2] = {};
  std::memcpy(static_cast<void*>(&words[1]), &value, sizeof(value));
  return blocking.call("orders", {1, 0}, kj::arrayPtr(words, 2));
}

}  // namespace

TEST_CASE("client/blocking: several threads call, wait, and share one session") {
  FakeCluster cluster(1);
  cluster.groups["orders"];
  beside(cluster, [](const client::ClientOptions& options) {
    client::BlockingClient blocking(options);
    std::vector<std::thread> threads;
    for (uint64_t i = 0; i < 4; ++i) {
      threads.emplace_back([&blocking, i]() {
        for (uint64_t k = 0; k < 5; ++k) CHECK(put(blocking, i * 5 + k).ok());
      });
    }
    for (std::thread& thread : threads) thread.join();
    capnp::word words[1] = {};
    CHECK(blocking.query("orders", {1, 1}, kj::arrayPtr(words, 1)).ok());
  });
  FakeGroup& group = cluster.groups.at("orders");
  CHECK(group.applied.size() == 20);
  CHECK(group.sessions.size() == 1);
  CHECK(group.queries == 1);
}

TEST_CASE("client/blocking: run gives values out of the loop, and what was thrown in it") {
  FakeCluster cluster(1);
  cluster.groups["orders"];
  beside(cluster, [](const client::ClientOptions& options) {
    client::BlockingClient blocking(options);
    std::string plugin = blocking.run([](client::Client& client) {
      return client.group("orders")->describe().then(
          [](std::shared_ptr<const client::Description>&& it) { return it->plugin; });
    });
    CHECK_FALSE(plugin.empty());
    try {
      blocking.run([](client::Client& client) {
        return client.group("none")->describe().then([](auto&&) {});
      });
      FAIL("described");
    } catch (const kj::Exception& exception) {
      CHECK(client::faultOf(exception).code == ErrorCode::noSuchGroup);
    }
  });
}
