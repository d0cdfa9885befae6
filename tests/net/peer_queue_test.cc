// The queue before a peer.
#include "host/net/peer_queue.h"

#include <string>

#include <doctest/doctest.h>

#include "host/net/codec.h"
#include "tests/net/test_host.h"

namespace flotilla {

using net::PeerQueue;
using test::append;
using test::heartbeat;

TEST_CASE("net/peer_queue: messages leave in the order in which they came") {
  PeerQueue queue(1 << 20);
  for (uint64_t i = 0; i < 10; ++i) queue.add(i % 3 == 0 ? append(1, i, {"x"}) : heartbeat(1, i));
  auto taken = queue.take(1 << 20, 4);
  REQUIRE(taken.size() == 4);
  for (auto& message : queue.take(1 << 20, 100)) taken.push_back(std::move(message));
  REQUIRE(taken.size() == 10);
  for (uint64_t i = 0; i < 10; ++i) CHECK(taken[i].message.commit == i);
  CHECK(queue.empty());
  CHECK(queue.bytes() == 0);
}

TEST_CASE("net/peer_queue: a frame ends with the message that fills it") {
  PeerQueue queue(1 << 20);
  for (uint64_t i = 0; i < 10; ++i) queue.add(append(1, i, {std::string(1000, 'x')}));
  CHECK(queue.take(2500, 100).size() == 3);
  CHECK(queue.take(1, 100).size() == 1);
}

TEST_CASE("net/peer_queue: past its bound it drops new appends and the oldest heartbeats") {
  uint64_t each = net::encodedBytes(heartbeat(1, 0));
  PeerQueue queue(4 * each);
  for (uint64_t i = 0; i < 4; ++i) queue.add(heartbeat(1, i));
  queue.add(append(1, 4, {"x"}));
  CHECK(queue.dropped() == 1);
  queue.add(heartbeat(1, 5));
  CHECK(queue.dropped() == 2);
  CHECK(queue.bytes() == 4 * each);
  auto taken = queue.take(1 << 20, 100);
  REQUIRE(taken.size() == 4);
  CHECK(taken.front().message.commit == 1);
  CHECK(taken.back().message.commit == 5);
}

TEST_CASE("net/peer_queue: appends leave room for what is not one") {
  PeerQueue queue(64'000);
  for (uint64_t i = 0; i < 100; ++i) queue.add(append(1, i, {std::string(1000, 'x')}));
  uint64_t dropped = queue.dropped();
  CHECK(dropped > 0);
  CHECK(queue.bytes() <= 60'000);
  for (uint64_t i = 0; i < 10; ++i) queue.add(heartbeat(1, 100 + i));
  CHECK(queue.dropped() == dropped);
  CHECK(queue.take(1 << 20, 1000).back().message.commit == 109);
}

TEST_CASE("net/peer_queue: an empty queue takes an append larger than its bound") {
  PeerQueue queue(100);
  queue.add(append(1, 0, {std::string(5000, 'x')}));
  queue.add(append(1, 1, {"x"}));
  CHECK(queue.take(1, 10).size() == 1);
  CHECK(queue.dropped() == 1);
}

}  // namespace flotilla
