// Accepts connections and gives each its own door.
#include "host/net/listener.h"

#include <utility>

#include <kj/debug.h>

#include "host/base/log.h"
#include "host/net/gathering_stream.h"
#include "host/net/refusal.h"
#include "host/net/stranger_stream.h"

namespace flotilla::net {
namespace {

constexpr int64_t kAcceptAgainMs = 100;

}  // namespace

// ---- the caller, as the door sees it -----------------------------------------------------------

Caller::Caller(std::string address, std::string certificateName, bool encrypted)
    : address_(std::move(address)),
      certificateName_(std::move(certificateName)),
      encrypted_(encrypted) {}

void Caller::clientLoggedIn() {
  loggedIn_ = true;
}

void Caller::peerLoggedIn() {
  loggedIn_ = true;
  peer_ = true;
  KJ_IF_MAYBE (rpc, rpc_) {
    rpc->setFlowLimit(kj::maxValue);
  }
}

size_t Caller::unsentBytes() const {
  KJ_IF_MAYBE (network, network_) return network->getCurrentQueueSize();
  return 0;
}

// ---- one connection ----------------------------------------------------------------------------

// Counts itself among the listener's connections for as long as it lives.
struct Listener::Accepted {
  Accepted(std::set<Accepted*>& among, kj::Own<Caller> itsCaller,
           kj::Own<kj::AsyncIoStream> itsStream)
      : connections(among),
        caller(kj::mv(itsCaller)),
        stream(kj::mv(itsStream)),
        pipe(*stream),
        network(pipe, capnp::rpc::twoparty::Side::SERVER, messageLimits()) {
    connections.insert(this);
  }
  ~Accepted() noexcept(false) {
    connections.erase(this);
    caller->pipe_->pipe = nullptr;
    caller->rpc_ = nullptr;
    caller->network_ = nullptr;
  }
  KJ_DISALLOW_COPY(Accepted);

  void open(capnp::Capability::Client door, uint64_t flowBytesMax) {
    auto& system = rpc.emplace(capnp::makeRpcServer(network, kj::mv(door)));
    system.setFlowLimit(flowBytesMax / sizeof(capnp::word));
    caller->pipe_->pipe = pipe;
    caller->rpc_ = system;
    caller->network_ = network;
  }

  std::set<Accepted*>& connections;
  kj::Own<Caller> caller;
  kj::Own<kj::AsyncIoStream> stream;
  client::MessagePipe pipe;
  capnp::TwoPartyVatNetwork network;
  kj::Maybe<capnp::RpcSystem<capnp::rpc::twoparty::VatId>> rpc;
};

// ---- the listener ------------------------------------------------------------------------------

kj::Promise<kj::Own<Listener>> Listener::listen(kj::Network& network, kj::Timer& timer,
                                                kj::Maybe<Tls&> tls, Address address,
                                                ListenerLimits limits, MakeDoor makeDoor) {
  std::string text = address.text();
  return network.parseAddress(kj::StringPtr(text.c_str(), text.size()))
      .then([](kj::Own<kj::NetworkAddress> resolved) { return resolved->listen(); })
      .then(
          [&timer, tls, limits,
           door = kj::mv(makeDoor)](kj::Own<kj::ConnectionReceiver> port) mutable {
            return kj::heap<Listener>(kj::mv(port), timer, tls, limits, kj::mv(door));
          },
          [text](kj::Exception&& exception) -> kj::Own<Listener> {
            kj::StringPtr why = exception.getDescription();
            std::string_view found(why.begin(), why.size());
            bool inUse = found.find("Address already in use") != std::string_view::npos;
            std::string said = inUse ? "address already in use; stop what listens there, or "
                                       "choose another port"
                                     : std::string(found);
            kj::throwFatalException(
                refusal(ErrorCode::unavailable, "listen " + text + ": " + said));
          });
}

Listener::Listener(kj::Own<kj::ConnectionReceiver> port, kj::Timer& timer, kj::Maybe<Tls&> tls,
                   ListenerLimits limits, MakeDoor makeDoor)
    : portNumber_(static_cast<uint16_t>(port->getPort())),
      timer_(timer),
      tls_(tls),
      limits_(limits),
      makeDoor_(kj::mv(makeDoor)),
      serving_(kj::heap<kj::TaskSet>(*this)) {
  kj::ConnectionReceiver& receiver = *port;
  accepting_ = acceptLoop(receiver).attach(kj::mv(port)).eagerlyEvaluate(nullptr);
}

Listener::~Listener() noexcept(false) = default;

void Listener::stopAccepting() {
  accepting_ = nullptr;
}

void Listener::closeAll() {
  serving_ = kj::heap<kj::TaskSet>(*this);
}

kj::Promise<void> Listener::acceptLoop(kj::ConnectionReceiver& port) {
  return port.acceptAuthenticated()
      .then(
          [this](kj::AuthenticatedStream stream) -> kj::Promise<void> {
            take(kj::mv(stream));
            return kj::READY_NOW;
          },
          // Out of file descriptors, most likely: connections that end give some back.
          [this](kj::Exception&& exception) -> kj::Promise<void> {
            base::logWarn("listener: accept: " + faultOf(exception).text + ", trying again");
            return timer_.afterDelay(kAcceptAgainMs * kj::MILLISECONDS);
          })
      .then([this, &port] { return acceptLoop(port); });
}

void Listener::take(kj::AuthenticatedStream stream) {
  if (openCount_ >= limits_.connectionsMax || strangerCount() >= limits_.strangersMax) {
    // One line at the first, then at each doubling, so that a flood costs no flood of lines.
    ++turnedAway_;
    if ((turnedAway_ & (turnedAway_ - 1)) == 0) {
      base::logWarn("listener: full, " + std::to_string(openCount_) +
                    " connections, turned_away=" + std::to_string(turnedAway_));
    }
    return;
  }
  ++openCount_;
  serving_->add(open(kj::mv(stream)).attach(kj::defer([this] { --openCount_; })));
}

kj::Promise<void> Listener::open(kj::AuthenticatedStream stream) {
  prepareSocket(*stream.stream);
  KJ_IF_MAYBE (tls, tls_) {
    return tls->wrapServer(kj::mv(stream)).then([this](kj::AuthenticatedStream wrapped) {
      auto& identity = kj::downcast<kj::TlsPeerIdentity>(*wrapped.peerIdentity);
      kj::String address = identity.getNetworkIdentity().toString();
      kj::String name = identity.hasCertificate() ? identity.getCommonName() : kj::str();
      return serve(kj::refcounted<Caller>(address.cStr(), name.cStr(), true),
                   kj::mv(wrapped.stream));
    });
  }
  kj::String address = stream.peerIdentity->toString();
  return serve(kj::refcounted<Caller>(address.cStr(), "", false), kj::mv(stream.stream));
}

kj::Promise<void> Listener::serve(kj::Own<Caller> caller, kj::Own<kj::AsyncIoStream> stream) {
  Caller& visitor = *caller;
  auto slow = kj::heap<StrangerStream>(kj::mv(stream), visitor, limits_.strangerBytesMax);
  auto gathered = kj::heap<GatheringStream>(kj::mv(slow));
  gathered->readWhile([&visitor, most = limits_.clientUnsentBytesMax] {
    return visitor.peer_ || visitor.unsentBytes() <= most;
  });
  auto accepted = kj::heap<Accepted>(connections_, kj::addRef(visitor), kj::mv(gathered));
  accepted->open(makeDoor_(kj::mv(caller)), limits_.clientFlowBytesMax);
  auto tooLate = timer_.afterDelay(limits_.loginMs * kj::MILLISECONDS)
                     .then([this, &visitor]() -> kj::Promise<void> {
                       if (visitor.loggedIn()) return kj::NEVER_DONE;
                       base::logInfo("connection " + visitor.address() + ": no login within " +
                                     std::to_string(limits_.loginMs) + " ms, closed");
                       return kj::READY_NOW;
                     });
  auto ended = accepted->network.onDisconnect();
  return ended.exclusiveJoin(kj::mv(tooLate)).attach(kj::mv(accepted));
}

size_t Listener::strangerCount() const {
  if (openCount_ < limits_.strangersMax) return 0;  // so there cannot be too many
  size_t known = 0;
  for (const Accepted* connection : connections_) known += connection->caller->loggedIn() ? 1U : 0U;
  return openCount_ - known;
}

void Listener::taskFailed(kj::Exception&& exception) {
  base::log(base::LogLevel::debug, "connection: ended (" + faultOf(exception).text + ")");
}

}  // namespace flotilla::net
