// A connection to a peer, past its door.
#pragma once

#include <cstdint>
#include <string>

#include <kj/async.h>
#include <kj/memory.h>
#include <kj/timer.h>

#include "host/net/address.h"
#include "host/net/connection.h"
#include "host/net/peer_events.h"
#include "host/net/peer_network.h"
#include "schemas/peer.capnp.h"

namespace flotilla::net {

// What every connection of this host to its peers is made with.
//
// Owner:  PeerNetwork; its members outlive the links.
// Thread: its loop's.
// Errors: none.
struct PeerContext {
  Dialer& dialer;
  kj::Timer& timer;
  PeerEvents& events;
  PeerNetworkConfig config;
  kj::Array<capnp::word> frameRoom = nullptr;  // zeroes, for the frame that is being put together
};

// The far side has let us in and both have judged each other's handshake.
//
// Owner:  PeerLink.
// Thread: its loop's.
// Errors: calls after its end are DISCONNECTED.
struct PeerChannel {
  Connection connection;
  schema::Peer::Client peer;
  Handshake theirs;
  bool takesAsides = false;  // frames need not be calls

  PeerChannel(kj::Own<kj::AsyncIoStream> stream, uint64_t expectedHost);
  kj::Promise<void> login(PeerContext& context);
  kj::Promise<void> greet(PeerContext& context);

private:
  uint64_t expectedHost_;
};

// Dials, logs in, exchanges handshakes. Rejected where anything of it fails or takes longer than
// the dial's and config.loginMs; the exception says why in a form for a log line.
kj::Promise<kj::Own<PeerChannel>> openChannel(PeerContext& context, uint64_t host,
                                              const Address& address);

// A channel that is opened when first asked for, and again when it has died.
//
// Owner:  PeerLink.
// Thread: its loop's.
// Errors: get() is rejected where the channel cannot be opened, or is closed meanwhile.
class LazyChannel {
public:
  LazyChannel(PeerContext& context, uint64_t host) : context_(context), host_(host) {}
  ~LazyChannel() noexcept(false) { close(); }
  KJ_DISALLOW_COPY(LazyChannel);

  kj::Promise<schema::Peer::Client> get(const Address& address);
  void close();

private:
  PeerContext& context_;
  uint64_t host_;
  bool opening_ = false;
  kj::Maybe<kj::Own<PeerChannel>> channel_;
  kj::Maybe<kj::ForkedPromise<void>> opened_;  // while opening_, and left over afterwards
  kj::Maybe<kj::Promise<void>> watch_;         // drops a channel that has died
  kj::Canceler askers_;
};

// Rejected with `gone(reason)` after so long.
kj::Promise<void> within(kj::Timer& timer, int64_t ms, const std::string& reason,
                         kj::Promise<void> promise);

}  // namespace flotilla::net
