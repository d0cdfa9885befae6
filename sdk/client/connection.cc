// The calling side of a Cap'n Proto connection.
#include "sdk/client/connection.h"

namespace flotilla::client {

Connection::Connection(kj::Own<kj::AsyncIoStream> stream, capnp::ReaderOptions limits)
    : stream_(kj::mv(stream)),
      pipe_(*stream_),
      network_(pipe_, capnp::rpc::twoparty::Side::CLIENT, limits),
      rpc_(capnp::makeRpcClient(network_)) {}

capnp::Capability::Client Connection::bootstrap() {
  capnp::MallocMessageBuilder message(8);
  auto server = message.initRoot<capnp::rpc::twoparty::VatId>();
  server.setSide(capnp::rpc::twoparty::Side::SERVER);
  return rpc_.bootstrap(server);
}

}  // namespace flotilla::client
