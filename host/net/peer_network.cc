// This host's streams to its peers.
#include "host/net/peer_network.h"

#include <utility>

#include "host/base/log.h"
#include "host/net/peer_channel.h"
#include "host/net/peer_link.h"
#include "host/net/refusal.h"

namespace flotilla::net {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"  // kj's ErrorHandler has none

// Links on their way out. A link may be removed from inside a call that it makes, so it ends in a
// later turn of the loop.
//
// Owner:  PeerNetwork.
// Thread: its loop's.
// Errors: what a link's end throws is logged.
struct PeerGraveyard final : public kj::TaskSet::ErrorHandler {
  PeerGraveyard() : ends(*this) {}
  void taskFailed(kj::Exception&& exception) override {
    base::logError("peer network: removing a peer: " + faultOf(exception).text);
  }

  kj::TaskSet ends;
};

#pragma GCC diagnostic pop

PeerNetwork::PeerNetwork(Dialer& dialer, kj::Timer& timer, PeerEvents& events,
                         PeerNetworkConfig config)
    : context_(kj::heap<PeerContext>(PeerContext{dialer, timer, events, std::move(config)})),
      graveyard_(kj::heap<PeerGraveyard>()) {}

PeerNetwork::~PeerNetwork() noexcept(false) = default;

void PeerNetwork::setPeer(uint64_t host, const std::string& address) {
  if (host == context_->config.host || host == 0) return;
  if (PeerLink* link = find(host)) {
    link->moveTo(address);
  } else {
    links_[host] = kj::heap<PeerLink>(*context_, host, address);
  }
}

void PeerNetwork::removePeer(uint64_t host) {
  auto found = links_.find(host);
  if (found == links_.end()) return;
  kj::Own<PeerLink> link = kj::mv(found->second);
  links_.erase(found);
  PeerLink& leaving = *link;
  graveyard_->ends.add(kj::evalLater([&leaving] { leaving.retire(); }).attach(kj::mv(link)));
}

void PeerNetwork::send(uint64_t host, group::PeerMessage&& message) {
  if (PeerLink* link = find(host)) link->send(std::move(message));
}

void PeerNetwork::sendBeat(uint64_t host, group::Beat beat) {
  if (PeerLink* link = find(host)) link->sendBeat(beat);
}

kj::Promise<void> PeerNetwork::sendSnapshot(uint64_t host, group::PeerMessage head,
                                            OpenSnapshot open) {
  if (PeerLink* link = find(host)) return link->sendSnapshot(std::move(head), kj::mv(open));
  return unknown(host);
}

kj::Promise<schema::Peer::Client> PeerNetwork::forwards(uint64_t host) {
  if (PeerLink* link = find(host)) return link->forwards();
  return unknown(host);
}

kj::Promise<Handshake> PeerNetwork::greet(uint64_t host) {
  if (PeerLink* link = find(host)) return link->greet();
  return unknown(host);
}

bool PeerNetwork::isUp(uint64_t host) const {
  const PeerLink* link = find(host);
  return link != nullptr && link->isUp();
}

std::vector<uint64_t> PeerNetwork::hosts() const {
  std::vector<uint64_t> all;
  for (const auto& [host, link] : links_) all.push_back(host);
  return all;
}

std::vector<PeerStatus> PeerNetwork::status() const {
  std::vector<PeerStatus> all;
  for (const auto& [host, link] : links_) all.push_back(link->status());
  return all;
}

PeerLink* PeerNetwork::find(uint64_t host) const {
  auto found = links_.find(host);
  return found == links_.end() ? nullptr : const_cast<PeerLink*>(found->second.get());
}

kj::Exception PeerNetwork::unknown(uint64_t host) const {
  return gone("peer h" + std::to_string(host) + ": not known here");
}

}  // namespace flotilla::net
