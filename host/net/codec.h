// Raft messages as schemas/peer.capnp spells them, and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "flotilla/result.h"
#include "host/group/ports.h"
#include "schemas/peer.capnp.h"

namespace flotilla::net {

// What a received message may hold. A message past one of these is dropped, never cut.
inline constexpr uint32_t kFrameMessagesMax = 65536;
inline constexpr uint32_t kMessageEntriesMax = 65536;
inline constexpr uint64_t kMessageEntryBytesMax = 48 << 20;
inline constexpr uint32_t kMessageRunsMax = 4096;
inline constexpr uint32_t kMessageConfigurationsMax = 1024;
inline constexpr uint32_t kConfigurationReplicasMax = 64;  // of each of its lists

// How many bytes the message takes in a frame, a little more rather than less.
uint64_t encodedBytes(const group::PeerMessage& message);

void encode(const group::PeerMessage& message, schema::Message::Builder to);
void encode(const raft::Configuration& configuration, schema::Configuration::Builder to);

// Whatever bytes a peer sends end in a message that is sound in itself (lists within bounds, runs
// rising, exactly the entries that the runs name, configurations sorted) or in a Fault badRequest.
// An append's payloads are copied once, into one buffer that they share.
Result<group::PeerMessage> decode(schema::Message::Reader from);
Result<raft::Configuration> decode(schema::Configuration::Reader from);

struct DecodedFrame {
  std::vector<group::PeerMessage> messages;  // in the order sent
  size_t dropped = 0;                        // those that did not decode
};
DecodedFrame decode(schema::Frame::Reader from);

}  // namespace flotilla::net
