// What a host says of itself and of its replicas, copied from what the loop last knew.
#include <cstdio>
#include <sys/statvfs.h>
#include <unistd.h>

#include "host/net/refusal.h"
#include "host/runtime/host.h"
#include "host/runtime/host_parts.h"
#include "host/runtime/machine_lane.h"

namespace flotilla::runtime {
namespace {

constexpr int64_t kStuckUs = 10'000'000;
constexpr auto kTrialTime = 120 * kj::SECONDS;  // of a plugin with a replica's state
constexpr uint32_t kRebuildVersion = 2;  // of entries: hosts that know it give their snapshots away

uint64_t residentBytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  unsigned long whole = 0;
  unsigned long resident = 0;
  int read = std::fscanf(file, "%lu %lu", &whole, &resident);
  std::fclose(file);
  return read == 2 ? resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

const char* roleName(const group::Status& status, raft::ReplicaId self) {
  switch (status.role) {
    case raft::Role::leader:
      return "leader";
    case raft::Role::candidate:
    case raft::Role::preCandidate:
      return "candidate";
    case raft::Role::follower:
      break;
  }
  for (raft::ReplicaId each : status.configuration.learners) {
    if (each == self) return "learner";
  }
  return "follower";
}

const char* stateName(raft::ProgressState state) {
  switch (state) {
    case raft::ProgressState::probe:
      return "probe";
    case raft::ProgressState::replicate:
      return "replicate";
    case raft::ProgressState::snapshot:
      return "snapshot";
  }
  return "unknown";
}

const char* stateName(store::VolumeState state) {
  switch (state) {
    case store::VolumeState::open:
      return "open";
    case store::VolumeState::full:
      return "full";
    case store::VolumeState::failed:
      return "failed";
  }
  return "unknown";
}

void fillBusy(const ReplicaSet& replicas, Figures& to) {
  const BusyGroups& busy = replicas.busy();
  to.groups = busy.all();
  to.others = busy.others();
  for (const BusyGroups::Place& place : busy.places()) {
    const Replica* replica = place.group == 0 ? nullptr : replicas.find(place.group);
    if (replica == nullptr || replica->broken()) continue;
    to.busy.push_back({replica->record().name, place.group, replica->group().leads(),
                       replica->group().logBytes(), place.meters});
  }
}

void fill(const BusyFigures& from, schema::HostStatus::BusyGroup::Builder to) {
  to.setName(from.name);
  to.setId(from.group);
  to.setLeads(from.leads);
  to.setLogBytes(from.logBytes);
  to.setCommands(from.meters.commands);
  to.setQueries(from.meters.queries);
  auto counts = to.initApplyUs(static_cast<unsigned>(base::Buckets::kCount));
  for (unsigned i = 0; i < counts.size(); ++i) counts.set(i, from.meters.applyUs.at(i));
}

void fillRunning(const Replica& replica, const ReplicaSet& replicas,
                 schema::ReplicaStatus::Builder into) {
  group::Status status = replica.status();
  raft::ReplicaId self = replica.record().key.replica;
  into.setLeaderReplica(status.leader);
  into.setTerm(status.term);
  auto member = into.getMember();
  member.setRole(roleName(status, self));
  member.setState(status.role == raft::Role::leader ? "self" : "unknown");
  if (status.role == raft::Role::leader) member.setMatch(status.lastIndex);
  member.setCommit(status.commit);
  member.setApplied(status.applied);
  member.setFirstIndex(status.firstIndex);
  member.setLastIndex(status.lastIndex);
  member.setSnapshotIndex(status.snapshotIndex);
  member.setOnDisk(status.durable.has_value());
  member.setDurableIndex(status.durable.value_or(0));
  member.setApplyLagMs(static_cast<uint64_t>(status.applyLagUs) / 1000);
  member.setLogBytes(status.logBytes);
  member.setReady(status.ready && !status.stopping);
  member.setQuarantinedAt(status.quarantinedAt);
  member.setDigestsSplitAt(status.splitAt);
  member.setMemoryBytesMax(status.quotas.memoryBytesMax);
  member.setApplyTimePercentMax(status.quotas.applyTimePercentMax);
  member.setCallsPerSecondMax(status.quotas.callsPerSecondMax);
  member.setRefuses(status.refuses);
  if (status.fault) {
    member.setFaultIndex(status.faultAt.index);
    member.setFaultOrdinal(status.faultAt.ordinal);
  }
  if (status.role != raft::Role::leader) return;
  auto progress = into.initProgress(static_cast<unsigned>(status.progress.size()));
  for (unsigned i = 0; i < progress.size(); ++i) {
    progress[i].setReplica(status.progress[i].replica);
    progress[i].setMatch(status.progress[i].match);
    progress[i].setState(stateName(status.progress[i].state));
    SnapshotProgress snapshot = replicas.sending(status.key, status.progress[i].replica);
    progress[i].setSnapshotSent(snapshot.bytes);
    progress[i].setSnapshotTotal(snapshot.total);
  }
}

}  // namespace

bool Host::fillStatus(uint64_t group, schema::ReplicaStatus::Builder into) const {
  const Replica* replica = parts_->replicas.find(group);
  if (replica == nullptr) return false;
  const StoredReplica& record = replica->record();
  into.setGroup(group);
  into.setIncarnation(record.incarnation);
  auto member = into.initMember();
  member.setHost(id());
  member.setReplica(record.key.replica);
  member.setReachable(true);
  member.setRole("follower");
  member.setState("unknown");
  member.setMachine(std::string(nameOf(replica->machineState())));
  member.setFault(replica->faultText());
  member.setPlugin(record.pluginSha256);
  if (replica->broken()) return true;
  fillRunning(*replica, parts_->replicas, into);
  const MachineLane& lane = replica->lane();
  MachineLane::Switched switched = lane.switched();
  if (switched.at != 0) member.setPlugin(switched.sha256);
  member.setSwitchedAt(switched.at);
  member.setMemoryBytes(lane.memoryBytes());
  if (lane.digestAt() == member.getApplied()) member.setDigest(lane.digest());
  return true;
}

void Host::fillHostStatus(schema::HostStatus::Builder into) const {
  Figures now = figures();
  into.setId(id());
  into.setAddress(addressOf(id()));
  into.setState("up");
  into.setVersion(version());
  into.setBootNumber(bootNumber());
  into.setUptimeMs(now.uptimeMs);
  into.setReplicas(now.replicas);
  into.setLeading(now.leading);
  into.setFaulted(now.faulted);
  into.setBirth(birth());
  into.setHttp(parts_->config.http);
  into.setMemoryBytes(now.memoryBytes);
  into.setCommands(now.groups.commands);
  into.setQueries(now.groups.queries);
  auto busy = into.initBusy(static_cast<unsigned>(now.busy.size()));
  for (unsigned i = 0; i < busy.size(); ++i) fill(now.busy[i], busy[i]);
  const auto& rooms = parts_->volumes.all();
  auto volumes = into.initVolumes(static_cast<unsigned>(rooms.size()));
  for (unsigned i = 0; i < volumes.size(); ++i) {
    store::VolumeStatus status = rooms[i]->log().status();
    volumes[i].setName(rooms[i]->name());
    volumes[i].setPath(rooms[i]->path());
    volumes[i].setLogBytes(status.bytes);
    volumes[i].setState(stateName(status.state));
    struct statvfs about {};
    if (::statvfs(rooms[i]->path().c_str(), &about) == 0) {
      volumes[i].setFreeBytes(static_cast<uint64_t>(about.f_bavail) * about.f_frsize);
    }
  }
}

Figures Host::figures() const {
  const HostParts& p = *parts_;
  Figures now;
  for (const auto& [group, replica] : p.replicas.all()) {
    ++now.replicas;
    MachineState state = replica->machineState();
    if (state == MachineState::faulted) ++now.faulted;
    if (state == MachineState::quarantined) ++now.quarantined;
    if (state == MachineState::rebuilding) ++now.rebuilding;
    if (replica->broken()) continue;
    if (replica->group().leads()) {
      ++now.leading;
      if (replica->group().splitAt() != 0) ++now.digestsSplit;
      if (replica->group().isOverQuota()) ++now.overQuota;
    }
    if (replica->group().leader() == 0) ++now.leaderless;
    if (replica->group().core().asleep()) ++now.asleep;
    now.machineBytes += replica->lane().memoryBytes();
  }
  now.elections = p.replicas.elections();
  now.electionsWon = p.replicas.electionsWon();
  now.stuck = p.pool.stuck(kStuckUs) + p.queries.stuck(kStuckUs);
  now.callsWaiting = p.calls.waiting();
  now.applyLanesQueued = p.pool.queued();
  fillBusy(p.replicas, now);
  now.callsAnswered = p.calls.answered();
  now.callsRefused = p.calls.refused();
  for (const auto& room : p.volumes.all()) {
    store::VolumeStatus status = room->log().status();
    now.diskFrames += status.frames;
    now.diskSyncs += status.syncs;
    now.diskBytes += status.bytesWritten;
    now.diskQueuedBytes += room->log().queuedBytes();
    now.diskSyncUs += status.syncUs;
    now.diskFrameGroups += status.frameGroups;
  }
  KJ_IF_MAYBE (network, p.network) {
    for (const net::PeerStatus& each : (*network)->status()) {
      now.peerFramesSent += each.framesSent;
      now.peerMessagesSent += each.messagesSent;
      now.peerMessagesDropped += each.messagesDropped;
      now.peerQueuedBytes += each.queuedBytes;
    }
  }
  now.uptimeMs = static_cast<uint64_t>(p.clock.monotonicUs() - p.startedUs) / 1000;
  now.memoryBytes = residentBytes();
  return now;
}

kj::Promise<uint64_t> Host::control(uint64_t group, schema::Peer::Verb verb, uint64_t argument) {
  Replica* replica = parts_->replicas.find(group);
  if (replica == nullptr || replica->broken()) {
    return net::refusal(ErrorCode::noSuchGroup,
                        "group id:" + std::to_string(group) + ": no replica works here");
  }
  const std::string& name = replica->record().name;
  switch (verb) {
    case schema::Peer::Verb::TRANSFER:
      if (!replica->group().leads()) {
        return net::refusal(ErrorCode::notLeader, "group " + name + ": not led here");
      }
      replica->group().transfer(argument);
      replica->touch();
      return uint64_t{0};
    case schema::Peer::Verb::SNAPSHOT:
      return snapshotNow(*replica);
    case schema::Peer::Verb::RETRY: {
      bool faulted = replica->group().fault().has_value() || replica->group().refusesQueries();
      bool quarantined = replica->group().quarantinedAt() != 0;  // it would only come to the same
      if (!faulted || quarantined) return uint64_t{0};
      parts_->marks->forget(replica->record().key);
      replica->group().refuseQueries({});
      replica->group().retry();
      replica->touch();
      return uint64_t{1};
    }
    case schema::Peer::Verb::REBUILD: {
      if (parts_->entriesVersion < kRebuildVersion) {
        return net::refusal(ErrorCode::unavailable,
                            "group " + name +
                                ": not every host is known to run a version that can give a "
                                "replica its snapshot; try again");
      }
      if (replica->group().core().configuration().voters.size() +
              replica->group().core().configuration().learners.size() <
          2) {
        return net::refusal(ErrorCode::badRequest,
                            "group " + name + ": it has no other replica to be rebuilt from");
      }
      parts_->marks->forget(replica->record().key);
      replica->group().refuseQueries({});
      replica->group().rebuild();
      replica->touch();
      return uint64_t{0};
    }
  }
  return net::refusal(ErrorCode::badRequest, "group " + name + ": this version cannot do that");
}

// Opened here, once, whatever comes of it; then its machine is tried with what this replica holds.
kj::Promise<void> Host::tryPlugin(Replica& replica, std::string sha256) {
  auto open = [this, sha256]() -> Result<void> {
    auto opened = parts_->plugins->descriptor(sha256);
    if (!opened) return opened.fault();
    return {};
  };
  return parts_->files.run(std::move(open))
      .then([this, hold = replica.shared_from_this(),
             sha256](Result<void> opened) -> kj::Promise<void> {
        if (!opened) return net::refusal(opened.fault());
        auto paf = kj::newPromiseAndFulfiller<void>();
        uint64_t id = ++parts_->lastTrial;
        parts_->trials[id] = kj::mv(paf.fulfiller);
        // What goes to the workers must not own anything of the loop's: it may end there.
        hold->lane().tryPlugin(sha256, [&trials = parts_->trials, id](const Result<void>& tried) {
          auto trial = trials.find(id);
          if (trial == trials.end()) return;
          if (tried) {
            trial->second->fulfill();
          } else {
            trial->second->reject(net::refusal(tried.fault()));
          }
        });
        return parts_->timer.timeoutAfter(kTrialTime, kj::mv(paf.promise))
            .attach(hold, kj::defer([this, id]() { parts_->trials.erase(id); }));
      });
}

kj::Promise<uint64_t> Host::switchPlugin(Replica& replica, const std::string& sha256) {
  auto paf = kj::newPromiseAndFulfiller<Outcomes>();
  auto batch = kj::refcounted<AwaitedBatch>(CallKind::commands, 1, kj::mv(paf.fulfiller));
  replica.group().switchPlugin(sha256, parts_->calls.add(kj::mv(batch), 0));
  replica.touch();
  return paf.promise.then([this](Outcomes outcomes) -> uint64_t {
    const group::Outcome& outcome = outcomes.front();
    if (!outcome.ok()) {
      kj::throwFatalException(net::refusal(outcome.code, std::string(outcome.body.view())));
    }
    parts_->keeper.wake();
    return outcome.position.index;
  });
}

kj::Promise<uint64_t> Host::upgrade(uint64_t group, std::string sha256, bool switches) {
  Replica* replica = parts_->replicas.find(group);
  if (replica == nullptr || replica->broken()) {
    return net::refusal(ErrorCode::unavailable,
                        "group id:" + std::to_string(group) + ": no replica works here");
  }
  // A peer's words, which are to become an entry: what is here is a plugin.
  if (!hasPlugin(sha256)) {
    return net::refusal(ErrorCode::unavailable, "the plugin's file has not come here yet");
  }
  if (switches) return switchPlugin(*replica, sha256);
  return tryPlugin(*replica, std::move(sha256)).then([]() { return uint64_t{0}; });
}

kj::Promise<uint64_t> Host::snapshotNow(Replica& replica) {
  return askGroup(replica, &group::Group::requestSnapshot);
}

kj::Promise<uint64_t> Host::syncNow(Replica& replica) {
  return askGroup(replica, &group::Group::requestSync);
}

kj::Promise<uint64_t> Host::askGroup(Replica& replica, void (group::Group::*ask)(group::CallId)) {
  auto paf = kj::newPromiseAndFulfiller<Outcomes>();
  auto batch = kj::refcounted<AwaitedBatch>(CallKind::commands, 1, kj::mv(paf.fulfiller));
  (replica.group().*ask)(parts_->calls.add(kj::mv(batch), 0));
  replica.touch();
  return paf.promise.then([](Outcomes outcomes) -> uint64_t {
    const group::Outcome& outcome = outcomes.front();
    if (!outcome.ok()) {
      kj::throwFatalException(net::refusal(outcome.code, std::string(outcome.body.view())));
    }
    return outcome.position.index;
  });
}

}  // namespace flotilla::runtime
