// A client of a fake cluster.
#pragma once

#include <cstring>
#include <string>

#include <doctest/doctest.h>

#include "tests/client/fake_cluster.h"

namespace flotilla::test {

// On a loop whose clock the test moves.
//
// Owner:  a test.
// Thread: the test's.
// Errors: a wait that takes too long fails the test.
struct World {
  kj::EventLoop loop;
  kj::WaitScope scope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  FakeCluster cluster;
  client::ClientOptions options;
  kj::Own<client::Client> client;

  explicit World(uint64_t hosts = 3) : cluster(hosts) {
    options.addresses = {FakeCluster::addressOf(1)};
    options.token = "secret";
    cluster.groups["orders"];
  }

  client::Client& start() {
    client = kj::heap<client::Client>(timer, kj::heap<FakeNetwork>(cluster), options);
    return *client;
  }
  FakeGroup& group() { return cluster.groups.at("orders"); }

  // Lets everything happen that needs no time, and then time go by, until the promise is kept.
  template <typename T>
  T wait(kj::Promise<T> promise, uint64_t limitMs = 60'000) {
    for (uint64_t ms = 0; !promise.poll(scope); ms += 5) {
      REQUIRE(ms < limitMs);
      timer.advanceTo(timer.now() + 5 * kj::MILLISECONDS);
    }
    return promise.wait(scope);
  }

  kj::Promise<client::Outcome> put(uint64_t value, const std::string& group = "orders") {
    capnp::word words[2] = {};
    std::memcpy(static_cast<void*>(&words[1]), &value, sizeof(value));
    return client->group(group)->call({1, 0}, kj::arrayPtr(words, 2));
  }
  kj::Promise<client::Outcome> get(client::Freshness freshness = {}) {
    capnp::word words[1] = {};
    return client->group("orders")->query({1, 1}, kj::arrayPtr(words, 1), freshness);
  }
};

inline std::string codeOf(const client::Outcome& outcome) {
  return outcome.ok() ? "ok" : std::string(nameOf(outcome.fault->code));
}

}  // namespace flotilla::test
