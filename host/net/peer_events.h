// What the hosts' network needs of whoever runs this host.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <capnp/capability.h>
#include <kj/async.h>

#include "flotilla/bytes.h"
#include "flotilla/result.h"
#include "host/group/chunk.h"
#include "host/group/ports.h"
#include "host/group/sleepers.h"
#include "schemas/peer.capnp.h"

namespace flotilla::net {

// What hosts tell each other first: schemas/peer.capnp Handshake.
struct Handshake {
  struct Founder {
    uint64_t id = 0;
    std::string address;
    bool operator==(const Founder&) const = default;
  };
  std::string clusterId;  // empty before the founding
  std::string cluster;
  uint64_t host = 0;
  std::string birth;
  std::vector<Founder> founders;
  bool founded = false;
  std::string version;
  uint64_t bootNumber = 0;

  bool operator==(const Handshake&) const = default;
};

// One snapshot file on its way in. Destroyed before finish() was answered, it is a partial and
// goes: the sender died, or the file was not what was announced. It may be destroyed while a write
// is under way elsewhere (the piece's Bytes stay), but not while finish() is.
//
// Owner:  PeerService.
// Thread: the network's loop calls; the work may be done elsewhere.
// Errors: a rejected promise ends the transfer, and the sender is told.
class SnapshotFile {
public:
  virtual ~SnapshotFile() noexcept(false) = default;
  virtual kj::Promise<void> write(Bytes piece) = 0;  // in order, one at a time
  // All bytes are there and their checksum is the announced one: sync, and hand to the group.
  virtual kj::Promise<void> finish() = 0;
};

// One snapshot on its way in, chunk by chunk. What it has taken stays where it is destroyed before
// done() was answered, for whoever offers the same again.
//
// Owner:  PeerService.
// Thread: the network's loop calls, one after the other; the work may be done elsewhere.
// Errors: a rejected promise ends the transfer, and the sender is told.
class SnapshotArrival {
public:
  virtual ~SnapshotArrival() noexcept(false) = default;
  virtual kj::Promise<std::string> ask(std::string heads) = 0;  // a byte for each: 1 is wanted
  virtual kj::Promise<void> give(Bytes stored) = 0;
  virtual kj::Promise<void> done() = 0;
};

// One snapshot file on its way out.
//
// Owner:  SnapshotSender, for the time of the transfer.
// Thread: the network's loop calls; the work may be done elsewhere.
// Errors: a rejected promise ends the transfer.
class SnapshotSourceFile {
public:
  virtual ~SnapshotSourceFile() noexcept(false) = default;
  virtual uint64_t bytes() const = 0;
  virtual kj::Promise<Bytes> read(uint64_t offset, size_t bytesMax) = 0;  // empty: at the end
  virtual kj::Promise<std::vector<group::ChunkAt>> chunks() = 0;          // none: it goes as it is
  virtual void carried(uint64_t) {}  // so many of its bytes are over there, as far as is known
};

// The host behind the network: judges who may speak, and takes what they say.
//
// Owner:  runtime; outlives PeerNetwork and every service.
// Thread: the network's loop.
// Errors: an exception or a rejected promise becomes the caller's; use refusal() for a Fault.
class PeerEvents {
public:
  using StatusContext = capnp::CallContext<schema::Peer::StatusParams, schema::Peer::StatusResults>;
  using ControlContext =
      capnp::CallContext<schema::Peer::ControlParams, schema::Peer::ControlResults>;
  using UpgradeContext =
      capnp::CallContext<schema::Peer::UpgradeParams, schema::Peer::UpgradeResults>;
  using FetchPluginContext =
      capnp::CallContext<schema::Peer::FetchPluginParams, schema::Peer::FetchPluginResults>;

  virtual ~PeerEvents() noexcept(false) = default;

  // As of now: it changes once, at the founding.
  virtual Handshake mine() = 0;
  // May this host speak with us? Asked of whoever dials us and whoever we dial; a Fault's text is
  // what the other side and our log read. `dialled`: the host id whose address we dialled, 0 where
  // they dialled us.
  virtual Result<void> admit(const Handshake& theirs, uint64_t dialled) = 0;

  // The stream to this host stands, or is gone. They alternate for a host, up first.
  virtual void up(uint64_t host, const Handshake& theirs) = 0;
  virtual void down(uint64_t host) = 0;

  virtual void heardBeat(uint64_t host, group::Beat beat) = 0;
  virtual void received(uint64_t host, std::vector<group::PeerMessage> messages) = 0;
  // A peer wants to send this snapshot; a Fault refuses it.
  virtual Result<kj::Own<SnapshotFile>> snapshotOffered(uint64_t host,
                                                        const group::PeerMessage& head,
                                                        uint64_t bytes) = 0;
  virtual Result<kj::Own<SnapshotArrival>> snapshotComes(uint64_t host,
                                                         const group::PeerMessage& head) = 0;

  virtual kj::Promise<schema::Group::Client> group(uint64_t id, uint64_t incarnation) = 0;
  virtual kj::Promise<void> fetchPlugin(FetchPluginContext context) = 0;
  virtual kj::Promise<void> status(StatusContext context) = 0;
  virtual kj::Promise<void> control(ControlContext context) = 0;
  virtual kj::Promise<void> upgrade(UpgradeContext context) = 0;
};

}  // namespace flotilla::net
