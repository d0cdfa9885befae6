// How an address becomes a stream.
#include "sdk/client/connector.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "sdk/client/gathering_stream.h"

namespace flotilla::client {
namespace {

// Owner:  Hosts.
// Thread: the client's loop.
// Errors: a rejected promise where the address means nothing or nobody answers there.
class NetworkConnector final : public Connector {
public:
  explicit NetworkConnector(kj::Network& network) : network_(network) {}

  kj::Promise<kj::Own<kj::AsyncIoStream>> connect(kj::StringPtr address) override {
    return network_.parseAddress(address)
        .then([](kj::Own<kj::NetworkAddress> parsed) {
          auto connection = parsed->connect();
          return connection.attach(kj::mv(parsed));
        })
        .then([](kj::Own<kj::AsyncIoStream> stream) {
          // Small requests leave at once; gathering them is Lane's work.
          int on = 1;
          stream->setsockopt(IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
          return gathering(kj::mv(stream));
        });
  }

private:
  kj::Network& network_;
};

}  // namespace

kj::Own<Connector> connectOver(kj::Network& network) {
  return kj::heap<NetworkConnector>(network);
}

}  // namespace flotilla::client
