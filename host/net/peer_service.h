// What a host answers to its peers.
#pragma once

#include <cstddef>
#include <cstdint>

#include <kj/timer.h>

#include "host/net/peer_events.h"
#include "schemas/peer.capnp.h"
#include "sdk/client/message_pipe.h"

namespace flotilla::net {

inline constexpr uint32_t kSnapshotsInMax = 8;  // on one connection at a time

// Frames are answered some at a time: their answers are credits and nobody's news, and an answer
// each would be four writes a frame at the two ends. Fewer than a sender may have in flight.
inline constexpr size_t kFramesHeldMax = 8;
inline constexpr int64_t kFramesHeldMs = 5;

// Gives the capability for one peer's connection, to be handed out after its login. Frames may come
// aside on its pipe; without one they are calls.
schema::Peer::Client makePeerService(PeerEvents& events, kj::Timer& timer,
                                     kj::Own<client::SharedPipe> pipe = {});

void encode(const Handshake& from, schema::Handshake::Builder to);
Result<Handshake> decode(schema::Handshake::Reader from);

}  // namespace flotilla::net
