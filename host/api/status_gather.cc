// Status: each host copies what its loop last published; here the copies are put together.
#include "host/api/status_gather.h"

#include <algorithm>
#include <string>
#include <utility>

#include "host/catalog/records.h"

namespace flotilla::api {
namespace {

constexpr auto kBetweenRounds = 50 * kj::MILLISECONDS;
constexpr size_t kRoundsMax = 10'000;
constexpr kj::Duration kStatusTime = 1 * kj::SECONDS;

using Word = std::pair<uint64_t, std::shared_ptr<const HostWord>>;

kj::Promise<Word> ask(runtime::Host& host, uint64_t other, std::vector<uint64_t> groups) {
  if (other == host.id()) return Word{other, HostWord::ofOurselves(host, groups)};
  auto asked = host.peer(other).then([groups = std::move(groups)](schema::Peer::Client peer) {
    auto request = peer.statusRequest();
    auto list = request.initGroups(static_cast<unsigned>(groups.size()));
    for (unsigned i = 0; i < list.size(); ++i) list.set(i, groups[i]);
    return request.send().then([](capnp::Response<schema::Peer::StatusResults> response) {
      return HostWord::of(kj::mv(response));
    });
  });
  return host.timer()
      .timeoutAfter(kStatusTime, kj::mv(asked))
      .then(
          [other](std::shared_ptr<const HostWord> word) {
            return Word{other, word};
          },
          [other](kj::Exception&&) {
            return Word{other, HostWord::unreachable()};
          });
}

const HostWord* wordOf(const HostWords& words, uint64_t host) {
  auto at = words.find(host);
  return at == words.end() || !at->second->reachable() ? nullptr : at->second.get();
}

uint64_t hostOfReplica(const catalog::GroupRecord& group, uint64_t replica) {
  for (const catalog::ReplicaRecord& each : group.replicas) {
    if (each.id == replica) return each.host;
  }
  return 0;
}

// The replica's figures as its own host gave them, and what the leader sees of it.
void writeMember(const catalog::GroupRecord& group, const catalog::ReplicaRecord& replica,
                 const HostWords& words, schema::GroupStatus::Member::Builder to) {
  if (const HostWord* word = wordOf(words, replica.host)) {
    KJ_IF_MAYBE (status, word->replica(group.id)) {
      auto from = status->getMember();
      to.setRole(from.getRole());
      to.setCommit(from.getCommit());
      to.setApplied(from.getApplied());
      to.setFirstIndex(from.getFirstIndex());
      to.setLastIndex(from.getLastIndex());
      to.setSnapshotIndex(from.getSnapshotIndex());
      to.setApplyLagMs(from.getApplyLagMs());
      to.setLogBytes(from.getLogBytes());
      to.setMemoryBytes(from.getMemoryBytes());
      to.setReady(from.getReady());
      to.setFault(from.getFault());
      to.setFaultIndex(from.getFaultIndex());
      to.setFaultOrdinal(from.getFaultOrdinal());
      to.setMachine(from.getMachine());
      to.setDigest(from.getDigest());
      to.setQuarantinedAt(from.getQuarantinedAt());
      to.setDigestsSplitAt(from.getDigestsSplitAt());
      to.setPlugin(from.getPlugin());
      to.setSwitchedAt(from.getSwitchedAt());
      to.setMemoryBytesMax(from.getMemoryBytesMax());
      to.setApplyTimePercentMax(from.getApplyTimePercentMax());
      to.setCallsPerSecondMax(from.getCallsPerSecondMax());
      to.setRefuses(from.getRefuses());
      to.setOnDisk(from.getOnDisk());
      to.setDurableIndex(from.getDurableIndex());
    }
    to.setReachable(true);
  }
  to.setHost(replica.host);
  to.setReplica(replica.id);
  if (to.getRole().size() == 0) to.setRole(replica.voter ? "follower" : "learner");
  to.setState("unknown");
  uint64_t leaderHost = leaderOf(group, words).host;
  if (leaderHost == replica.host) {
    to.setMatch(to.getLastIndex());  // it holds what it has
    to.setState("self");
    return;
  }
  const HostWord* leader = wordOf(words, leaderHost);
  if (leader == nullptr) return;
  KJ_IF_MAYBE (status, leader->replica(group.id)) {
    for (auto progress : status->getProgress()) {
      if (progress.getReplica() != replica.id) continue;
      to.setMatch(progress.getMatch());
      to.setState(progress.getState());
      to.setSnapshotSent(progress.getSnapshotSent());
      to.setSnapshotTotal(progress.getSnapshotTotal());
    }
  }
}

}  // namespace

kj::Maybe<schema::ReplicaStatus::Reader> HostWord::replica(uint64_t group) const {
  auto at = replicas_.find(group);
  if (at == replicas_.end()) return nullptr;
  return at->second;
}

void HostWord::take(schema::Peer::StatusResults::Reader results) {
  reachable_ = true;
  host_ = results.getHost();
  for (auto replica : results.getReplicas()) replicas_[replica.getGroup()] = replica;
}

std::shared_ptr<const HostWord> HostWord::unreachable() {
  return std::make_shared<HostWord>();
}

std::shared_ptr<const HostWord> HostWord::of(
    capnp::Response<schema::Peer::StatusResults> response) {
  auto word = std::make_shared<HostWord>();
  word->take(response);
  word->response_ = kj::mv(response);
  return word;
}

std::shared_ptr<const HostWord> HostWord::ofOurselves(runtime::Host& host,
                                                      const std::vector<uint64_t>& groups) {
  auto word = std::make_shared<HostWord>();
  auto message = kj::heap<capnp::MallocMessageBuilder>();
  auto results = message->initRoot<schema::Peer::StatusResults>();
  if (groups.empty()) host.fillHostStatus(results.initHost());
  std::vector<uint64_t> here;
  for (uint64_t group : groups) {
    if (host.hasReplica(group)) here.push_back(group);
  }
  auto replicas = results.initReplicas(static_cast<unsigned>(here.size()));
  for (unsigned i = 0; i < replicas.size(); ++i) host.fillStatus(here[i], replicas[i]);
  word->take(results.asReader());
  word->own_ = kj::mv(message);
  return word;
}

kj::Promise<HostWords> gather(runtime::Host& host,
                              std::map<uint64_t, std::vector<uint64_t>> groups) {
  auto asked = kj::heapArrayBuilder<kj::Promise<Word>>(groups.size());
  for (auto& [other, ids] : groups) asked.add(ask(host, other, std::move(ids)));
  return kj::joinPromises(asked.finish()).then([](kj::Array<Word> said) {
    HostWords words;
    for (Word& word : said) words.insert(std::move(word));
    return words;
  });
}

kj::Promise<HostWords> gather(runtime::Host& host,
                              const std::vector<catalog::GroupPointer>& groups) {
  std::map<uint64_t, std::vector<uint64_t>> byHost;
  for (const catalog::GroupPointer& group : groups) {
    for (const catalog::ReplicaRecord& replica : group->replicas) {
      byHost[replica.host].push_back(group->id);
    }
  }
  return gather(host, std::move(byHost));
}

kj::Promise<HostWords> StatusRounds::of(const catalog::GroupPointer& group) {
  kj::TimePoint now = host_.timer().now();
  auto at = rounds_.find(group->id);
  if (at != rounds_.end() && at->second.begins > now) return at->second.words.addBranch();
  kj::TimePoint begins = now;
  if (at != rounds_.end()) begins = std::max(now, at->second.begins + kBetweenRounds);
  if (rounds_.size() >= kRoundsMax) rounds_.clear();
  rounds_.erase(group->id);
  Round round{gatherAt(begins, group).fork(), begins};
  return rounds_.emplace(group->id, kj::mv(round)).first->second.words.addBranch();
}

kj::Promise<HostWords> StatusRounds::gatherAt(kj::TimePoint begins,
                                              const catalog::GroupPointer& group) {
  if (begins <= host_.timer().now()) return gather(host_, {group});
  return host_.timer().atTime(begins).then([this, group]() { return gather(host_, {group}); });
}

Leadership leaderOf(const catalog::GroupRecord& group, const HostWords& words) {
  Leadership best;
  for (const catalog::ReplicaRecord& replica : group.replicas) {
    const HostWord* word = wordOf(words, replica.host);
    if (word == nullptr) continue;
    KJ_IF_MAYBE (status, word->replica(group.id)) {
      if (status->getTerm() < best.term) continue;
      uint64_t host = hostOfReplica(group, status->getLeaderReplica());
      bool newer = status->getTerm() > best.term;
      best.term = status->getTerm();
      if (newer || host != 0) best.host = host;
    }
  }
  return best;
}

std::string troubleOf(const catalog::GroupRecord& group, const HostWords& words) {
  if (group.phase != catalog::GroupPhase::ready) {
    return "is " + std::string(catalog::nameOf(group.phase));
  }
  if (leaderOf(group, words).host == 0) return "has no leader";
  for (const catalog::ReplicaRecord& replica : group.replicas) {
    std::string host = "host " + std::to_string(replica.host);
    const HostWord* word = wordOf(words, replica.host);
    if (word == nullptr) return host + " does not answer";
    bool fine = false;
    std::string fault;
    uint64_t splitAt = 0;
    std::string refuses;
    KJ_IF_MAYBE (status, word->replica(group.id)) {
      if (status->getMember().getRole() == "leader") refuses = status->getMember().getRefuses();
      fine = status->getMember().getReady();
      fault = status->getMember().getFault().cStr();
      splitAt = status->getMember().getDigestsSplitAt();
    }
    if (!fault.empty()) return "its replica on " + host + " has stopped: " + fault;
    if (!fine) return "its replica on " + host + " is not ready";
    if (!refuses.empty()) return "its leader is over a quota: " + refuses;
    if (splitAt != 0) {
      return "no majority of its replicas had equal digests at " + std::to_string(splitAt);
    }
  }
  return "";
}

void write(const catalog::PluginRecord& plugin, uint64_t groups, schema::PluginStatus::Builder to) {
  to.setName(plugin.name);
  to.setVersion(plugin.version);
  to.setSha256(plugin.sha256);
  to.setBytes(plugin.bytes);
  to.setGroups(groups);
}

void write(const catalog::GroupRecord& group, const catalog::CatalogView& view,
           const HostWords& words, schema::GroupStatus::Builder to) {
  to.setName(group.spec.name);
  to.setId(group.id);
  to.setIncarnation(group.incarnation);
  auto plugin = to.initPlugin();
  plugin.setName(group.pluginName);
  plugin.setVersion(group.pluginVersion);
  plugin.setSha256(group.pluginSha256);
  if (auto record = view.plugin(group.pluginSha256)) plugin.setBytes(record->bytes);
  to.setState(std::string(catalog::nameOf(group.phase)));
  Leadership leader = leaderOf(group, words);
  to.setLeader(leader.host);
  to.setTerm(leader.term);
  auto members = to.initMembers(static_cast<unsigned>(group.replicas.size()));
  for (unsigned i = 0; i < members.size(); ++i) {
    writeMember(group, group.replicas[i], words, members[i]);
  }
  catalog::write(group.spec, to.initSpec());
}

void write(const catalog::HostRecord& host, const HostWords& words,
           schema::HostStatus::Builder to) {
  to.setState("down");
  to.setVersion(host.version);
  to.setBootNumber(host.bootNumber);
  if (const HostWord* word = wordOf(words, host.id)) {
    auto from = word->host();
    to.setState("up");
    to.setVersion(from.getVersion());
    to.setBootNumber(from.getBootNumber());
    to.setUptimeMs(from.getUptimeMs());
    to.setReplicas(from.getReplicas());
    to.setLeading(from.getLeading());
    to.setFaulted(from.getFaulted());
    to.setVolumes(from.getVolumes());
    to.setMemoryBytes(from.getMemoryBytes());
    to.setCommands(from.getCommands());
    to.setQueries(from.getQueries());
    to.setBusy(from.getBusy());
  }
  to.setId(host.id);
  to.setAddress(host.address);
  to.setBirth(host.birth);
  to.setHttp(host.http);
}

}  // namespace flotilla::api
