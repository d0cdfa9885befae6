// One replica of this host.
#include "host/runtime/replica.h"

#include <algorithm>
#include <vector>

#include "host/base/log.h"
#include "host/plugin/crash_mark.h"
#include "host/plugin/descriptor.h"
#include "host/runtime/call_table.h"
#include "host/runtime/io_thread.h"
#include "host/runtime/machine_lane.h"
#include "host/runtime/save_pace.h"
#include "host/runtime/turn.h"

namespace flotilla::runtime {
namespace {

constexpr uint32_t kCallTimeoutMs = 10'000;
constexpr int64_t kSlowUs = 1'000'000;    // a worker that long in one lane is worth a word
constexpr uint32_t kEagerTicks = 40;      // a preferred leader stands this long at its start
constexpr uint32_t kStandAgainTicks = 5;  // where a whole host starts; a new group's at each
// Elections that a host begins a tick when it starts: ten thousand at once would keep each other
// from ending in time, and begin again.
constexpr uint32_t kStandsATick = 128;
constexpr uint32_t kWatchTicks = 10;
constexpr uint32_t kQuietHeartbeats = 3;    // for so many an entry does,
constexpr uint32_t kSettledHeartbeats = 4;  // and one that all have taken
// A log, which is in memory too, of so many times what a snapshot is made for takes no more: no
// snapshot keeps up, or the machine is stuck. One group's trouble is not its host's.
constexpr uint64_t kLogOfSnapshots = 8;
constexpr uint64_t kLogBytesMaxLeast = 256ULL << 20;

uint32_t ticksOf(uint32_t ms) {
  return std::max<uint32_t>(1, ms / Replica::kTickMs);
}

group::GroupOptions groupOptions(const StoredReplica& record, const catalog::GroupOptions& options,
                                 uint64_t boot) {
  group::GroupOptions to;
  to.key = record.key;
  to.incarnation = record.incarnation;
  to.core.self = record.key.replica;
  to.core.seed = (record.key.group * 0x9e3779b97f4a7c15ULL + record.key.replica) ^ (boot << 48);
  to.core.electionTicks = std::max<uint32_t>(2, ticksOf(options.electionTimeoutMs));
  to.core.heartbeatTicks = ticksOf(options.heartbeatMs);
  to.core.quietTicks = kQuietHeartbeats * to.core.heartbeatTicks;
  to.core.settledTicks = kSettledHeartbeats * to.core.heartbeatTicks;
  to.core.appendEntriesMax = options.appendEntriesMax;
  to.core.appendBytesMax = options.appendBytesMax;
  to.core.inflightMax = options.inflightMax;
  to.core.uncommittedBytesMax = options.uncommittedBytesMax;
  to.core.preVote = options.preVote;
  to.core.checkQuorum = options.checkQuorum;
  to.core.leaseReads = options.leaseReads;
  // The catalog is what hosts are told by: at once, and it stays awake.
  bool catalog = record.pluginSha256.empty();
  to.core.lazyCommit = !catalog;
  bool sleeps = options.sleepAfterMs != 0 && !catalog;
  to.core.sleepTicks = sleeps ? ticksOf(options.sleepAfterMs) : 0;
  to.core.leaseLateTicks = 1;
  to.tickUs = int64_t{Replica::kTickMs} * 1000;
  to.callTimeoutTicks = ticksOf(kCallTimeoutMs);
  to.snapshotEveryBytes = options.snapshotEveryBytes;
  to.keepEntries = options.keepEntries;
  to.logBytesMax = std::max(options.snapshotEveryBytes * kLogOfSnapshots, kLogBytesMaxLeast);
  to.digestEveryEntries = options.digestEveryEntries;
  to.entriesVersion = 1;  // for all that is known at a start
  to.digestEveryUs = int64_t{options.digestEveryMs} * 1000;
  return to;
}

group::Quotas quotasOf(const catalog::GroupOptions& options) {
  return {options.memoryBytesMax, options.applyTimePercentMax, options.callsPerSecondMax};
}

raft::Configuration initialConfiguration(const StoredReplica& record) {
  raft::Configuration configuration;
  configuration.voters = record.initialVoters;
  configuration.learners = record.initialLearners;
  std::sort(configuration.voters.begin(), configuration.voters.end());
  std::sort(configuration.learners.begin(), configuration.learners.end());
  return configuration;
}

}  // namespace

std::string_view nameOf(MachineState state) {
  switch (state) {
    case MachineState::loading:
      return "loading";
    case MachineState::running:
      return "running";
    case MachineState::slow:
      return "slow";
    case MachineState::stuck:
      return "stuck";
    case MachineState::faulted:
      return "faulted";
    case MachineState::quarantined:
      return "quarantined";
    case MachineState::rebuilding:
      return "rebuilding";
  }
  return "unknown";
}

std::shared_ptr<Replica> Replica::open(StoredReplica record, VolumeRoom& room,
                                       std::optional<store::RecoveredReplica> recovered,
                                       Surroundings& around, Crowd crowd) {
  auto options = catalog::readOptions(record.options);
  catalog::GroupOptions read = options ? *options : catalog::GroupOptions{};
  std::shared_ptr<Replica> replica(
      new Replica(std::move(record), std::move(read), room, around, crowd));
  if (!options) {
    replica->broken_ = options.fault();
  } else {
    replica->start(std::move(recovered), crowd.replicas / kStandsATick);
  }
  return replica;
}

Replica::Replica(StoredReplica record, catalog::GroupOptions options, VolumeRoom& room,
                 Surroundings& around, Crowd crowd)
    : record_(std::make_shared<const StoredReplica>(std::move(record))),
      around_(around),
      room_(room),
      optionsVersion_(record_->optionsVersion),
      begunAt_(around.ticks),
      standAgainTicks_(crowd.replicas == 0 ? 1 : kStandAgainTicks),
      options_(std::move(options)),
      optionTexts_(record_->options) {
  if (isPreferred()) standAt_ = 1 + crowd.standBefore / kStandsATick;
}

Replica::~Replica() {
  if (lane_) lane_->close();
}

void Replica::start(std::optional<store::RecoveredReplica> recovered, uint32_t patienceTicks) {
  if (recovered && recovered->fault) {
    broken_ = recovered->fault;
    return;
  }
  group::Recovered state;
  if (recovered) {
    state.state = std::move(recovered->state);
    state.logBytes = recovered->logBytes;
  } else {
    state.state.shape = raft::LogShape({}, initialConfiguration(*record_));
  }
  bool sound = record_->soundness == group::Soundness::sound;
  LaneOrder order;
  order.record = record_;
  order.waits = !sound;
  order.events = {options_.keepEvents, options_.keepEventBytes};
  findPlace(state, order);
  if (sound && !state.onDisk) {
    state.machineAt = newestSnapshot(state.state.shape).value_or(state.state.shape.base());
  }
  order.machineAt = state.machineAt;
  order.generation = state.state.generation;
  state.soundness = record_->soundness;
  state.unsoundAt = record_->unsoundAt;
  state.unsoundBecause = record_->unsoundBecause;

  lane_ = std::make_shared<MachineLane>(
      std::move(order),
      MachineLane::Around{around_.ready, around_.queries, around_.inbox, around_.saves,
                          around_.savePace, around_.plugins, room_.snapshots(), room_.machines(),
                          around_.marks},
      weak_from_this());
  std::string queriesRefused;
  if (around_.marks != nullptr) {
    for (const plugin::CrashedAt& each : around_.marks->crashed()) {
      if (each.replica != record_->key) continue;
      std::string how = each.signal == 0 ? std::string(" twice")
                                         : " (signal " + std::to_string(each.signal) + ")";
      if (each.query) {  // it changed nothing, so commands go on
        queriesRefused = "one brought the process down after entry " +
                         std::to_string(each.at.index) + how +
                         "; mend the plugin, then flotilla group retry";
        continue;
      }
      lane_->crashedBefore(
          {ErrorCode::faulted, "the machine brought the process down here" + how, ""}, each.at);
    }
  }
  lane_->begin();
  group::GroupOptions options = groupOptions(*record_, options_, around_.boot);
  options.core.patienceTicks = patienceTicks;
  group_ = std::make_unique<group::Group>(
      std::move(options), std::move(state),
      group::Ports{room_.log(), around_.outbox, *lane_, around_.calls, around_.clock, around_.steps,
                   around_.tails, around_.ticks});
  stoodIn = ledIn = group_->core().term();
  if (room_.isFull()) group_->volumeFull(true);
  group_->limit(quotasOf(options_));
  if (!queriesRefused.empty()) {
    base::logError("group " + record_->name + ": queries are refused: " + queriesRefused);
    group_->refuseQueries(std::move(queriesRefused));
  }
  touch();
}

void Replica::setOptions(const catalog::GroupRecord& group) {
  optionsVersion_ = group.optionsVersion;
  optionTexts_ = group.spec.options;
  auto read = catalog::readOptions(optionTexts_);
  if (!read || !group_) return;
  options_.memoryBytesMax = read->memoryBytesMax;
  options_.applyTimePercentMax = read->applyTimePercentMax;
  options_.callsPerSecondMax = read->callsPerSecondMax;
  // What it did while nobody counted is not held against it; what it holds is.
  if (!group_->isLimited()) {
    workedToldUs_ = lane_->workedUs();
    group_->used(lane_->ownBytes(), 0);
  }
  group_->limit(quotasOf(options_));
  lane_->weighOften(group_->isOverMemory());
  touch();
}

// Before calls are judged by it again.
void Replica::tellUsed() {
  if (!group_->isLimited()) return;
  int64_t worked = lane_->workedUs();
  group_->used(lane_->ownBytes(), worked - std::exchange(workedToldUs_, worked));
  lane_->weighOften(group_->isOverMemory());
}

void Replica::tellOfQuotas() {
  if (!group_->leads() || (!group_->isLimited() && refusesSaid_.empty())) return;
  std::string refuses = group_->status().refuses;
  // What it says of memory changes with every command that frees some.
  if (refuses.empty() != refusesSaid_.empty()) {
    base::logWarn("group " + record_->name + ": " +
                  (refuses.empty() ? "within its quotas again" : refuses));
  }
  refusesSaid_ = std::move(refuses);
}

void Replica::touch() {
  around_.turn.mark(shared_from_this());
}

void Replica::prefetchParts() const {
  record_->prefetch();
  if (group_) group_->prefetchSelf();
  if (lane_) lane_->prefetchToPush();
}

void Replica::prefetchRows() const {
  base::prefetch(record_->members.data(), record_->members.size() * sizeof(StoredReplica::Member));
  if (group_) group_->prefetch();
}

void Replica::prefetchDeep() const {
  if (group_) group_->prefetchDeep();
}

// What was applied that nobody waited for. While there is some, a request of the group's is not
// answered, so it is busy, and given one of its next ticks.
void Replica::takeLate() {
  if (broken_) return;
  if (auto late = lane_->takeLate()) group_->applied(std::move(*late));
}

group::Status Replica::status() const {
  group::Status status = group_->status();
  auto late = lane_->lookLate();
  if (!late || late->generation != status.generation || late->index <= status.applied) {
    return status;
  }
  status.applied = late->index;
  if (late->durable) status.durable = late->durable->index;
  if (status.applied >= status.commit) status.applyLagUs = 0;
  return status;
}

Replica::Seen Replica::seen() const {
  const raft::Core& core = group_->core();
  return {core.role(),       core.term(),         core.hard().vote,    core.leader(),
          group_->splitAt(), group_->soundness(), group_->isRebuilt(), core.asleep()};
}

// A sleeper's log, and whom it sleeps with, are told at each turn's end; so is what a limited group
// uses.
void Replica::touchIfOther(const Seen& before) {
  bool always = group_->core().asleep() || tickPlace.lookedAt == 0 || group_->isLimited();
  if (always || seen() != before) touch();
}

kj::Promise<group::EventsRead> Replica::lookForEvents(group::Position after,
                                                      std::string topicPrefix) {
  group_->listens(true);
  return eventReads_.look(*lane_, after, std::move(topicPrefix));
}

kj::Promise<void> Replica::eventsPast(group::Position after) {
  group_->listens(true);
  return eventReads_.past(after);
}

void Replica::breakWith(Fault fault) {
  if (broken_) return;
  base::logError("group " + record_->name + ": " + fault.text + "; its replica here is stopped");
  broken_ = std::move(fault);
  eventReads_.stopped(*broken_);
}

void Replica::tick() {
  if (!group_) return;
  give([this](group::Group& group) {
    campaignIfPreferred();
    tellUsed();
    group.tick();
  });
  if (ticks() - watchedAt_ >= kWatchTicks) {
    watchedAt_ = ticks();
    group_->entriesKnown(around_.entriesVersion);
    group_->listens(eventReads_.any());
    handOverIfUseless();
    sendListenersOn();
    tellOfQuotas();
    tellOfSwitch();
    sweepPlaces();
    touch();
  }
}

uint64_t Replica::nextTick() const {
  const raft::Core& core = group_->core();
  bool each = standAt_ != 0 || group_->isLimited() || core.callsLeader();
  return each && !core.asleep() ? around_.ticks + 1 : group_->nextTick();
}

void Replica::planTick() {
  if (tickPlace.plan(nextTick())) around_.sooner(*this);
}

void Replica::flush() {
  if (!group_) return;
  tellUsed();
  group_->flush();
  around_.turned(*this);
  tellOfDigests();
  recordChanges();
  if (hadLeader_ || group_->leader() == 0) return;
  hadLeader_ = true;
  if (around_.changed) around_.changed(record_->key.group);
}

void Replica::tellOfDigests() {
  if (!group_->leads()) return;
  raft::Index splitAt = group_->splitAt();
  if (splitAt > splitSaid_) {
    base::logError(
        "group " + record_->name + ": at " + std::to_string(splitAt) +
        " no majority of its replicas has equal digests; nobody can say which are right");
  }
  splitSaid_ = splitAt;
}

void Replica::tellOfSwitch() {
  raft::Index at = lane_->switched().at;
  if (at == switchedSaid_) return;
  switchedSaid_ = at;
  if (around_.changed) around_.changed(record_->key.group);
}

// Those who listen here would wait for what does not come; another replica's machine may be sound.
void Replica::sendListenersOn() {
  if (!eventReads_.any() || tells()) return;
  eventReads_.stopped({ErrorCode::unavailable,
                       "its machine is " + std::string(nameOf(machineState())) + " here", ""});
}

// A leader whose machine cannot answer steps aside once; another's may be sound.
void Replica::handOverIfUseless() {
  if (!group_->leads()) return;
  MachineState state = machineState();
  if (state == MachineState::running) handedOver_ = false;
  if (handedOver_ || (state != MachineState::stuck && state != MachineState::faulted)) return;
  base::logError("group " + record_->name + ": its machine is " + std::string(nameOf(state)) +
                 " here; leadership is handed over");
  group_->transfer(0);
  handedOver_ = true;
}

// The snapshot before the newest stays: a crash may yet bring back the record that names it.
void Replica::snapshotSaved(group::SnapshotSaved saved) {
  raft::Index before = group_->status().snapshotIndex;
  bool kept = !saved.fault;
  group_->snapshotSaved(std::move(saved));
  before = std::min(before, group_->status().snapshotOnDisk);
  if (!kept || before == 0) return;
  around_.files.post([&snapshots = room_.snapshots(), &frees = around_.frees,
                      &pace = around_.savePace, key = record_->key, before]() {
    auto removed = snapshots.removeOlder(key, before);
    if (!removed) return base::logWarn("snapshots: " + removed.fault().text);
    frees.post([&pace, removed = std::move(*removed)]() mutable {
      for (store::FileDescriptor& blocks : removed) {
        store::freeBlocks(std::move(blocks), [&pace]() { return rest(pace); });
      }
    });
  });
}

bool Replica::isPreferred() const {
  return record_->preferredLeader == record_->key.replica;
}

// Nobody need wait for a random time-out: the replica that the group's spec prefers stands, when
// its turn among the others of this host has come, and again while they are still being started.
void Replica::campaignIfPreferred() {
  if (standAt_ == 0 || ticks() < standAt_) return;
  if (hadLeader_ || ticks() > standAt_ + kEagerTicks) {
    standAt_ = 0;
  } else if ((ticks() - standAt_) % standAgainTicks_ == 0 &&
             group_->core().role() != raft::Role::candidate) {
    group_->campaign();
  }
}

MachineState Replica::machineState() const {
  if (broken_) return MachineState::faulted;
  if (group_->quarantinedAt() != 0) return MachineState::quarantined;
  if (group_->fault()) return MachineState::faulted;
  if (group_->soundness() != group::Soundness::sound) return MachineState::rebuilding;
  int64_t busy = around_.ready.pool().busyUs(*lane_);
  if (busy > static_cast<int64_t>(options_.applyTimeoutMs) * 1000) return MachineState::stuck;
  if (!lane_->loaded()) return MachineState::loading;
  return busy > kSlowUs ? MachineState::slow : MachineState::running;
}

bool Replica::tells() const {
  return group_ && machineState() <= MachineState::slow;
}

std::string Replica::faultText() const {
  if (broken_) return broken_->text;
  group::Status status = group_->status();
  if (!status.fault) return "";
  if (status.quarantinedAt != 0) return status.fault->text;  // says where
  return "at " + std::to_string(status.faultAt.index) + "/" +
         std::to_string(status.faultAt.ordinal) + ": " + status.fault->text;
}

const flotilla_method* Replica::methodRow(uint64_t interfaceId, uint16_t method) const {
  const flotilla_descriptor* it = lane_ ? lane_->descriptor() : nullptr;
  if (it == nullptr) return nullptr;
  const char* row = reinterpret_cast<const char*>(it->methods);
  for (uint64_t i = 0; i < it->methodCount; ++i) {
    // An array's stride is what its first element says (abi.h).
    const auto* each = reinterpret_cast<const flotilla_method*>(row + i * it->methods->size);
    if (each->interfaceId == interfaceId && each->method == method) return each;
  }
  return nullptr;
}

std::optional<group::Machine::MethodKind> Replica::kindOf(uint64_t interfaceId,
                                                          uint16_t method) const {
  const flotilla_method* row = methodRow(interfaceId, method);
  if (row == nullptr) return std::nullopt;
  return row->kind == FLOTILLA_QUERY ? group::Machine::MethodKind::query
                                     : group::Machine::MethodKind::command;
}

bool Replica::frees(uint64_t interfaceId, uint16_t method) const {
  const flotilla_method* row = methodRow(interfaceId, method);
  return row != nullptr && (plugin::flagsOf(*row) & FLOTILLA_FREES) != 0;
}

}  // namespace flotilla::runtime
