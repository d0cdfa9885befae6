// Hosts that talk to each other over wires in one process.
#include <algorithm>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "host/net/gathering_stream.h"
#include "host/net/refusal.h"
#include "schemas/client.capnp.h"
#include "tests/net/test_host.h"

#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

namespace flotilla {
namespace {

using test::Loop;
using test::Pair;
using test::statusOf;
using test::TestHost;
using test::troubleOf;
using test::Wires;

template <typename T>
std::string failureOf(Loop& loop, kj::Promise<T> promise) {
  std::string text = "it did not fail";
  promise
      .then([](T&&) {}, [&text](kj::Exception&& exception) { text = net::faultOf(exception).text; })
      .wait(loop.scope);
  return text;
}

// Answers hello like a host and takes frames, but never answers one.
class MutePeer final : public schema::Peer::Server {
public:
  explicit MutePeer(net::Handshake self) : self_(std::move(self)) {}

protected:
  kj::Promise<void> hello(HelloContext context) override {
    net::encode(self_, context.getResults().initYours());
    return kj::READY_NOW;
  }
  kj::Promise<void> frame(FrameContext) override { return kj::NEVER_DONE; }

private:
  net::Handshake self_;
};

class MuteGate final : public schema::Gate::Server {
public:
  explicit MuteGate(net::Handshake self) : self_(std::move(self)) {}

protected:
  kj::Promise<void> login(LoginContext context) override {
    auto session = context.getResults().initSession();
    session.setRole(schema::Role::PEER);
    session.setPeer(schema::Peer::Client(kj::heap<MutePeer>(self_)));
    return kj::READY_NOW;
  }

private:
  net::Handshake self_;
};

struct MuteServer {
  MuteServer(kj::Own<kj::AsyncIoStream> itsStream, net::Handshake self)
      : stream(kj::mv(itsStream)),
        network(*stream, capnp::rpc::twoparty::Side::SERVER),
        rpc(capnp::makeRpcServer(network,
                                 capnp::Capability::Client(kj::heap<MuteGate>(std::move(self))))) {}
  kj::Own<kj::AsyncIoStream> stream;
  capnp::TwoPartyVatNetwork network;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc;
};

}  // namespace

TEST_CASE("net/peer_network: two hosts meet and tell so") {
  Pair pair;
  pair.meet();
  CHECK(pair.one.events == std::vector<std::string>{"up h2"});
  CHECK(pair.two.events == std::vector<std::string>{"up h1"});
  CHECK(pair.one.network->isUp(2));
  CHECK(statusOf(pair.one).theirs == pair.two.self);
}

TEST_CASE("net/peer_network: what is sent in one turn of the loop goes as one frame, in order") {
  Pair pair;
  pair.meet();
  for (uint64_t i = 0; i < 100; ++i) {
    pair.one.network->send(2, i % 2 == 0 ? test::heartbeat(7, i) : test::append(7, i, {"abc"}));
  }
  pair.loop.settle();
  REQUIRE(pair.two.messages.size() == 100);
  CHECK(pair.two.frameSizes == std::vector<size_t>{100});
  for (uint64_t i = 0; i < 100; ++i) CHECK(pair.two.messages[i].message.commit == i);
}

TEST_CASE("net/peer_network: frames keep their order past the frames in flight") {
  Pair pair;
  pair.one.config.frameBytesMax = 1;  // a message a frame
  pair.one.config.framesInFlightMax = 12;
  pair.one.connect();
  pair.meet();
  for (uint64_t i = 0; i < 200; ++i) pair.one.network->send(2, test::append(i, i, {"abc"}));
  pair.loop.settle();
  REQUIRE(pair.two.messages.size() == 200);
  CHECK(pair.two.frameSizes.size() == 200);
  for (uint64_t i = 0; i < 200; ++i) CHECK(pair.two.messages[i].group == i);
}

TEST_CASE("net/peer_network: beats arrive beside frames, under their sender's name") {
  Pair pair;
  pair.one.network->sendBeat(2, {1, 2});  // not connected yet: as if lost
  pair.meet();
  CHECK(pair.one.network->hosts() == std::vector<uint64_t>{2});
  pair.one.network->sendBeat(2, {7, 0x1234});
  pair.loop.settle();
  pair.one.network->sendBeat(2, {7, 0x5678});
  pair.loop.settle();
  using Beats = std::vector<std::pair<uint64_t, group::Beat>>;
  CHECK(pair.two.beats == Beats{{1, {7, 0x1234}}, {1, {7, 0x5678}}});
}

TEST_CASE("net/peer_network: a peer that answers no beat is sent no more of them") {
  Pair pair;
  pair.meet();
  for (uint64_t i = 0; i < 100; ++i) pair.one.network->sendBeat(2, {7, i});
  pair.loop.settle();
  CHECK(pair.two.beats.size() == 4);
}

TEST_CASE("net/peer_network: a host of another cluster is refused by name") {
  Loop loop;
  Wires wires;
  TestHost one(loop, wires, 1, "demo");
  TestHost two(loop, wires, 2, "other");
  one.network->setPeer(2, two.address());
  loop.pass(50);
  CHECK(one.events.empty());
  CHECK(troubleOf(one, 2) == "host 1 is of cluster demo, this is cluster other");
}

TEST_CASE("net/peer_network: whoever dials judges too") {
  Pair pair;
  pair.one.births[2] = "an earlier birth of 2";
  pair.one.network->setPeer(2, pair.two.address());
  pair.loop.pass(50);
  CHECK(troubleOf(pair.one, 2) == "host 2 has another birth; replace it first");
  CHECK(pair.one.events.empty());
}

TEST_CASE("net/peer_network: a wrong token is said") {
  Pair pair;
  pair.one.config.token = "guessed";
  pair.one.connect();
  pair.one.network->setPeer(2, pair.two.address());
  pair.loop.pass(50);
  CHECK(troubleOf(pair.one, 2) == "login: the token is not known here");
}

TEST_CASE("net/peer_network: another host at the address is noticed") {
  Pair pair;
  pair.one.network->setPeer(3, pair.two.address());
  pair.loop.pass(50);
  CHECK(troubleOf(pair.one, 3) == "host 2 answers at its address");
}

TEST_CASE("net/peer_network: an address that is none is said, and a good one mends it") {
  Pair pair;
  pair.one.network->setPeer(2, "10.0.0.7");
  pair.loop.pass(50);
  CHECK(troubleOf(pair.one, 2) == "\"10.0.0.7\": no port; write it as host:port");
  CHECK(pair.wires.dials == 0);
  pair.one.network->setPeer(2, pair.two.address());
  pair.loop.pass(50);
  CHECK(pair.one.network->isUp(2));
}

TEST_CASE("net/peer_network: nothing is answered before hello") {
  Pair pair;
  schema::Peer::Client peer = net::makePeerService(pair.two, pair.loop.timer);
  auto frame = peer.frameRequest();
  frame.initFrame().initMessages(1);
  CHECK(failureOf(pair.loop, frame.send()) == "peer: a call before hello; say hello first");
  CHECK(failureOf(pair.loop, peer.statusRequest().send()) ==
        "peer: a call before hello; say hello first");
  CHECK(failureOf(pair.loop, peer.groupRequest().send()) ==
        "peer: a call before hello; say hello first");
  CHECK(pair.two.frameSizes.empty());
}

TEST_CASE("net/peer_network: a cut is noticed, what is sent meanwhile is dropped, it comes back") {
  Pair pair;
  pair.meet();
  pair.two.cutAll();
  pair.loop.settle();
  CHECK(pair.one.events == std::vector<std::string>{"up h2", "down h2"});
  CHECK(troubleOf(pair.one, 2) == "connection closed");
  pair.one.network->send(2, test::heartbeat(7, 1));
  CHECK(statusOf(pair.one).messagesDropped == 1);
  pair.loop.pass(200);
  CHECK(pair.one.events == std::vector<std::string>{"up h2", "down h2", "up h2"});
  pair.one.network->send(2, test::heartbeat(7, 2));
  pair.loop.settle();
  REQUIRE(pair.two.messages.size() == 1);
  CHECK(pair.two.messages[0].message.commit == 2);
}

TEST_CASE("net/peer_network: a restarted peer is met again, with its new boot number") {
  Loop loop;
  Wires wires;
  TestHost one(loop, wires, 1);
  auto two = std::make_unique<TestHost>(loop, wires, 2);
  one.network->setPeer(2, two->address());
  loop.pass(50);
  two.reset();
  loop.pass(3000);
  CHECK(troubleOf(one, 2) == "connection refused");
  two = std::make_unique<TestHost>(loop, wires, 2);
  two->self.bootNumber = 2;
  loop.pass(2100);  // the longest pause
  CHECK(one.events == std::vector<std::string>{"up h2", "down h2", "up h2"});
  CHECK(statusOf(one).theirs.bootNumber == 2);
}

TEST_CASE("net/peer_network: attempts grow apart, from 100 ms to 2 s") {
  Pair pair;
  pair.wires.fall(pair.two.address());
  pair.one.network->setPeer(2, pair.two.address());
  pair.loop.pass(1000);
  CHECK(pair.wires.dials >= 4);
  CHECK(pair.wires.dials <= 7);
  int before = pair.wires.dials;
  pair.loop.pass(20'000);
  CHECK(pair.wires.dials - before >= 9);
  CHECK(pair.wires.dials - before <= 22);
}

TEST_CASE("net/peer_network: a peer that answers no frame is given up, and costs bounded memory") {
  Pair pair;
  std::vector<std::unique_ptr<MuteServer>> servers;
  pair.wires.stand(pair.two.address(), [&](kj::Own<kj::AsyncIoStream> stream) {
    servers.push_back(std::make_unique<MuteServer>(kj::mv(stream), pair.two.self));
  });
  pair.one.config.queueBytesMax = 1 << 20;
  pair.one.connect();
  pair.one.network->setPeer(2, pair.two.address());
  pair.loop.pass(50);
  REQUIRE(pair.one.network->isUp(2));
  for (uint64_t i = 0; i < 1000; ++i) {
    pair.one.network->send(2, test::append(7, i, {std::string(10'000, 'x')}));
    pair.one.network->send(2, test::heartbeat(7, i));
    pair.loop.settle();
    CHECK(statusOf(pair.one).queuedBytes <= 1 << 20);
  }
  CHECK(statusOf(pair.one).framesSent == pair.one.config.framesInFlightMax);
  CHECK(statusOf(pair.one).messagesDropped > 800);
  pair.loop.pass(4900);
  CHECK(pair.one.network->isUp(2));
  pair.loop.pass(1500);
  CHECK(pair.one.events.at(1) == "down h2");
  CHECK(pair.one.events.size() >= 2);
}

TEST_CASE("net/peer_network: forwards reaches groups, status, control and plugins over there") {
  Pair pair;
  pair.meet();
  schema::Peer::Client there = pair.one.network->forwards(2).wait(pair.loop.scope);
  auto group = there.groupRequest();
  group.setId(42);
  auto session = group.send().getGroup().openSessionRequest().send().wait(pair.loop.scope);
  CHECK(session.getSession() == 42);
  CHECK(there.statusRequest().send().wait(pair.loop.scope).getHost().getId() == 2);
  auto control = there.controlRequest();
  control.setArgument(6);
  CHECK(control.send().wait(pair.loop.scope).getValue() == 7);
  group = there.groupRequest();
  group.setId(404);
  CHECK(failureOf(pair.loop, group.send()) == "group 404: not on this host");
  int dials = pair.wires.dials;
  pair.one.network->forwards(2).wait(pair.loop.scope);
  CHECK(pair.wires.dials == dials);  // the same connection
}

TEST_CASE("net/peer_network: forwards to a host that is down fails at once") {
  Pair pair;
  CHECK(failureOf(pair.loop, pair.one.network->forwards(2)) == "peer h2: not known here");
  pair.meet();
  schema::Peer::Client there = pair.one.network->forwards(2).wait(pair.loop.scope);
  pair.wires.fall(pair.two.address());
  pair.two.cutAll();
  pair.loop.settle();
  CHECK(failureOf(pair.loop, pair.one.network->forwards(2)) == "peer h2: down (connection closed)");
  CHECK(failureOf(pair.loop, there.statusRequest().send()) == "connection closed");
}

TEST_CASE("net/peer_network: greet hears what has changed since the handshake") {
  Pair pair;
  pair.meet();
  pair.two.self.clusterId = pair.one.self.clusterId;
  pair.two.self.version = "0.2.0";
  CHECK(pair.one.network->greet(2).wait(pair.loop.scope).version == "0.2.0");
  CHECK(statusOf(pair.one).theirs.version == "0.2.0");
}

TEST_CASE("net/peer_network: a peer that moves is met at its new address") {
  Pair pair;
  pair.meet();
  pair.wires.fall(pair.two.address());
  pair.wires.stand("127.0.0.1:9000", [&](kj::Own<kj::AsyncIoStream>) {});
  pair.one.network->setPeer(2, "127.0.0.1:9000");
  pair.loop.settle();
  CHECK(pair.one.events == std::vector<std::string>{"up h2", "down h2"});
  CHECK(statusOf(pair.one).address == "127.0.0.1:9000");
  pair.two.listen();
  pair.one.network->setPeer(2, pair.two.address());
  pair.loop.pass(50);
  CHECK(pair.one.events.back() == "up h2");
}

TEST_CASE("net/peer_network: a peer may be moved or removed from inside its own up") {
  Pair pair;
  pair.one.onUp = [&](uint64_t host) { pair.one.network->removePeer(host); };
  pair.one.network->setPeer(2, pair.two.address());
  pair.loop.pass(50);
  CHECK(pair.one.events == std::vector<std::string>{"up h2", "down h2"});
  CHECK(pair.one.network->status().empty());

  int moves = 0;
  pair.one.events.clear();
  pair.one.onUp = [&](uint64_t host) {
    if (++moves == 1) pair.one.network->setPeer(host, "127.0.0.1:9000");
  };
  pair.one.network->setPeer(2, pair.two.address());
  pair.loop.pass(50);
  CHECK(pair.one.events == std::vector<std::string>{"up h2", "down h2"});
  CHECK(troubleOf(pair.one, 2) == "connection refused");
}

TEST_CASE("net/peer_network: our own id is no peer") {
  Pair pair;
  pair.one.network->setPeer(1, pair.one.address());
  pair.loop.pass(50);
  CHECK(pair.one.network->status().empty());
  CHECK(pair.wires.dials == 0);
}

}  // namespace flotilla
