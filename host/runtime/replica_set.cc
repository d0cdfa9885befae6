// All replicas of this host, and what comes for them.
#include "host/runtime/replica_set.h"

#include <algorithm>
#include <malloc.h>

#include "host/base/log.h"
#include "host/runtime/io_thread.h"
#include "host/runtime/ready_lanes.h"

// jemalloc's, where the program is linked with it.
extern "C" int mallctl(const char*, void*, size_t*, void*, size_t) __attribute__((weak));

namespace flotilla::runtime {
namespace {

constexpr raft::Index kLagMax = 64;    // entries behind which a leadership can be given back
constexpr uint64_t kBusyTicks = 100;   // between two looks at who is busy
constexpr size_t kManySleepers = 256;  // more that fell asleep are worth a look for free memory ...
constexpr uint64_t kCalmTicks = 40;    // ... once no other does
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
  if (!replica->broken()) replica->group().meter(busy_.others());
  replicas_.insert_or_assign(group, std::move(replica));
}

void ReplicaSet::remove(uint64_t group) {
  auto at = replicas_.find(group);
  if (at == replicas_.end()) return;
  if (!at->second->broken()) {
    at->second->group().meter(busy_.others());
    at->second->group().stop();
  }
  busy_.forget(group);
  sleepers_.woke(group);
  calendar_.drop(at->second);
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
    inbox_.lookForLeft();
    tick(boot);
    pools_.apply.pool().relieve(kRelieveUs);
    pools_.queries.relieve(kRelieveUs);
    return tickLoop(timer, boot);
  });
}

bool ReplicaSet::isUp(uint64_t host) const {
  return host == host_ || (network_ != nullptr && network_->isUp(host));
}

// Where a group's leader is gone: whether the replica here is to stand before the others that may.
bool ReplicaSet::isFirst(const Replica& replica) const {
  const raft::Core& core = replica.group().core();
  std::vector<uint64_t> hosts;
  for (raft::ReplicaId voter : core.configuration().voters) {
    uint64_t host = replica.record().hostOf(voter);
    if (voter != core.leader() && isUp(host)) hosts.push_back(host);
  }
  return group::firstToStand(replica.record().key.group, hosts) == host_;
}

// A sleeping group costs nothing here.
void ReplicaSet::tick(uint64_t boot) {
  for (group::Woken woken : sleepers_.tick()) {
    Replica* replica = find(woken.group);
    if (replica == nullptr || replica->broken()) continue;
    replica->group().wake({.leaderGone = woken.leaderGone, .first = isFirst(*replica)});
    replica->touch();
  }
  ++ticks_;
  calendar_.goOn(ticks_, [this](const std::shared_ptr<Replica>& it) { return tick(*it); });
  returns_.tick([this](LeaderReturn::Led led, uint64_t host) { return giveBack(led, host); });
  giveMemoryBack();
  makeRoom();
  if (ticks_ % kBusyTicks == 0) lookWhoIsBusy();
  if (ticks_ % group::Sleepers::kBeatTicks != 0 || network_ == nullptr) return;
  for (uint64_t host : network_->hosts()) {
    network_->sendBeat(host, {boot, sleepers_.digestFor(host)});
  }
}

// False: it is not here any more.
bool ReplicaSet::tick(Replica& replica) {
  if (find(replica.record().key) != &replica) return false;
  replica.tick();
  // It was woken by a call, and its leader's host has been gone for a while.
  const raft::Core& core = replica.group().core();
  if (core.callsLeader() && !isUp(replica.record().hostOf(core.leader()))) {
    bool first = isFirst(replica);
    replica.give(
        [first](group::Group& group) { group.wake({.leaderGone = true, .first = first}); });
  }
  return true;
}

void ReplicaSet::sooner(Replica& replica) {
  calendar_.put(replica.shared_from_this());
}

// A vote for oneself is a candidacy, and nothing else is.
void ReplicaSet::countElections(Replica& replica) {
  const raft::Core& core = replica.group().core();
  if (core.hard().vote != core.self()) return;
  if (core.term() > replica.stoodIn) {
    replica.stoodIn = core.term();
    ++elections_;
  }
  if (core.role() == raft::Role::leader && core.term() > replica.ledIn) {
    replica.ledIn = core.term();
    ++electionsWon_;
  }
}

// Groups led here whose catalog wants them led there.
std::vector<LeaderReturn::Led> ReplicaSet::ledFor(uint64_t host) const {
  std::vector<LeaderReturn::Led> led;
  for (const auto& [group, replica] : replicas_) {
    if (replica->broken() || !replica->group().leads()) continue;
    const StoredReplica& record = replica->record();
    if (host == host_ || record.hostOf(record.preferredLeader) != host) continue;
    led.push_back({group, replica->group().core().term()});
  }
  return led;
}

LeaderReturn::Answer ReplicaSet::giveBack(LeaderReturn::Led led, uint64_t host) {
  using Answer = LeaderReturn::Answer;
  Replica* replica = find(led.group);
  if (replica == nullptr || replica->broken()) return Answer::never;
  const raft::Core& core = replica->group().core();
  if (!core.leads(led.term)) return Answer::never;
  raft::ReplicaId to = replica->record().preferredLeader;
  const std::vector<raft::ReplicaId>& voters = core.configuration().voters;
  if (replica->record().hostOf(to) != host) return Answer::never;
  if (std::find(voters.begin(), voters.end(), to) == voters.end()) return Answer::never;
  bool settled = core.transferee() == 0 && !core.configuration().joint() &&
                 core.shape().termAt(core.commit()) == core.term();
  for (const raft::PeerProgress& peer : core.progress()) {
    if (peer.replica != to) continue;
    bool hears = peer.active || (core.asleep() && peer.rests);
    bool hasAll = peer.match + kLagMax >= core.shape().lastIndex() &&
                  peer.state == raft::ProgressState::replicate;
    if (!settled || !hears || !hasAll) return Answer::notNow;
    replica->group().transfer(to);
    replica->touch();
    return Answer::given;
  }
  return Answer::notNow;
}

// What thousands of groups let go when they fell asleep lies about in pieces until the allocator
// is asked for it.
void ReplicaSet::giveMemoryBack() {
  if (fellAsleep_ < kManySleepers || ticks_ - fellAsleepAt_ < kCalmTicks) return;
  fellAsleep_ = 0;
  files_.post([]() {
    if (mallctl != nullptr) {
      mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);  // 4096: of all arenas
    } else {
      ::malloc_trim(0);
    }
  });
}

void ReplicaSet::lookWhoIsBusy() {
  std::vector<BusyGroups::Seen> seen;
  for (const auto& [group, replica] : replicas_) {
    if (replica->calls == 0) continue;
    // The catalog's calls are the hosts' own.
    if (group != 0) seen.push_back({group, replica->calls});
    replica->calls = 0;
  }
  busy_.look(std::move(seen), [this](uint64_t group, group::Meters& meters) {
    Replica* replica = find(group);
    if (replica != nullptr && !replica->broken()) replica->group().meter(meters);
  });
}

void ReplicaSet::hostUp(uint64_t host) {
  sleepers_.back(host);
  returns_.hostUp(host, ledFor(host));
}

void ReplicaSet::turned(Replica& replica) {
  countElections(replica);
  const group::Group& group = replica.group();
  if (roomMaker_.isMaking(replica.record().key) && !group.makesRoom()) makeRoom();
  uint64_t id = replica.record().key.group;
  if (group.core().asleep()) {
    size_t before = sleepers_.count();
    sleepers_.sleeps(id, sleeperOf(replica));
    if (sleepers_.count() > before) {
      ++fellAsleep_;
      fellAsleepAt_ = ticks_;
    }
  } else if (sleepers_.count() > 0) {
    sleepers_.woke(id);
  }
  replica.planTick();
}

void ReplicaSet::received(uint64_t host, std::vector<group::PeerMessage> messages) {
  ReadyLanes::Span together(pools_.apply);
  std::vector<Replica*> found;
  found.reserve(messages.size());
  for (const group::PeerMessage& message : messages) found.push_back(find(message.group));
  for (size_t i = 0; i < messages.size(); ++i) {
    fetchAhead(found, i);
    group::PeerMessage& message = messages[i];
    Replica* replica = found[i];
    if (replica == nullptr || replica->broken()) continue;
    const StoredReplica& record = replica->record();
    // Nobody speaks for another host's replica, nor to a predecessor of ours.
    if (record.incarnation != message.incarnation) continue;
    if (record.key.replica != message.message.to) continue;
    if (record.hostOf(message.message.from) != host) continue;
    replica->give([&](group::Group& group) { group.receive(std::move(message)); });
  }
}

void ReplicaSet::hostDown(uint64_t host) {
  sleepers_.gone(host);
  returns_.hostDown(host);
  for (auto& [group, replica] : replicas_) {
    raft::ReplicaId peer = replica->record().replicaOn(host);
    if (peer == 0 || replica->broken() || replica->group().core().asleep()) continue;
    replica->group().unreachable(peer);
    replica->touch();
  }
}

void ReplicaSet::send(group::PeerMessage&& message) {
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
  auto progress = std::make_shared<SnapshotProgress>();
  auto open = [this, snapshots, from, point, progress]() {
    auto damaged = [this, from, point]() {
      Replica* here = find(from);
      if (here == nullptr || here->broken()) return;
      here->group().snapshotLost(point);
      here->touch();
    };
    return openSnapshotSource(files_, *snapshots, from, point, progress, std::move(damaged));
  };
  auto sent = network_->sendSnapshot(host, std::move(message), std::move(open))
                  .then([this, from, to, point, progress]() {
                    *progress = {};
                    snapshotEnded(from, to, point, true);
                  })
                  .eagerlyEvaluate([this, from, to, point, progress](kj::Exception&& exception) {
                    *progress = {};
                    base::logWarn("group id:" + std::to_string(from.group) +
                                  ": snapshot for replica " + std::to_string(to) +
                                  " did not arrive: " + exception.getDescription().cStr());
                    snapshotEnded(from, to, point, false);
                  });
  // The end of one may be what begins the next: a promise must not go from inside its own callback.
  auto place = snapshots_.find({from, to});
  if (place != snapshots_.end()) {
    kj::evalLater([before = kj::mv(place->second.promise)]() {}).detach([](kj::Exception&&) {});
    snapshots_.erase(place);
  }
  snapshots_.emplace(std::make_pair(from, to), Sending{kj::mv(sent), progress});
}

SnapshotProgress ReplicaSet::sending(group::ReplicaKey from, raft::ReplicaId to) const {
  auto at = snapshots_.find({from, to});
  return at == snapshots_.end() ? SnapshotProgress{} : *at->second.progress;
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
  ReadyLanes::Span together(pools_.apply);
  std::vector<Replica*> found;
  found.reserve(writes.size());
  for (const auto& [key, write] : writes) found.push_back(find(key.group));
  for (size_t i = 0; i < writes.size(); ++i) {
    fetchAhead(found, i);
    const auto& [key, write] = writes[i];
    Replica* replica = found[i];
    if (replica == nullptr || replica->record().key != key || replica->broken()) continue;
    replica->give([write = write](group::Group& group) { group.persisted(write); });
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

void ReplicaSet::crowded(const std::vector<group::ReplicaKey>& replicas) {
  makeRoom();  // who is done may be named again
  roomMaker_.name(replicas);
  makeRoom();
}

// A machine that is stuck may never save, and its place is another's then.
void ReplicaSet::makeRoom() {
  auto working = [this](group::ReplicaKey key) {
    Replica* replica = find(key);
    return replica != nullptr && !replica->broken() ? replica : nullptr;
  };
  roomMaker_.goOn(
      [&](group::ReplicaKey key) {
        Replica* replica = working(key);
        return replica != nullptr && replica->group().makesRoom() &&
               replica->machineState() != MachineState::stuck;
      },
      [&](group::ReplicaKey key) {
        Replica* replica = working(key);
        if (replica == nullptr) return;
        replica->give([](group::Group& group) { group.makeRoom(); });
        replica->touch();
      });
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
