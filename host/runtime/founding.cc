// The first hours of a cluster.
#include "host/runtime/founding.h"

#include "host/base/log.h"
#include "host/runtime/host_parts.h"

namespace flotilla::runtime {
namespace {

constexpr auto kRoundPause = 200 * kj::MILLISECONDS;

}  // namespace

kj::Promise<void> Founder::found() {
  if (parts_.founding) return kj::READY_NOW;
  return round();
}

kj::Promise<void> Founder::round() {
  kj::Vector<kj::Promise<void>> asked;
  net::PeerNetwork& network = *KJ_ASSERT_NONNULL(parts_.network);
  for (const auto& [host, address] : parts_.config.founders) {
    if (host == parts_.config.hostId) continue;
    asked.add(network.greet(host).then(
        [this, host = host](net::Handshake theirs) { heard(host, theirs); },
        [this, host = host](kj::Exception&& exception) {
          unheard_[host] = exception.getDescription().cStr();
          heard_.erase(host);
        }));
  }
  return kj::joinPromises(asked.releaseAsArray()).then([this]() -> kj::Promise<void> {
    for (const auto& [host, why] : unheard_) {
      waitFor("host " + std::to_string(host) + " (" + parts_.config.founders.at(host) +
              "): " + why);
    }
    if (unheard_.empty()) {
      Result<void> agreed = agree();
      if (agreed) return write(record());
      waitFor(agreed.fault().text);
    }
    return parts_.timer.afterDelay(kRoundPause).then([this]() { return round(); });
  });
}

void Founder::heard(uint64_t host, const net::Handshake& theirs) {
  heard_[host] = theirs;
  unheard_.erase(host);
}

void Founder::waitFor(std::string why) {
  if (why == waitsFor_) return;
  base::logInfo("founding: waits for " + why);
  waitsFor_ = std::move(why);
}

FoundingRecord Founder::record() const {
  FoundingRecord record;
  record.cluster = parts_.config.clusterName;
  for (const auto& [host, address] : parts_.config.founders) {
    bool self = host == parts_.config.hostId;
    record.hosts.push_back({host, address, self ? parts_.id.birth : heard_.at(host).birth});
  }
  return record;
}

// All lists of founders must be ours; whoever is founded already must have founded what we would.
Result<void> Founder::agree() const {
  std::string ours = record().clusterId();
  for (const auto& [host, theirs] : heard_) {
    std::string who = "host " + std::to_string(host) + ": ";
    if (theirs.founders.size() != parts_.config.founders.size()) {
      return Fault{ErrorCode::badRequest,
                   who + "its list of founders is another; make cluster.founders the same on all",
                   ""};
    }
    for (const auto& each : theirs.founders) {
      auto mine = parts_.config.founders.find(each.id);
      if (mine == parts_.config.founders.end() || mine->second != each.address) {
        return Fault{ErrorCode::badRequest,
                     who + "names founder " + std::to_string(each.id) + " at " + each.address +
                         ", which is not what stands here; make cluster.founders the same on all",
                     ""};
      }
    }
    if (theirs.founded && theirs.clusterId != ours) {
      return Fault{
          ErrorCode::denied,
          who +
              "founded this cluster with other disks than these; a host that lost its disk joins "
              "under a new id",
          ""};
    }
  }
  return {};
}

kj::Promise<void> Founder::write(FoundingRecord record) {
  std::string clusterId = record.clusterId();
  auto work = [this, record, clusterId]() -> Result<void> {
    if (auto put = parts_.meta->put(std::string(kFoundingKey), encode(record)); !put) return put;
    store::HostId id = parts_.id;
    id.clusterId = clusterId;
    return store::updateHostId(parts_.config.dataDir, id);
  };
  return parts_.files.run(std::move(work)).then([this, record, clusterId](Result<void> written) {
    if (!written) {
      base::logError("founding: " + written.fault().text + "; the host stops");
      parts_.host.stop();
      return;
    }
    parts_.id.clusterId = clusterId;
    parts_.founding = record;
    waitsFor_.clear();
    base::logInfo("founding: cluster " + record.cluster + " is founded by " +
                  std::to_string(record.hosts.size()) + " hosts, id=" + clusterId);
  });
}

}  // namespace flotilla::runtime
