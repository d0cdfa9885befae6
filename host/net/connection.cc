// What every connection is made with, and how one is dialled.
#include "host/net/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <sys/socket.h>
#include <utility>

#include <capnp/message.h>
#include <kj/debug.h>

#include "host/net/gathering_stream.h"
#include "host/net/refusal.h"

namespace flotilla::net {
namespace {

constexpr int kNestingMax = 64;

void set(kj::AsyncIoStream& stream, int level, int option, int value) {
  stream.setsockopt(level, option, &value, sizeof(value));
}

}  // namespace

capnp::ReaderOptions messageLimits() {
  capnp::ReaderOptions limits;
  limits.traversalLimitInWords = kMessageBytesMax / sizeof(capnp::word);
  limits.nestingLimit = kNestingMax;
  return limits;
}

// Small messages leave at once, and the far side's power cut is noticed within a minute even where
// nothing is being said.
void prepareSocket(kj::AsyncIoStream& stream) {
  set(stream, IPPROTO_TCP, TCP_NODELAY, 1);
  set(stream, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(stream, IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(stream, IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(stream, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

NetworkDialer::NetworkDialer(kj::Network& network, kj::Timer& timer, kj::Maybe<Tls&> tls)
    : network_(network), timer_(timer), tls_(tls) {}

kj::Promise<kj::Own<kj::AsyncIoStream>> NetworkDialer::dial(const Address& address) {
  auto tooLate = timer_.afterDelay(kDialMs * kj::MILLISECONDS)
                     .then([]() -> kj::Promise<kj::Own<kj::AsyncIoStream>> {
                       return gone("no answer within " + std::to_string(kDialMs) + " ms");
                     });
  return connect(address).exclusiveJoin(kj::mv(tooLate));
}

kj::Promise<kj::Own<kj::AsyncIoStream>> NetworkDialer::connect(Address address) {
  std::string text = address.text();
  return network_.parseAddress(kj::StringPtr(text.c_str(), text.size()))
      .then([](kj::Own<kj::NetworkAddress> resolved) {
        auto connecting = resolved->connect();
        return connecting.attach(kj::mv(resolved));
      })
      .then([this, host = address.host](
                kj::Own<kj::AsyncIoStream> stream) -> kj::Promise<kj::Own<kj::AsyncIoStream>> {
        prepareSocket(*stream);
        KJ_IF_MAYBE (tls, tls_) {
          return tls->wrapClient(kj::mv(stream), host.c_str());
        }
        return kj::mv(stream);
      })
      .then([](kj::Own<kj::AsyncIoStream> stream) { return gathering(kj::mv(stream)); });
}

}  // namespace flotilla::net
