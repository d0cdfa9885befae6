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

Result<kj::Own<net::SnapshotFile>> Peers::snapshotOffered(uint64_t host,
                                                          const group::PeerMessage& head,
                                                          uint64_t) {
  Replica* replica = parts_.replicas.find(head.group);
  if (replica == nullptr || replica->broken() ||
      replica->record().incarnation != head.incarnation ||
      replica->record().key.replica != head.message.to ||
      replica->record().hostOf(head.message.from) != host) {
    return Fault{ErrorCode::noSuchGroup,
                 "group id:" + std::to_string(head.group) + ": no such replica here", ""};
  }
  auto arrived = [this, key = replica->record().key, message = head.message]() {
    Replica* here = parts_.replicas.find(key);
    if (here == nullptr || here->broken()) return;
    here->group().snapshotReceived(message);
    here->touch();
  };
  auto wanted = [this, key = replica->record().key]() {
    return parts_.replicas.find(key) != nullptr;
  };
  return receiveSnapshot(parts_.files, replica->room().snapshots(), replica->record().key,
                         head.message.after, std::move(wanted), std::move(arrived));
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

kj::Promise<void> Peers::control(ControlContext context) {
  auto params = context.getParams();
  return parts_.host.control(params.getGroup(), params.getVerb(), params.getArgument())
      .then([context](uint64_t value) mutable { context.getResults().setValue(value); });
}

}  // namespace flotilla::runtime
