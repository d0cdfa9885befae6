// All replicas of this host, and what comes for them.
#include "host/runtime/replica_set.h"

#include "host/base/log.h"
#include "host/runtime/apply_pool.h"
#include "host/runtime/snapshot_transfer.h"

namespace flotilla::runtime {
namespace {

constexpr int64_t kRelieveUs = 500'000;  // a worker held for longer is not counted on

group::Sleeper sleeperOf(const Replica& replica) {
  const raft::Core& core = replica.group().core();
  const StoredReplica& record = replica.record();
  group::Sleeper sleeper;
  sleeper.incarnation = record.incarnation;
  sleeper.last = core.shape().last();
  sleeper.term = core.term();
  sleeper.leader = record.hostOf(core.leader());
  for (const raft::PeerProgress& peer : core.progress()) {
    (peer.rests ? sleeper.along : sleeper.awaiting).push_back(record.hostOf(peer.replica));
  }
  return sleeper;
}

}  // namespace

void ReplicaSet::add(std::shared_ptr<Replica> replica) {
  uint64_t group = replica->record().key.group;
  replicas_.insert_or_assign(group, std::move(replica));
}

void ReplicaSet::remove(uint64_t group) {
  auto at = replicas_.find(group);
  if (at == replicas_.end()) return;
  if (!at->second->broken()) at->second->group().stop();
  sleepers_.woke(group);
  std::erase(ticking_, at->second);
  replicas_.erase(at);
}

Replica* ReplicaSet::find(uint64_t group) const {
  auto at = replicas_.find(group);
  return at == replicas_.end() ? nullptr : at->second.get();
}

Replica* ReplicaSet::find(group::ReplicaKey key) const {
  Replica* replica = find(key.group);
  return replica != nullptr && replica->record().key == key ? replica : nullptr;
}

kj::Promise<void> ReplicaSet::tickLoop(kj::Timer& timer, uint64_t boot) {
  return timer.afterDelay(Replica::kTickMs * kj::MILLISECONDS).then([this, &timer, boot]() {
    tick(boot);
    pool_.relieve(kRelieveUs);
    return tickLoop(timer, boot);
  });
}

// A sleeping group costs nothing here.
void ReplicaSet::tick(uint64_t boot) {
  for (uint64_t group : sleepers_.tick()) {
    Replica* replica = find(group);
    if (replica == nullptr || replica->broken()) continue;
    replica->group().wake();
    replica->touch();
  }
  std::swap(ticking_, ticked_);
  for (std::shared_ptr<Replica>& replica : ticked_) {
    bool here = find(replica->record().key) == replica.get();
    if (here) replica->tick();
    replica->ticking = here && !replica->group().idle();
    if (replica->ticking) ticking_.push_back(std::move(replica));
  }
  ticked_.clear();
  if (++ticks_ % group::Sleepers::kBeatTicks != 0 || network_ == nullptr) return;
  for (uint64_t host : network_->hosts()) {
    network_->sendBeat(host, {boot, sleepers_.digestFor(host)});
  }
}

void ReplicaSet::turned(Replica& replica) {
  const group::Group& group = replica.group();
  uint64_t id = replica.record().key.group;
  if (group.core().asleep()) {
    sleepers_.sleeps(id, sleeperOf(replica));
  } else if (sleepers_.count() > 0) {
    sleepers_.woke(id);
  }
  if (replica.ticking || group.idle()) return;
  replica.ticking = true;
  ticking_.push_back(replica.shared_from_this());
}

void ReplicaSet::received(uint64_t host, std::vector<group::PeerMessage> messages) {
  for (group::PeerMessage& message : messages) {
    Replica* replica = find(message.group);
    if (replica == nullptr || replica->broken()) continue;
    const StoredReplica& record = replica->record();
    // Nobody speaks for another host's replica, nor to a predecessor of ours.
    if (record.incarnation != message.incarnation) continue;
    if (record.key.replica != message.message.to) continue;
    if (record.hostOf(message.message.from) != host) continue;
    replica->group().receive(std::move(message));
    replica->touch();
  }
}

void ReplicaSet::hostDown(uint64_t host) {
  sleepers_.gone(host);
  for (auto& [group, replica] : replicas_) {
    raft::ReplicaId peer = replica->record().replicaOn(host);
    if (peer == 0 || replica->broken() || replica->group().core().asleep()) continue;
    replica->group().unreachable(peer);
    replica->touch();
  }
}

void ReplicaSet::send(group::PeerMessage message) {
  Replica* replica = find(message.group);
  if (replica == nullptr || network_ == nullptr) return;
  uint64_t host = replica->record().hostOf(message.message.to);
  if (host != 0) network_->send(host, std::move(message));
}

void ReplicaSet::sendSnapshot(group::ReplicaKey from, raft::Message head) {
  Replica* replica = find(from);
  raft::LogPoint point = head.after;
  raft::ReplicaId to = head.to;
  uint64_t host = replica == nullptr ? 0 : replica->record().hostOf(to);
  if (host == 0 || network_ == nullptr) return;
  group::PeerMessage message;
  message.group = from.group;
  message.incarnation = replica->record().incarnation;
  message.message = std::move(head);
  store::SnapshotFiles* snapshots = &replica->room().snapshots();
  auto open = [this, snapshots, from, point]() {
    return openSnapshotSource(files_, *snapshots, from, point);
  };
  auto sent = network_->sendSnapshot(host, std::move(message), std::move(open))
                  .then([this, from, to, point]() { snapshotEnded(from, to, point, true); })
                  .eagerlyEvaluate([this, from, to, point](kj::Exception&& exception) {
                    base::logWarn("group id:" + std::to_string(from.group) +
                                  ": snapshot for replica " + std::to_string(to) +
                                  " did not arrive: " + exception.getDescription().cStr());
                    snapshotEnded(from, to, point, false);
                  });
  snapshots_.insert_or_assign(std::make_pair(from, to), kj::mv(sent));
}

void ReplicaSet::snapshotEnded(group::ReplicaKey from, raft::ReplicaId to, raft::LogPoint point,
                               bool ok) {
  Replica* replica = find(from);
  if (replica == nullptr || replica->broken()) return;
  replica->group().snapshotSent({.to = to, .point = point, .ok = ok});
  replica->touch();
}

kj::Promise<void> ReplicaSet::forgetLog(VolumeRoom& room, group::ReplicaKey key) {
  auto paf = kj::newPromiseAndFulfiller<void>();
  forgetting_[key] = kj::mv(paf.fulfiller);
  room.log().forget(key);
  return kj::mv(paf.promise);
}

void ReplicaSet::persisted(const Written& writes) {
  for (const auto& [key, write] : writes) {
    Replica* replica = find(key);
    if (replica == nullptr || replica->broken()) continue;
    replica->group().persisted(write);
    replica->touch();
  }
}

void ReplicaSet::fetched(group::ReplicaKey key, group::Fetched fetched) {
  Replica* replica = find(key);
  if (replica == nullptr || replica->broken()) return;
  replica->group().fetched(std::move(fetched));
  replica->touch();
}

void ReplicaSet::forgotten(group::ReplicaKey key) {
  auto at = forgetting_.find(key);
  if (at == forgetting_.end()) return;
  at->second->fulfill();
  forgetting_.erase(at);
}

void ReplicaSet::damaged(group::ReplicaKey key, Fault fault) {
  Replica* replica = find(key);
  if (replica != nullptr) replica->breakWith(std::move(fault));
}

void ReplicaSet::volumeFull(VolumeRoom& room, bool full) {
  if (full) {
    base::logError("volume " + room.name() +
                   ": full; its groups are read-only until there is room");
  } else {
    base::logInfo("volume " + room.name() + ": has room again; its groups take commands");
  }
  for (auto& [group, replica] : replicas_) {
    if (&replica->room() != &room || replica->broken()) continue;
    replica->group().volumeFull(full);
    replica->touch();
  }
}

void ReplicaSet::diskFailed(Fault fault) {
  if (onFailed) onFailed(fault);
}

}  // namespace flotilla::runtime
