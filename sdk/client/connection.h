// The calling side of a Cap'n Proto connection.
#pragma once

#include <capnp/message.h>
#include <capnp/rpc-twoparty.h>
#include <capnp/rpc.h>
#include <kj/async-io.h>

#include "sdk/client/message_pipe.h"

namespace flotilla::client {

// Without a flow limit: one holds back returns too.
//
// Owner:  whoever dialled; capabilities from it fail with DISCONNECTED after it is gone.
// Thread: its loop's.
// Errors: calls on a dead connection fail with DISCONNECTED.
class Connection {
public:
  // `stream` gathers (gathering_stream.h); `limits`: what a received message may cost.
  Connection(kj::Own<kj::AsyncIoStream> stream, capnp::ReaderOptions limits);
  KJ_DISALLOW_COPY(Connection);

  capnp::Capability::Client bootstrap();
  kj::Promise<void> onDisconnect() { return network_.onDisconnect(); }
  MessagePipe& pipe() { return pipe_; }
  const MessagePipe& pipe() const { return pipe_; }

private:
  kj::Own<kj::AsyncIoStream> stream_;
  MessagePipe pipe_;
  capnp::TwoPartyVatNetwork network_;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc_;
};

}  // namespace flotilla::client
