// This host as its peers know it: whom it admits, what it does with what they send.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "host/net/peer_events.h"

namespace flotilla::runtime {

class Replica;
struct HostParts;

// Owner:  HostParts; outlives the network.
// Thread: the loop's.
// Errors: as net::PeerEvents says.
class Peers final : public net::PeerEvents {
public:
  explicit Peers(HostParts& parts) : parts_(parts) {}

  net::Handshake mine() override;
  Result<void> admit(const net::Handshake& theirs, uint64_t dialled) override;
  void up(uint64_t host, const net::Handshake& theirs) override;
  void down(uint64_t host) override;
  void heardBeat(uint64_t host, group::Beat beat) override;
  void received(uint64_t host, std::vector<group::PeerMessage> messages) override;
  Result<kj::Own<net::SnapshotFile>> snapshotOffered(uint64_t host, const group::PeerMessage& head,
                                                     uint64_t bytes) override;
  Result<kj::Own<net::SnapshotArrival>> snapshotComes(uint64_t host,
                                                      const group::PeerMessage& head) override;
  kj::Promise<schema::Group::Client> group(uint64_t id, uint64_t incarnation) override;
  kj::Promise<void> fetchPlugin(FetchPluginContext context) override;
  kj::Promise<void> status(StatusContext context) override;
  kj::Promise<void> control(ControlContext context) override;
  kj::Promise<void> upgrade(UpgradeContext context) override;

private:
  Result<Replica*> receiverOf(uint64_t host, const group::PeerMessage& head);
  std::function<void()> handOver(group::ReplicaKey key, const raft::Message& head);

  HostParts& parts_;
  std::map<group::ReplicaKey, uint64_t> arrivals_;  // the newest that has begun to come
  uint64_t arrivalNumber_ = 0;
};

}  // namespace flotilla::runtime
