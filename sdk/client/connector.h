// How an address becomes a stream.
#pragma once

#include <kj/async-io.h>
#include <kj/memory.h>
#include <kj/string.h>

namespace flotilla::client {

// Where a client's connections come from: the network, or pipes in tests.
//
// Owner:  Hosts.
// Thread: the client's loop.
// Errors: the promise is rejected where nobody answers.
class Connector {
public:
  virtual ~Connector() noexcept(false) = default;
  virtual kj::Promise<kj::Own<kj::AsyncIoStream>> connect(kj::StringPtr address) = 0;
};

// TCP to host:port. `network` must outlive it.
kj::Own<Connector> connectOver(kj::Network& network);

}  // namespace flotilla::client
