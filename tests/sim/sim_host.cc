// One host of a simulated world.
#include "tests/sim/sim_host.h"

#include <utility>

#include "host/group/snapshot.h"
#include "tests/sim/world.h"
#include "tests/support/memory_file.h"

namespace flotilla::sim {
namespace {

group::GroupOptions groupOptions(const Options& from, uint64_t host, group::ReplicaKey key,
                                 uint64_t seed) {
  group::GroupOptions to;
  to.key = key;
  to.core.self = key.replica;
  to.core.seed = seed;
  to.core.electionTicks = from.electionTicks;
  to.core.heartbeatTicks = from.heartbeatTicks;
  to.core.preVote = from.preVote;
  to.core.checkQuorum = from.checkQuorum;
  to.core.leaseReads = from.leaseReads;
  to.core.lazyCommit = from.lazyCommit;
  to.core.quietTicks = from.quietTicks;
  to.core.settledTicks = from.settledTicks;
  to.core.sleepTicks = from.sleepTicks;
  to.core.appendEntriesMax = from.appendEntriesMax;
  to.core.inflightMax = from.inflightMax;
  to.core.uncommittedBytesMax = from.uncommittedBytesMax;
  to.core.promotionLagMax = from.promotionLagMax;
  to.limits.entryCommandsMax = from.entryCommandsMax;
  to.limits.tailBytesMax = from.tailBytesMax;
  to.limits.applyBatchEntriesMax = from.applyBatchEntriesMax;
  to.limits.appendFetchesMax = from.appendFetchesMax;
  to.core.leaseLateTicks = 1;
  to.tickUs = from.tickUs;
  to.callTimeoutTicks = from.electionTicks * 10;
  to.snapshotEveryEntries = from.snapshotEveryEntries;
  to.keepEntries = from.keepEntries;
  to.logBytesMax = from.logBytesMax;
  to.digestEveryEntries = from.digestEveryEntries;
  to.digestEveryUs = from.digestEveryUs;
  if (from.mixed && host % 2 == 0) {
    to.core.preVote = !from.preVote;
    to.core.checkQuorum = !from.checkQuorum;
    to.core.lazyCommit = !from.lazyCommit;
    to.core.electionTicks = from.electionTicks * 3 / 2;
    to.core.appendEntriesMax = 1 + from.appendEntriesMax / 2;
    to.core.inflightMax = 1 + from.inflightMax / 2;
    to.limits.entryCommandsMax = 1 + from.entryCommandsMax / 2;
    to.snapshotEveryEntries = from.snapshotEveryEntries * 2;
    to.entriesVersion = group::kRunsVersion - 1;
  }
  return to;
}

}  // namespace

// Owner:  SimHost. Thread: one. Errors: the judge's.
class SimHost::JudgedDisk final : public group::Disk {
public:
  JudgedDisk(World& world, SimDisk& disk) : world_(world), disk_(disk) {}
  void write(group::ReplicaKey replica, group::DiskWrite write) override {
    world_.judge.writes(replica, write);
    judgePlaces(replica, write.state.shape.base());
    disk_.write(replica, std::move(write));
  }
  void fetch(group::ReplicaKey replica, group::DiskFetch fetch) override {
    ++world_.report[Count::fetches];
    disk_.fetch(replica, fetch);
  }

private:
  // What a machine on disk has not yet made durable must stay in the log.
  void judgePlaces(group::ReplicaKey replica, raft::LogPoint base) {
    if (!world_.options.onDisk || base.index == 0) return;
    raft::Index durable = 0;
    for (const auto& [generation, place] : disk_.places(replica)) {
      durable = std::max(durable, place->kept.at.index);
    }
    if (durable >= base.index) return;
    world_.judge.fail(nameOf(replica), "cuts its log off at " + std::to_string(base.index) +
                                           ", its machine on disk stands at " +
                                           std::to_string(durable));
  }

  World& world_;
  SimDisk& disk_;
};

SimHost::SimHost(World& world, uint64_t id, uint32_t ratePermille, int64_t wallUs)
    : world_(world),
      id_(id),
      clock_(world.events, ratePermille, wallUs),
      tails_(world.options.tailRoomBytes, world.options.tailRoomBytes / 10),
      disk_(world.events, world.dice, world.options, *this),
      judgedDisk_(std::make_unique<JudgedDisk>(world, disk_)),
      sleepers_(id) {}

SimHost::~SimHost() = default;

// ---- replicas ----------------------------------------------------------------------------------

void SimHost::create(ReplicaRecord record) {
  records_.insert_or_assign(record.key, record);
  if (up_) open(record);
}

void SimHost::wipe(group::ReplicaKey key) {
  records_.erase(key);
  if (Replica* replica = at(key)) replica->group->stop();
  if (Replica* replica = at(key)) calendar_.drop(replica);
  replicas_.erase(key);
  sleepers_.woke(key.group);
  disk_.forget(key);
  disk_.places(key).clear();
  ++world_.report[Count::wipes];
}

SimHost::Replica* SimHost::at(group::ReplicaKey key) {
  auto found = replicas_.find(key);
  return found == replicas_.end() ? nullptr : &found->second;
}

group::Group* SimHost::find(group::ReplicaKey key) {
  Replica* replica = at(key);
  return replica == nullptr ? nullptr : replica->group.get();
}

group::Group* SimHost::find(uint64_t group) {
  auto found = replicas_.lower_bound({group, 0});
  bool here = found != replicas_.end() && found->first.group == group;
  return here ? found->second.group.get() : nullptr;
}

SimLane* SimHost::lane(group::ReplicaKey key) {
  Replica* replica = at(key);
  return replica == nullptr ? nullptr : replica->lane.get();
}

// As runtime's Replica::start.
void SimHost::open(const ReplicaRecord& record) {
  group::Recovered recovered;
  if (const Stored* stored = disk_.safe(record.key)) {
    if (auto wrong = wrongWith(*stored)) world_.judge.fail(nameOf(record.key), "log: " + *wrong);
    recovered.state = stored->state;
  } else if (!record.initial.voters.empty()) {
    recovered.state.shape = raft::LogShape({}, record.initial);
  }
  bool sound = record.soundness == group::Soundness::sound;
  auto place = findPlace(record.key, recovered);
  if (!sound) place.reset();
  recovered.onDisk = place.has_value();
  if (sound && place) {
    recovered.machineAt = disk_.places(record.key).at(*place)->kept.at;
    recovered.snapshot = newestSnapshot(disk_.shelf(record.key), recovered.state.shape);
    if (!disk_.shelf(record.key).contains(recovered.snapshot.index)) recovered.snapshot = {};
  } else if (sound) {
    recovered.machineAt = newestSnapshot(disk_.shelf(record.key), recovered.state.shape);
  }
  recovered.soundness = record.soundness;
  recovered.unsoundAt = record.unsoundAt;
  world_.judge.started(record.key, recovered.state);

  Replica& replica = replicas_[record.key];
  replica.record = record;
  auto onLoop = [this, key = record.key](int64_t delayUs, std::function<void(group::Group&)> act) {
    post(delayUs, [this, key, act = std::move(act)]() {
      Replica* here = at(key);
      if (here == nullptr) return;
      act(*here->group);
      touch(*here);
    });
  };
  replica.lane = std::make_unique<SimLane>(
      record.key, SimLane::Begins{recovered.machineAt, recovered.state.generation, !sound, place},
      SimLane::Around{world_.events, world_.dice, world_.options, world_.judge, world_.report,
                      disk_, onLoop,
                      [this, key = record.key]() { return world_.breaksNow(id_, key); },
                      [this, key = record.key]() { return world_.straysNow(id_, key); }});
  replica.group = std::make_unique<group::Group>(
      groupOptions(world_.options, id_, record.key, world_.dice.next()), std::move(recovered),
      group::Ports{*judgedDisk_, *this, *replica.lane, *this, clock_, steps_, tails_, ticks_});
  if (disk_.isFull()) replica.group->volumeFull(true);
  touch(replica);
}

// ---- the process -------------------------------------------------------------------------------

void SimHost::start() {
  if (up_) return;
  up_ = true;
  ++boot_;
  world_.trace.note(world_.events.nowUs(), {2, id_, boot_},
                    [&]() { return "h" + std::to_string(id_) + " starts"; });
  for (const auto& [key, record] : records_) open(record);
  tickLater();
}

void SimHost::crash() {
  if (!up_) return;
  up_ = false;
  paused_ = false;
  ++boot_;
  backlog_.clear();
  calls_.clear();
  calendar_.clear();
  replicas_.clear();
  marked_.clear();
  sleepers_ = group::Sleepers(id_);
  flushDue_ = false;
  ticksDue_ = 0;
  size_t lost = disk_.crash();
  world_.report[Count::lostWrites] += lost;
  world_.trace.note(world_.events.nowUs(), {3, id_, lost}, [&]() {
    return "h" + std::to_string(id_) + " crashes, writes lost: " + std::to_string(lost);
  });
}

void SimHost::loseDisk() {
  crash();
  disk_.lose();
  records_.clear();
  world_.trace.note(world_.events.nowUs(), {11, id_},
                    [&]() { return "h" + std::to_string(id_) + " loses its disk"; });
}

void SimHost::pause() {
  if (up_) paused_ = true;
}

void SimHost::resume() {
  if (!paused_) return;
  paused_ = false;
  uint64_t boot = boot_;
  if (world_.options.losesTicks) ticksDue_ = std::min(ticksDue_, 1U);
  for (; ticksDue_ > 0 && boot == boot_; --ticksDue_) tickAll();
  std::deque<Events::Act> backlog;
  std::swap(backlog, backlog_);
  for (Events::Act& act : backlog) {
    if (boot == boot_) act();  // one of them may end this process
  }
}

void SimHost::post(int64_t delayUs, Events::Act act) {
  world_.events.in(delayUs, [this, boot = boot_, act = std::move(act)]() mutable {
    if (boot != boot_) return;
    if (!paused_) return act();
    if (backlog_.size() < kBacklogMax) backlog_.push_back(std::move(act));
  });
}

void SimHost::tickLater() {
  int64_t us = clock_.worldUs(world_.options.tickUs);
  world_.events.in(us, [this, boot = boot_]() {
    if (boot != boot_) return;
    if (paused_) {
      ++ticksDue_;
    } else {
      tickAll();
    }
    tickLater();
  });
}

// As runtime's ReplicaSet::tick; or each replica that is awake is given each tick.
void SimHost::tickAll() {
  if (world_.options.sleepTicks != 0) tickSleepers();
  ++ticks_;
  if (!world_.options.leavesTicksOut) {
    for (auto& [key, replica] : replicas_) {
      if (!replica.group->idle()) tick(replica);
    }
    return;
  }
  for (const auto& [key, replica] : replicas_) {
    bool isSpared = replica.tickPlace.lookedAt != 0 && replica.tickPlace.at > ticks_;
    if (isSpared) ++world_.report[Count::ticksLeftOut];
  }
  calendar_.goOn(ticks_, [&](Replica* replica) {
    tick(*replica);
    return true;
  });
}

void SimHost::tick(Replica& replica) {
  replica.lane->giveLate(*replica.group);
  replica.group->tick();
  touch(replica);
}

void SimHost::planTick(Replica& replica) {
  if (!world_.options.leavesTicksOut) return;
  if (replica.tickPlace.plan(replica.group->nextTick())) calendar_.put(&replica);
}

// As runtime's ReplicaSet::isFirst.
bool SimHost::isFirst(uint64_t group) const {
  std::vector<uint64_t> hosts;
  for (const auto& [key, replica] : replicas_) {
    if (key.group != group) continue;
    const raft::Core& core = replica.group->core();
    for (raft::ReplicaId voter : core.configuration().voters) {
      uint64_t host = world_.hostOf({group, voter});
      bool stands = host == id_ || (host != 0 && world_.hosts[host - 1]->up());
      if (voter != core.leader() && stands) hosts.push_back(host);
    }
  }
  return group::firstToStand(group, hosts) == id_;
}

void SimHost::tickSleepers() {
  for (group::Woken woken : sleepers_.tick()) {
    raft::Wake wake{.leaderGone = woken.leaderGone, .first = isFirst(woken.group)};
    onGroup(woken.group, [wake](group::Group& its) { its.wake(wake); });
  }
  if ((ticks_ + 1) % group::Sleepers::kBeatTicks != 0) return;
  for (auto& other : world_.hosts) {
    if (other.get() == this || !world_.network.passes(id_, other->id())) continue;
    group::Beat beat{boot_, sleepers_.digestFor(other->id())};
    SimHost* to = other.get();
    world_.events.in(world_.network.delayUs(),
                     [to, from = id_, beat]() { to->heardBeat(from, beat); });
  }
}

void SimHost::heardBeat(uint64_t host, group::Beat beat) {
  if (up_) post(0, [this, host, beat]() { sleepers_.heard(host, beat); });
}

// After every input: the judge looks, and the turn's end is asked for.
void SimHost::touch(Replica& replica) {
  planTick(replica);
  world_.judge.look(replica.record.key, *replica.group);
  if (!std::exchange(replica.marked, true)) marked_.push_back(replica.record.key);
  if (std::exchange(flushDue_, true)) return;
  post(static_cast<int64_t>(world_.dice.below(30)), [this]() { flush(); });
}

void SimHost::flush() {
  flushDue_ = false;
  std::vector<group::ReplicaKey> marked;
  std::swap(marked, marked_);
  for (group::ReplicaKey key : marked) {
    Replica* replica = at(key);
    if (replica == nullptr) continue;
    replica->marked = false;
    replica->group->flush();
    planTick(*replica);
    world_.judge.look(key, *replica->group);
    recordSoundness(*replica);
    sweepPlaces(*replica);
    bool sleeps = replica->group->core().asleep();
    if (sleeps && !replica->slept) ++world_.report[Count::sleeps];
    replica->slept = sleeps;
    if (sleeps) {
      sleepers_.sleeps(key.group, sleeperOf(*replica));
    } else {
      sleepers_.woke(key.group);
    }
  }
}

group::Sleeper SimHost::sleeperOf(const Replica& replica) const {
  const raft::Core& core = replica.group->core();
  uint64_t group = replica.record.key.group;
  group::Sleeper sleeper{
      1, core.shape().last(), core.term(), world_.hostOf({group, core.leader()}), {}, {}};
  for (const raft::PeerProgress& peer : core.progress()) {
    (peer.rests ? sleeper.along : sleeper.awaiting).push_back(world_.hostOf({group, peer.replica}));
  }
  return sleeper;
}

void SimHost::onGroup(uint64_t group, const std::function<void(group::Group&)>& act) {
  auto found = replicas_.lower_bound({group, 0});
  if (found == replicas_.end() || found->first.group != group) return;
  act(*found->second.group);
  touch(found->second);
}

// ---- the disk ----------------------------------------------------------------------------------

void SimHost::persisted(group::ReplicaKey key, raft::WriteId write) {
  post(0, [this, key, write]() {
    Replica* replica = at(key);
    if (replica == nullptr) return;
    world_.trace.note(world_.events.nowUs(), {4, key.group, key.replica, write},
                      [&]() { return nameOf(key) + " persisted " + std::to_string(write); });
    replica->lane->giveLate(*replica->group);
    replica->group->persisted(write);
    touch(*replica);
  });
}

void SimHost::fetched(group::ReplicaKey key, group::Fetched fetched) {
  auto shared = std::make_shared<group::Fetched>(std::move(fetched));
  post(0, [this, key, shared]() {
    Replica* replica = at(key);
    if (replica == nullptr) return;
    replica->group->fetched(*shared);
    touch(*replica);
  });
}

void SimHost::volumeFull(bool full) {
  post(0, [this, full]() {
    for (auto& [key, replica] : replicas_) {
      replica.group->volumeFull(full);
      touch(replica);
    }
  });
}

// The host stops; until then it goes on for a moment, and must not promise anything.
void SimHost::diskFailed() {
  post(static_cast<int64_t>(world_.dice.below(20'000)), [this]() {
    crash();
    world_.startLater(*this);
  });
}

// ---- the way out, and in -----------------------------------------------------------------------

void SimHost::send(group::PeerMessage&& message) {
  world_.judge.sends(message);
  uint64_t to = world_.hostOf({message.group, message.message.to});
  if (to != 0) world_.network.send(id_, to, std::move(message));
}

void SimHost::receive(group::PeerMessage message) {
  if (!up_) return;
  auto shared = std::make_shared<group::PeerMessage>(std::move(message));
  post(0, [this, shared]() {
    Replica* replica = at({shared->group, shared->message.to});
    if (replica == nullptr) return;
    replica->lane->giveLate(*replica->group);
    replica->group->receive(std::move(*shared));
    touch(*replica);
  });
}

void SimHost::peerBack(uint64_t host) {
  post(0, [this, host]() { sleepers_.back(host); });
}

void SimHost::peerDown(uint64_t host) {
  post(0, [this, host]() {
    sleepers_.gone(host);
    for (auto& [key, replica] : replicas_) {
      raft::ReplicaId peer = world_.replicaOn(key.group, host);
      if (peer == 0 || replica.group->core().asleep()) continue;
      replica.group->unreachable(peer);
      touch(replica);
    }
  });
}

// ---- callers -----------------------------------------------------------------------------------

group::CallId SimHost::expect(Answer answer) {
  group::CallId call = world_.newCall();
  calls_.emplace(call, std::move(answer));
  return call;
}

void SimHost::answer(group::CallId call, group::Outcome outcome) {
  auto found = calls_.find(call);
  if (found == calls_.end()) {
    world_.judge.fail("h" + std::to_string(id_), "a call is answered twice, or nobody's");
    return;
  }
  Answer answer = std::move(found->second);
  calls_.erase(found);
  answer(outcome);
}

}  // namespace flotilla::sim
