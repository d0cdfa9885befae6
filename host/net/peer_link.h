// This host's link to one peer.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include <kj/async.h>
#include <kj/timer.h>

#include "host/base/prng.h"
#include "host/group/ports.h"
#include "host/group/sleepers.h"
#include "host/net/address.h"
#include "host/net/peer_channel.h"
#include "host/net/peer_events.h"
#include "host/net/peer_network.h"
#include "host/net/peer_queue.h"
#include "schemas/peer.capnp.h"

namespace flotilla::net {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"  // kj's ErrorHandler has none

// Keeps one stream to the peer standing: dials, shakes hands, sends frames, notices the end, waits
// a little longer each time, and dials again. Beside it, two connections made when needed.
//
// Owner:  PeerNetwork. It must not be destroyed from inside PeerEvents' calls; PeerNetwork sees to
// it. Thread: its loop's. Errors: see PeerNetwork. Time:   a stream that answers no frame for
// answerMs is given up.
class PeerLink final : public kj::TaskSet::ErrorHandler {
public:
  PeerLink(PeerContext& context, uint64_t host, const std::string& address);
  ~PeerLink() noexcept(false);
  KJ_DISALLOW_COPY(PeerLink);

  const std::string& address() const { return addressText_; }
  void moveTo(const std::string& address);
  void retire();  // ends everything but itself; down() is told where it was up

  void send(group::PeerMessage&& message);
  void sendBeat(group::Beat beat);
  kj::Promise<void> sendSnapshot(group::PeerMessage head, PeerNetwork::OpenSnapshot open);
  kj::Promise<schema::Peer::Client> forwards();
  kj::Promise<Handshake> greet();

  bool isUp() const { return stream_ != nullptr; }
  PeerStatus status() const;

private:
  struct Stream;  // what lives and dies with one connection
  struct WaitingSnapshot {
    WaitingSnapshot(group::PeerMessage itsHead, PeerNetwork::OpenSnapshot openIt,
                    kj::Own<kj::PromiseFulfiller<void>> itsEnd)
        : head(std::move(itsHead)), open(kj::mv(openIt)), end(kj::mv(itsEnd)) {}

    group::PeerMessage head;
    PeerNetwork::OpenSnapshot open;
    kj::Own<kj::PromiseFulfiller<void>> end;
  };

  void setAddress(const std::string& address);
  void begin();
  kj::Promise<void> keepTrying();
  kj::Promise<void> attempt();
  kj::Promise<void> stayUp(kj::Own<PeerChannel> channel);
  kj::Promise<void> watch();
  void onEnd(const std::string& reason);
  bool dropStream();  // true where there was one
  void sayNotReached(const std::string& reason, int64_t pauseMs);
  int64_t nextPauseMs();

  void pumpSoon();
  void pump();
  bool mayFly(const Stream& stream) const;  // one more frame
  void sendFrame(Stream& stream);
  void takeAside(Stream& stream, schema::Aside::Reader aside);
  void taken(Stream& stream, uint32_t frames);
  void breakStream(const kj::Exception& exception);
  void startSnapshots();
  kj::Promise<void> runSnapshot(kj::Own<WaitingSnapshot> waiting);
  kj::Promise<void> sendFile(kj::Own<SnapshotSourceFile> file, std::vector<group::ChunkAt> chunks,
                             group::PeerMessage head);
  kj::Exception downNow() const;
  void taskFailed(kj::Exception&& exception) override;

  PeerContext& context_;
  uint64_t host_;
  std::string name_;  // "peer h3"
  std::string addressText_;
  std::optional<Address> address_;  // none: the text is no address
  base::Prng prng_;

  std::string trouble_;  // why it is not up
  std::string said_;     // the last reason logged since it was last up
  kj::TimePoint saidAt_ = kj::origin<kj::TimePoint>();
  int64_t nextMs_;       // the next pause, before chance has shortened it
  int64_t pauseMs_ = 0;  // the pause that was said
  Handshake theirs_;
  uint64_t framesSent_ = 0;
  uint64_t messagesSent_ = 0;
  uint64_t droppedWhileDown_ = 0;
  PeerQueue queue_;

  LazyChannel forwards_;
  LazyChannel snapshots_;
  std::deque<kj::Own<WaitingSnapshot>> waitingSnapshots_;
  uint32_t runningSnapshots_ = 0;

  kj::Maybe<kj::Own<Stream>> stream_;
  enum class Pumping : uint8_t { no, last, now };
  Pumping pumping_ = Pumping::no;  // planned
  kj::Promise<void> pump_ = kj::READY_NOW;
  kj::Promise<void> life_ = kj::READY_NOW;
  kj::TaskSet tasks_;  // snapshots on their way, and moves
};

#pragma GCC diagnostic pop

}  // namespace flotilla::net
