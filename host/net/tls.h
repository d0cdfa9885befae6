// TLS between hosts and from clients: one key and certificate, one authority, both sides checked.
#pragma once

#include <string>

#include <kj/async-io.h>
#include <kj/compat/tls.h>
#include <kj/timer.h>

#include "flotilla/result.h"

namespace flotilla::net {

// PEM files, as [tls] in host.toml names them.
struct TlsFiles {
  std::string cert;  // this host's certificate, its chain after it
  std::string key;
  std::string ca;  // the only authority whose certificates are accepted, of either side
};

// Wraps streams in mutual TLS. A server's certificate must name the host that was dialled (an IP
// address as a DNS name too: kj compares names only).
//
// Owner:  runtime; outlives every stream it wrapped.
// Thread: any one at a time.
// Errors: load answers which file is at fault. A failed handshake is an exception of the promise.
// Time:   a server's handshake gets kTlsHandshakeMs, a client's is part of its dial.
class Tls {
public:
  static Result<kj::Own<Tls>> load(const TlsFiles& files, kj::Timer& timer);

  kj::Promise<kj::AuthenticatedStream> wrapServer(kj::AuthenticatedStream stream);
  kj::Promise<kj::Own<kj::AsyncIoStream>> wrapClient(kj::Own<kj::AsyncIoStream> stream,
                                                     kj::StringPtr host);

  explicit Tls(kj::Own<kj::TlsContext> context, kj::Timer& timer);  // use load

private:
  kj::Timer& timer_;
  kj::Own<kj::TlsContext> context_;
};

inline constexpr int64_t kTlsHandshakeMs = 5000;

}  // namespace flotilla::net
