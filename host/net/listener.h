// Accepts connections and gives each its own door.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

#include <capnp/capability.h>
#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>
#include <kj/function.h>
#include <kj/refcount.h>
#include <kj/timer.h>

#include "host/net/address.h"
#include "host/net/connection.h"
#include "host/net/tls.h"
#include "sdk/client/message_pipe.h"

namespace flotilla::net {

// A connection as its door (api's Gate) sees it. May be held longer than the connection lives.
//
// Owner:  shared: the listener's connection and the door.
// Thread: the listener's loop's.
// Errors: none; calls after the connection's end do nothing.
class Caller final : public kj::Refcounted {
public:
  Caller(std::string address, std::string certificateName, bool encrypted);

  const std::string& address() const { return address_; }                  // "127.0.0.1:50123"
  const std::string& certificateName() const { return certificateName_; }  // "" without TLS
  bool encrypted() const { return encrypted_; }
  bool loggedIn() const { return loggedIn_; }
  kj::Own<client::SharedPipe> pipe() { return kj::addRef(*pipe_); }

  // Of messages to it that have not left; 0 once it has gone.
  size_t unsentBytes() const;

  // The door must call one of these when a login succeeds; a connection without one is closed
  // after ListenerLimits::loginMs. A peer is freed of the flow limit (see Connection), and is read
  // whatever waits for it, for two hosts that wait for each other would do so for ever.
  void clientLoggedIn();
  void peerLoggedIn();

private:
  friend class Listener;
  std::string address_;
  std::string certificateName_;
  bool encrypted_;
  bool loggedIn_ = false;
  bool peer_ = false;
  kj::Own<client::SharedPipe> pipe_ = kj::refcounted<client::SharedPipe>();
  kj::Maybe<capnp::RpcSystem<capnp::rpc::twoparty::VatId>&> rpc_;  // while connected
  kj::Maybe<capnp::TwoPartyVatNetwork&> network_;                  // likewise
};

struct ListenerLimits {
  size_t connectionsMax = 4096;
  size_t strangersMax = 1024;                   // of them not logged in yet
  uint64_t strangerBytesMax = 256ULL << 10;     // read of one of those
  uint64_t clientFlowBytesMax = 64ULL << 20;    // a client's unanswered calls
  uint64_t clientUnsentBytesMax = 16ULL << 20;  // for it; beyond, it is not read until it reads
  int64_t loginMs = 10'000;
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"  // kj's ErrorHandler has none

// The accepting side. Past connectionsMax a new connection is closed at once.
//
// Owner:  runtime or api; its end closes every connection.
// Thread: its loop's.
// Errors: listen() throws "listen 127.0.0.1:7400: address already in use; …". A failing accept is
//         logged and tried again, a failing connection is that connection's end.
class Listener final : public kj::TaskSet::ErrorHandler {
public:
  using MakeDoor = kj::Function<capnp::Capability::Client(kj::Own<Caller> caller)>;

  static kj::Promise<kj::Own<Listener>> listen(kj::Network& network, kj::Timer& timer,
                                               kj::Maybe<Tls&> tls, Address address,
                                               ListenerLimits limits, MakeDoor makeDoor);

  Listener(kj::Own<kj::ConnectionReceiver> port, kj::Timer& timer, kj::Maybe<Tls&> tls,
           ListenerLimits limits, MakeDoor makeDoor);  // use listen
  ~Listener() noexcept(false);
  KJ_DISALLOW_COPY(Listener);

  uint16_t port() const { return portNumber_; }  // the one bound, where the address left it open
  size_t connectionCount() const { return openCount_; }

  void stopAccepting();  // connections stay; the port is closed
  void closeAll();       // connections end, those of peers too

private:
  struct Accepted;

  kj::Promise<void> acceptLoop(kj::ConnectionReceiver& port);
  void take(kj::AuthenticatedStream stream);
  kj::Promise<void> open(kj::AuthenticatedStream stream);
  kj::Promise<void> serve(kj::Own<Caller> caller, kj::Own<kj::AsyncIoStream> stream);
  size_t strangerCount() const;
  void taskFailed(kj::Exception&& exception) override;

  uint16_t portNumber_;
  kj::Timer& timer_;
  kj::Maybe<Tls&> tls_;
  ListenerLimits limits_;
  MakeDoor makeDoor_;
  size_t openCount_ = 0;  // TLS handshakes under way included
  uint64_t turnedAway_ = 0;
  std::set<Accepted*> connections_;  // those that have their door
  kj::Own<kj::TaskSet> serving_;
  kj::Maybe<kj::Promise<void>> accepting_;  // null: no more
};

#pragma GCC diagnostic pop

}  // namespace flotilla::net
