// Frames and credits that travel beside the calls of their connection.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <capnp/message.h>
#include <doctest/doctest.h>

#include "host/net/gathering_stream.h"
#include "host/net/refusal.h"
#include "schemas/client.capnp.h"
#include "sdk/client/message_pipe.h"
#include "tests/net/test_host.h"

#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

namespace flotilla {
namespace {

using test::Pair;
using test::statusOf;
using test::troubleOf;

// A host that counts how frames come, and says aside what it is told to.
struct OddServer {
  class Peer final : public schema::Peer::Server {
  public:
    explicit Peer(OddServer& server) : server_(server) {}

  protected:
    kj::Promise<void> hello(HelloContext context) override {
      net::encode(server_.self, context.getResults().initYours());
      context.getResults().setTakesAsides(server_.takesAsides);
      return kj::READY_NOW;
    }
    kj::Promise<void> frame(FrameContext) override {
      ++server_.calls;
      auto paf = kj::newPromiseAndFulfiller<void>();
      server_.answers.push_back(kj::mv(paf.fulfiller));
      return kj::mv(paf.promise);
    }

  private:
    OddServer& server_;
  };
  class Gate final : public schema::Gate::Server {
  public:
    explicit Gate(OddServer& server) : server_(server) {}

  protected:
    kj::Promise<void> login(LoginContext context) override {
      auto session = context.getResults().initSession();
      session.setRole(schema::Role::PEER);
      session.setPeer(schema::Peer::Client(kj::heap<Peer>(server_)));
      return kj::READY_NOW;
    }

  private:
    OddServer& server_;
  };

  OddServer(kj::Own<kj::AsyncIoStream> itsStream, net::Handshake itsSelf, bool takes)
      : self(std::move(itsSelf)),
        takesAsides(takes),
        stream(kj::mv(itsStream)),
        pipe(*stream),
        network(pipe, capnp::rpc::twoparty::Side::SERVER),
        rpc(capnp::makeRpcServer(network, capnp::Capability::Client(kj::heap<Gate>(*this)))) {
    pipe.onAside([this](capnp::AnyPointer::Reader) { ++asides; });
  }
  KJ_DISALLOW_COPY(OddServer);

  void credit(uint32_t frames) {
    capnp::MallocMessageBuilder message;
    client::MessagePipe::beginAside<schema::Aside>(message).setCredits(frames);
    pipe.sendAside(message);
  }

  net::Handshake self;
  bool takesAsides;
  int calls = 0;
  int asides = 0;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> answers;
  kj::Own<kj::AsyncIoStream> stream;
  client::MessagePipe pipe;
  capnp::TwoPartyVatNetwork network;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc;
};

// A host that has met an odd one under the name of 2.
struct OddPair {
  explicit OddPair(bool takesAsides,
                   const std::function<void(net::PeerNetworkConfig&)>& configure = {}) {
    if (configure) {
      configure(pair.one.config);
      pair.one.connect();
    }
    pair.wires.stand(pair.two.address(), [this, takesAsides](kj::Own<kj::AsyncIoStream> stream) {
      odd = std::make_unique<OddServer>(kj::mv(stream), pair.two.self, takesAsides);
    });
    pair.one.network->setPeer(2, pair.two.address());
    pair.loop.pass(50);
    REQUIRE(pair.one.network->isUp(2));
  }
  ~OddPair() { pair.one.network.reset(); }

  void send() {
    pair.one.network->send(2, test::heartbeat(7, 1));
    pair.loop.settle();
  }
  std::string trouble() {
    pair.loop.settle();
    return troubleOf(pair.one, 2);
  }

  Pair pair;
  std::unique_ptr<OddServer> odd;
};

}  // namespace

TEST_CASE("net/asides: a host that takes nothing aside is given frames as calls") {
  Pair pair;
  pair.two.takesAsides = false;
  pair.one.config.frameBytesMax = 1;
  pair.one.config.framesInFlightMax = 12;
  pair.one.connect();
  pair.meet();
  for (uint64_t i = 0; i < 200; ++i) pair.one.network->send(2, test::append(i, i, {"abc"}));
  for (uint64_t i = 0; i < 50; ++i) pair.two.network->send(1, test::append(i, i, {"abc"}));
  pair.loop.settle();
  REQUIRE(pair.two.messages.size() == 200);
  for (uint64_t i = 0; i < 200; ++i) CHECK(pair.two.messages[i].group == i);
  CHECK(pair.one.messages.size() == 50);
}

TEST_CASE("net/asides: frames that came aside are answered together, the last ones soon") {
  Pair pair;
  pair.one.config.framesInFlightMax = 8;
  pair.one.connect();
  pair.meet();
  for (uint64_t i = 0; i < 7; ++i) {
    pair.one.network->send(2, test::heartbeat(7, i));
    pair.loop.settle();
  }
  CHECK(pair.two.frameSizes.size() == 7);
  pair.loop.pass(20);  // which answers them: eight more may fly
  for (uint64_t i = 0; i < 8; ++i) {
    pair.one.network->send(2, test::heartbeat(7, i));
    pair.loop.settle();
  }
  CHECK(pair.two.frameSizes.size() == 15);
  CHECK(statusOf(pair.one).framesSent == 15);
}

TEST_CASE("net/asides: asides that are not to be end the connection") {
  for (int kind : {0, 1, 2}) {
    CAPTURE(kind);
    Pair pair;
    kj::TwoWayPipe wire = kj::newTwoWayPipe();
    auto shared = kj::refcounted<client::SharedPipe>();
    client::GatheringStream near(kj::mv(wire.ends[0]));
    client::MessagePipe nearPipe(near);
    shared->pipe = nearPipe;
    auto service = kj::heap<schema::Peer::Client>(
        net::makePeerService(pair.two, pair.loop.timer, kj::addRef(*shared)));
    if (kind != 0) {
      auto hello = service->helloRequest();
      net::encode(pair.one.self, hello.initMine());
      CHECK(hello.send().wait(pair.loop.scope).getTakesAsides());
    }
    client::GatheringStream far(kj::mv(wire.ends[1]));
    client::MessagePipe farPipe(far);
    capnp::MallocMessageBuilder message;
    auto aside = client::MessagePipe::beginAside<schema::Aside>(message);
    if (kind == 1) {
      aside.setCredits(1);  // which only the other side gives
    } else {
      aside.initFrame().initMessages(0);
    }
    farPipe.sendAside(message);
    capnp::MallocMessageBuilder last;
    last.initRoot<capnp::rpc::Message>().initFinish().setQuestionId(7);
    farPipe.writeMessage(nullptr, last.getSegmentsForOutput()).wait(pair.loop.scope);
    bool read = false;
    std::string failure;
    nearPipe.tryReadMessage(nullptr, capnp::ReaderOptions(), nullptr)
        .then([&](kj::Maybe<capnp::MessageReaderAndFds>) { read = true; },
              [&](kj::Exception&& exception) { failure = net::faultOf(exception).text; })
        .wait(pair.loop.scope);
    CHECK(read == (kind == 2));
    CHECK(pair.two.frameSizes.size() == (kind == 2 ? 1 : 0));
    if (kind == 0) CHECK(failure == "peer: a call before hello; say hello first");
    if (kind == 1) CHECK(failure == "peer: an aside that is no frame");
    shared->pipe = nullptr;
  }
}

TEST_CASE("net/asides: frames are asides for who takes them, and else calls") {
  for (bool takes : {true, false}) {
    CAPTURE(takes);
    OddPair odd(takes);
    for (int i = 0; i < 3; ++i) odd.send();
    CHECK(odd.odd->asides == (takes ? 3 : 0));
    CHECK(odd.odd->calls == (takes ? 0 : 3));
  }
}

TEST_CASE("net/asides: credits for frames that were not sent end the connection") {
  {
    OddPair odd(true);
    odd.send();
    odd.odd->credit(1);
    CHECK(odd.trouble().empty());
    odd.odd->credit(1);
    CHECK(odd.trouble() == "took more frames than it was sent");
  }
  {
    OddPair odd(false);
    odd.send();
    odd.odd->credit(1);  // of a call that is still to be answered
    CHECK(odd.trouble().empty());
    odd.odd->answers.at(0)->fulfill();
    CHECK(odd.trouble() == "took more frames than it was sent");
  }
  OddPair odd(true);
  capnp::MallocMessageBuilder message;
  client::MessagePipe::beginAside<schema::Aside>(message).initFrame();
  odd.odd->pipe.sendAside(message);
  CHECK(odd.trouble() == "said something aside that is no credit");
}

TEST_CASE("net/asides: frames wait outside a stream that is full, and go on when it is read") {
  constexpr int kFrames = 100;
  OddPair odd(true, [](net::PeerNetworkConfig& config) {
    config.framesInFlightMax = 1000;
    config.frameBytesMax = 1;  // a message a frame
  });
  bool reads = false;
  auto& stream = kj::downcast<client::GatheringStream>(*odd.odd->stream);
  stream.readWhile([&reads] { return reads; });
  for (int i = 0; i < kFrames; ++i) {
    odd.pair.one.network->send(2, test::append(7, 1, {std::string(100'000, 'x')}));
    odd.pair.loop.settle();
  }
  uint64_t sent = statusOf(odd.pair.one).framesSent;
  CHECK(sent >= 20);
  CHECK(sent <= 25);  // 2 MiB, and what the wire holds
  reads = true;
  for (int given = 0; given < kFrames;) {
    odd.odd->credit(static_cast<uint32_t>(odd.odd->asides - given));
    given = odd.odd->asides;
    odd.pair.loop.settle();
    REQUIRE((odd.odd->asides > given || given == kFrames));
  }
  CHECK(statusOf(odd.pair.one).framesSent == kFrames);
  CHECK(odd.trouble().empty());
}

}  // namespace flotilla
