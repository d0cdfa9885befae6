// What a host answers to its peers.
#pragma once

#include <cstdint>

#include "host/net/peer_events.h"
#include "schemas/peer.capnp.h"

namespace flotilla::net {

inline constexpr uint32_t kSnapshotsInMax = 8;  // on one connection at a time

// Gives the capability for one peer's connection, to be handed out after its login.
schema::Peer::Client makePeerService(PeerEvents& events);

void encode(const Handshake& from, schema::Handshake::Builder to);
Result<Handshake> decode(schema::Handshake::Reader from);

}  // namespace flotilla::net
