// This host's streams to its peers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <kj/async.h>
#include <kj/function.h>
#include <kj/timer.h>

#include "host/group/ports.h"
#include "host/group/sleepers.h"
#include "host/net/connection.h"
#include "host/net/peer_events.h"
#include "schemas/peer.capnp.h"

namespace flotilla::net {

class PeerLink;
struct PeerContext;
struct PeerGraveyard;

struct PeerNetworkConfig {
  uint64_t host = 0;  // our own id; not a peer
  std::string token;  // the line of peer.token
  uint64_t seed = 0;  // for the jitter of retries

  int64_t loginMs = 5000;            // for login and hello; dialling has kDialMs
  int64_t answerMs = 5000;           // a frame unanswered for so long: the host is gone
  int64_t snapshotPieceMs = 30'000;  // a piece of a snapshot unanswered for so long: given up
  int64_t retryFirstMs = 100;
  int64_t retryMs = 2000;  // the longest pause between two attempts
  uint32_t framesInFlightMax = 32;
  uint64_t framesInFlightBytesMax = 8 << 20;  // past it the next frame waits for an answer
  uint64_t frameBytesMax = 512 << 10;         // a frame ends with the message that reaches it
  uint64_t queueBytesMax = 32 << 20;          // waiting for one host; past it messages are dropped
  uint64_t snapshotBytesPerSecond = 0;        // of each transfer; 0: as fast as it goes
  uint32_t snapshotsMax = 2;                  // on their way to one host at a time, others wait
  uint32_t snapshotsWaitingMax = 4096;
};

// How the link to one host stands, copied.
struct PeerStatus {
  uint64_t host = 0;
  std::string address;
  bool up = false;
  std::string trouble;  // why it is not up; empty where it is
  Handshake theirs;     // as last heard; host 0: never
  uint64_t framesSent = 0;
  uint64_t messagesSent = 0;
  uint64_t messagesDropped = 0;
  uint64_t queuedBytes = 0;
};

// One link a peer: a stream for Raft's frames that is always wanted, and, made when first needed, a
// connection for snapshots and one for forwarded calls, so that no file holds up a heartbeat.
//
// Owner:  runtime. Refers to dialer, timer and events.
// Thread: its loop's.
// Errors: a message to a host that is down, unknown or behind is dropped and counted: Raft asks
//         again. What is asked by promise is rejected (DISCONNECTED, or a refusal()).
class PeerNetwork {
public:
  using OpenSnapshot = kj::Function<kj::Promise<kj::Own<SnapshotSourceFile>>()>;

  PeerNetwork(Dialer& dialer, kj::Timer& timer, PeerEvents& events, PeerNetworkConfig config);
  ~PeerNetwork() noexcept(false);
  KJ_DISALLOW_COPY(PeerNetwork);

  // Known from now on, at this address; connecting begins, or begins anew where it changed. Our own
  // id is passed over.
  void setPeer(uint64_t host, const std::string& address);
  void removePeer(uint64_t host);  // down() is told where it was up

  // Everything sent in one turn of the loop goes as one frame.
  void send(uint64_t host, group::PeerMessage&& message);
  void sendBeat(uint64_t host, group::Beat beat);

  // Ends well when the receiver has the file whole and synced and handed to its group. `head` is
  // the Raft message that group then receives. `open` is called when the transfer's turn comes.
  kj::Promise<void> sendSnapshot(uint64_t host, group::PeerMessage head, OpenSnapshot open);

  // The host itself, for forwarded calls, status, control and plugin files; hello is behind it.
  kj::Promise<schema::Peer::Client> forwards(uint64_t host);

  // What the host says of itself now (founding asks until all are founded).
  kj::Promise<Handshake> greet(uint64_t host);

  bool isUp(uint64_t host) const;
  std::vector<uint64_t> hosts() const;  // that are known, up or not
  std::vector<PeerStatus> status() const;

private:
  PeerLink* find(uint64_t host) const;
  kj::Exception unknown(uint64_t host) const;

  kj::Own<PeerContext> context_;
  std::map<uint64_t, kj::Own<PeerLink>> links_;
  kj::Own<PeerGraveyard> graveyard_;  // links removed from inside their own calls
};

}  // namespace flotilla::net
