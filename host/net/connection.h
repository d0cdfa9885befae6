// An outgoing Cap'n Proto connection.
#pragma once

#include <cstdint>

#include <capnp/rpc-twoparty.h>
#include <capnp/rpc.h>
#include <kj/async-io.h>
#include <kj/timer.h>

#include "host/net/address.h"
#include "host/net/tls.h"

namespace flotilla::net {

inline constexpr uint64_t kMessageBytesMax = 64 << 20;  // of one RPC message, either way
inline constexpr int64_t kDialMs = 5000;

// What a received message may cost: kMessageBytesMax, and no deep nesting.
capnp::ReaderOptions messageLimits();

// Options that every TCP connection gets, of either side.
void prepareSocket(kj::AsyncIoStream& stream);

// Makes streams to addresses. Abstract so that tests hand out pipes.
//
// Owner:  runtime; outlives what uses it.
// Thread: its loop's.
// Errors: an exception says who could not be reached and why.
// Time:   an attempt gets kDialMs, TLS included.
class Dialer {
public:
  virtual ~Dialer() = default;
  virtual kj::Promise<kj::Own<kj::AsyncIoStream>> dial(const Address& address) = 0;
};

// TCP, with TLS where there is one; the streams gather (gathering_stream.h).
//
// Owner:  runtime; refers to network, timer and tls.
// Thread: its loop's.
// Errors: as Dialer says.
class NetworkDialer final : public Dialer {
public:
  NetworkDialer(kj::Network& network, kj::Timer& timer, kj::Maybe<Tls&> tls);
  kj::Promise<kj::Own<kj::AsyncIoStream>> dial(const Address& address) override;

private:
  kj::Promise<kj::Own<kj::AsyncIoStream>> connect(Address address);

  kj::Network& network_;
  kj::Timer& timer_;
  kj::Maybe<Tls&> tls_;
};

// The calling side of one connection. No flow limit: a limit holds back returns too, and two
// hosts that forward to each other would wait for ever.
//
// Owner:  whoever dialled; capabilities from it fail with DISCONNECTED after it is gone.
// Thread: its loop's.
// Errors: calls on a dead connection fail with DISCONNECTED.
class Connection {
public:
  explicit Connection(kj::Own<kj::AsyncIoStream> stream);
  KJ_DISALLOW_COPY(Connection);

  capnp::Capability::Client bootstrap();
  kj::Promise<void> onDisconnect() { return network_.onDisconnect(); }

private:
  kj::Own<kj::AsyncIoStream> stream_;
  capnp::TwoPartyVatNetwork network_;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc_;
};

}  // namespace flotilla::net
