// This host as its peers know it.
#include "host/runtime/peers.h"

#include <algorithm>

#include "host/net/refusal.h"
#include "host/runtime/host_parts.h"
#include "host/runtime/snapshot_transfer.h"

namespace flotilla::runtime {
namespace {

constexpr uint32_t kPluginPieceBytesMax = 4 << 20;
constexpr std::size_t kStatusGroupsMax = 10'000;

Fault denied(const std::string& text) {
  return Fault{ErrorCode::denied, text, ""};
}

}  // namespace

net::Handshake Peers::mine() {
  net::Handshake mine;
  mine.clusterId = parts_.id.clusterId;
  mine.cluster = parts_.config.clusterName;
  mine.host = parts_.config.hostId;
  mine.birth = parts_.id.birth;
  for (const auto& [host, address] : parts_.config.founders)
    mine.founders.push_back({host, address});
  mine.founded = parts_.founding.has_value();
  mine.version = Host::version();
  mine.bootNumber = parts_.bootNumber;
  return mine;
}

// Another cluster, another disk under a known id, and strangers are kept out.
Result<void> Peers::admit(const net::Handshake& theirs, uint64_t dialled) {
  std::string who = "host " + std::to_string(theirs.host) + ": ";
  if (theirs.cluster != parts_.config.clusterName) {
    return denied(who + "belongs to cluster \"" + theirs.cluster + "\", this is \"" +
                  parts_.config.clusterName + "\"");
  }
  if (dialled != 0 && theirs.host != dialled) {
    return denied(who + "answers where host " + std::to_string(dialled) +
                  " was expected; correct cluster.founders");
  }
  if (theirs.host == parts_.config.hostId) {
    return denied(who + "has this host's own id; give each host its own");
  }
  if (parts_.config.founders.count(theirs.host) == 0 && !parts_.keeper.view().host(theirs.host)) {
    return denied(who + "is not known here; add it to cluster.founders");
  }
  if (!parts_.founding) return {};
  const FoundingRecord::Founder* founder = parts_.founding->find(theirs.host);
  auto record = parts_.keeper.view().host(theirs.host);
  std::string birth = record ? record->birth : founder != nullptr ? founder->birth : "";
  if (!birth.empty() && birth != theirs.birth) {
    return denied(who +
                  "has another birth than the host of that id that this cluster knows; a host that "
                  "lost its disk joins under a new id");
  }
  if (theirs.founded && theirs.clusterId != parts_.id.clusterId) {
    return denied(who + "belongs to cluster id " + theirs.clusterId + ", this is " +
                  parts_.id.clusterId);
  }
  return {};
}

void Peers::up(uint64_t host, const net::Handshake&) {
  parts_.replicas.hostUp(host);
  parts_.keeper.wake();
}

void Peers::down(uint64_t host) {
  parts_.replicas.hostDown(host);
}

void Peers::heardBeat(uint64_t host, group::Beat beat) {
  parts_.replicas.heardBeat(host, beat);
}

void Peers::received(uint64_t host, std::vector<group::PeerMessage> messages) {
  parts_.replicas.received(host, std::move(messages));
}

// The replica that a snapshot may come for, from a leader of now: one of before would go on
// sending.
Result<Replica*> Peers::receiverOf(uint64_t host, const group::PeerMessage& head) {
  Replica* replica = parts_.replicas.find(head.group);
  if (replica == nullptr || replica->broken() ||
      replica->record().incarnation != head.incarnation ||
      replica->record().key.replica != head.message.to ||
      replica->record().hostOf(head.message.from) != host) {
    return Fault{ErrorCode::noSuchGroup,
                 "group id:" + std::to_string(head.group) + ": no such replica here", ""};
  }
  if (head.message.term < replica->group().core().term()) {
    return Fault{ErrorCode::badRequest,
                 "snapshot: from the leader of term " + std::to_string(head.message.term) +
                     ", it is term " + std::to_string(replica->group().core().term()) + " here",
                 ""};
  }
  if (!head.message.force && !replica->group().takesSnapshots()) {
    return Fault{ErrorCode::unavailable,
                 "snapshot: the replica was rebuilt, its former files go first; try again", ""};
  }
  return replica;
}

std::function<void()> Peers::handOver(group::ReplicaKey key, const raft::Message& head) {
  return [this, key, head]() {
    Replica* here = parts_.replicas.find(key);
    if (here == nullptr || here->broken()) return;
    here->group().snapshotReceived(head);
    here->touch();
  };
}

Result<kj::Own<net::SnapshotFile>> Peers::snapshotOffered(uint64_t host,
                                                          const group::PeerMessage& head,
                                                          uint64_t) {
  auto replica = receiverOf(host, head);
  if (!replica) return replica.fault();
  group::ReplicaKey key = (*replica)->record().key;
  auto wanted = [this, key]() { return parts_.replicas.find(key) != nullptr; };
  return receiveSnapshot({parts_.files, (*replica)->room().snapshots(), key, head.message.after,
                          std::move(wanted), handOver(key, head.message)});
}

// One at a time for a replica: whoever begins later takes the place of the one before, whose
// connection may be dead without our knowing.
Result<kj::Own<net::SnapshotArrival>> Peers::snapshotComes(uint64_t host,
                                                           const group::PeerMessage& head) {
  auto replica = receiverOf(host, head);
  if (!replica) return replica.fault();
  group::ReplicaKey key = (*replica)->record().key;
  std::erase_if(arrivals_,
                [this](const auto& each) { return parts_.replicas.find(each.first) == nullptr; });
  uint64_t number = ++arrivalNumber_;
  arrivals_[key] = number;
  auto wanted = [this, key, number]() {
    auto newest = arrivals_.find(key);
    return parts_.replicas.find(key) != nullptr && newest != arrivals_.end() &&
           newest->second == number;
  };
  return collectSnapshot({parts_.files, (*replica)->room().snapshots(), key, head.message.after,
                          std::move(wanted), handOver(key, head.message)});
}

kj::Promise<schema::Group::Client> Peers::group(uint64_t id, uint64_t incarnation) {
  return parts_.services.localGroup(GroupRef{id, incarnation});
}

kj::Promise<void> Peers::fetchPlugin(FetchPluginContext context) {
  auto params = context.getParams();
  std::string sha256 = params.getSha256().cStr();
  uint64_t offset = params.getOffset();
  uint32_t limit = std::min(params.getLimit(), kPluginPieceBytesMax);
  auto work = [this, sha256]() { return parts_.plugins->read(sha256); };
  return parts_.files.run(std::move(work))
      .then([context, offset, limit](Result<std::string> bytes) mutable {
        if (!bytes) kj::throwFatalException(net::refusal(bytes.fault()));
        auto results = context.getResults();
        results.setTotal(bytes->size());
        if (offset >= bytes->size()) return;
        uint64_t size = std::min<uint64_t>(limit, bytes->size() - offset);
        results.setBytes({reinterpret_cast<const kj::byte*>(bytes->data()) + offset, size});
      });
}

kj::Promise<void> Peers::status(StatusContext context) {
  auto asked = context.getParams().getGroups();
  auto results = context.getResults();
  if (asked.size() == 0) parts_.host.fillHostStatus(results.initHost());
  std::vector<uint64_t> here;
  for (uint64_t group : asked) {
    if (parts_.host.hasReplica(group) && here.size() < kStatusGroupsMax) here.push_back(group);
  }
  auto replicas = results.initReplicas(static_cast<unsigned>(here.size()));
  for (unsigned i = 0; i < replicas.size(); ++i) parts_.host.fillStatus(here[i], replicas[i]);
  return kj::READY_NOW;
}

kj::Promise<void> Peers::upgrade(UpgradeContext context) {
  auto params = context.getParams();
  return parts_.host.upgrade(params.getGroup(), params.getSha256().cStr(), params.getSwitch())
      .then([context](uint64_t index) mutable { context.getResults().setIndex(index); });
}

kj::Promise<void> Peers::control(ControlContext context) {
  auto params = context.getParams();
  return parts_.host.control(params.getGroup(), params.getVerb(), params.getArgument())
      .then([context](uint64_t value) mutable { context.getResults().setValue(value); });
}

}  // namespace flotilla::runtime
