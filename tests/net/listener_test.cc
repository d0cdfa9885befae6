// Real connections over loopback.
#include "host/net/listener.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "host/net/connection.h"
#include "host/net/gathering_stream.h"
#include "host/net/refusal.h"
#include "schemas/client.capnp.h"

#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

namespace flotilla {
namespace {

// Lets anyone in, as the token says.
class OpenGate final : public schema::Gate::Server {
public:
  explicit OpenGate(kj::Own<net::Caller> caller) : caller_(kj::mv(caller)) {}

protected:
  kj::Promise<void> login(LoginContext context) override {
    if (context.getParams().getToken() == "peer") caller_->peerLoggedIn();
    if (context.getParams().getToken() == "client") caller_->clientLoggedIn();
    if (context.getParams().getToken().startsWith("slow")) return kj::NEVER_DONE;
    context.getResults().initSession().setCluster(caller_->address().c_str());
    return kj::READY_NOW;
  }

private:
  kj::Own<net::Caller> caller_;
};

struct Loopback {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  net::ListenerLimits limits;
  kj::Own<net::Listener> listener;

  kj::Timer& timer() { return io.provider->getTimer(); }
  void listen() {
    listener = net::Listener::listen(io.provider->getNetwork(), timer(), nullptr,
                                     net::Address{"127.0.0.1", 0}, limits,
                                     [](kj::Own<net::Caller> caller) -> capnp::Capability::Client {
                                       return kj::heap<OpenGate>(kj::mv(caller));
                                     })
                   .wait(io.waitScope);
  }
  net::Address address() { return {"127.0.0.1", listener->port()}; }
  kj::Own<net::Connection> dial() {
    net::NetworkDialer dialer(io.provider->getNetwork(), timer(), nullptr);
    return kj::heap<net::Connection>(dialer.dial(address()).wait(io.waitScope));
  }
  kj::Promise<std::string> login(net::Connection& connection, const char* token) {
    auto request = connection.bootstrap().castAs<schema::Gate>().loginRequest();
    request.setToken(token);
    return request.send().then([](capnp::Response<schema::Gate::LoginResults> answer) {
      return std::string(answer.getSession().getCluster().cStr());
    });
  }
  // True once the promise has ended by an exception, within ten seconds.
  template <typename T>
  std::string failureOf(kj::Promise<T> promise) {
    auto late = timer().afterDelay(10 * kj::SECONDS).then([]() -> std::string {
      return "nothing in 10 s";
    });
    return promise
        .then([](T&&) -> std::string { return "it did not fail"; },
              [](kj::Exception&& exception) { return net::faultOf(exception).text; })
        .exclusiveJoin(kj::mv(late))
        .wait(io.waitScope);
  }
};

}  // namespace

TEST_CASE("net/listener: a caller is known to its door by its address") {
  Loopback loopback;
  loopback.listen();
  auto connection = loopback.dial();
  std::string address = loopback.login(*connection, "client").wait(loopback.io.waitScope);
  CHECK(address.starts_with("127.0.0.1:"));
  CHECK(loopback.listener->connectionCount() == 1);
  connection = nullptr;
  for (int i = 0; i < 1000 && loopback.listener->connectionCount() > 0; ++i) {
    loopback.timer().afterDelay(kj::MILLISECONDS).wait(loopback.io.waitScope);
  }
  CHECK(loopback.listener->connectionCount() == 0);
}

TEST_CASE("net/listener: past its bound a connection is closed at once, and room is given back") {
  Loopback loopback;
  loopback.limits.connectionsMax = 2;
  loopback.listen();
  auto one = loopback.dial();
  auto two = loopback.dial();
  loopback.login(*one, "client").wait(loopback.io.waitScope);
  loopback.login(*two, "client").wait(loopback.io.waitScope);
  auto three = loopback.dial();
  CHECK(loopback.failureOf(loopback.login(*three, "client")).starts_with("connection"));
  two = nullptr;
  std::string got;
  for (int i = 0; i < 1000 && !got.starts_with("127."); ++i) {
    three = loopback.dial();
    got = loopback.login(*three, "client")
              .then([](std::string text) { return text; },
                    [](kj::Exception&&) { return std::string(); })
              .wait(loopback.io.waitScope);
  }
  CHECK(got.starts_with("127.0.0.1:"));
}

TEST_CASE("net/listener: who does not log in is closed, who did is not") {
  Loopback loopback;
  loopback.limits.loginMs = 50;
  loopback.listen();
  auto known = loopback.dial();
  loopback.login(*known, "client").wait(loopback.io.waitScope);
  auto stranger = loopback.dial();
  CHECK(loopback.failureOf(loopback.login(*stranger, "slow")).starts_with("connection"));
  CHECK(loopback.login(*known, "client").wait(loopback.io.waitScope).starts_with("127."));
}

TEST_CASE("net/listener: a stranger is not heard out, one who has logged in is") {
  Loopback loopback;
  loopback.limits.strangerBytesMax = 64 << 10;
  loopback.listen();
  std::string big(1 << 20, 'x');
  auto stranger = loopback.dial();
  CHECK(loopback.failureOf(loopback.login(*stranger, big.c_str())).starts_with("connection"));
  auto known = loopback.dial();
  loopback.login(*known, "client").wait(loopback.io.waitScope);
  CHECK(loopback.login(*known, big.c_str()).wait(loopback.io.waitScope).starts_with("127."));
}

TEST_CASE("net/listener: a client's unanswered calls are bounded, a peer's are not") {
  Loopback loopback;
  loopback.limits.clientFlowBytesMax = 64 << 10;
  loopback.listen();
  std::string big = "slow" + std::string(100 << 10, 'x');
  auto fence = loopback.dial();
  for (bool peer : {false, true}) {
    auto connection = loopback.dial();
    loopback.login(*connection, peer ? "peer" : "client").wait(loopback.io.waitScope);
    auto never = loopback.login(*connection, big.c_str());
    bool answered = false;
    auto next = loopback.login(*connection, "");
    // Round trips of another connection, so that this one's bytes have long arrived.
    for (int i = 0; i < 50 && !answered; ++i) {
      loopback.login(*fence, "client").wait(loopback.io.waitScope);
      answered = next.poll(loopback.io.waitScope);
    }
    CHECK(answered == peer);
  }
}

TEST_CASE("net/listener: a port in use is said with what to do") {
  Loopback loopback;
  loopback.listen();
  std::string port = std::to_string(loopback.listener->port());
  auto second = net::Listener::listen(loopback.io.provider->getNetwork(), loopback.timer(), nullptr,
                                      loopback.address(), {},
                                      [](kj::Own<net::Caller> caller) -> capnp::Capability::Client {
                                        return kj::heap<OpenGate>(kj::mv(caller));
                                      });
  CHECK(loopback.failureOf(kj::mv(second)) ==
        "listen 127.0.0.1:" + port +
            ": address already in use; stop what listens there, or choose another port");
}

TEST_CASE("net/listener: the port and the connections can be closed apart") {
  Loopback loopback;
  loopback.listen();
  net::Address address = loopback.address();
  auto connection = loopback.dial();
  loopback.login(*connection, "client").wait(loopback.io.waitScope);
  loopback.listener->stopAccepting();
  net::NetworkDialer dialer(loopback.io.provider->getNetwork(), loopback.timer(), nullptr);
  CHECK(loopback.failureOf(dialer.dial(address)) == "connection refused");
  CHECK(loopback.login(*connection, "client").wait(loopback.io.waitScope).starts_with("127."));
  loopback.listener->closeAll();
  CHECK(loopback.failureOf(loopback.login(*connection, "client")).starts_with("connection"));
  CHECK(loopback.listener->connectionCount() == 0);
}

}  // namespace flotilla
