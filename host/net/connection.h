// What every connection is made with, and how one is dialled.
#pragma once

#include <cstdint>

#include <capnp/message.h>
#include <kj/async-io.h>
#include <kj/timer.h>

#include "host/net/address.h"
#include "host/net/tls.h"
#include "sdk/client/connection.h"

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

// The calling side of one, with our limits.
//
// Owner, thread, errors: as client::Connection.
class Connection final : public client::Connection {
public:
  explicit Connection(kj::Own<kj::AsyncIoStream> stream)
      : client::Connection(kj::mv(stream), messageLimits()) {}
};

}  // namespace flotilla::net
