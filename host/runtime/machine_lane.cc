// A replica's machine, on the apply workers.
#include "host/runtime/machine_lane.h"

#include "host/base/give_back.h"
#include "host/base/log.h"
#include "host/base/match.h"
#include "host/base/prefetch.h"
#include "host/base/thread.h"
#include "host/catalog/machine.h"
#include "host/plugin/descriptor.h"
#include "host/plugin/machine.h"
#include "host/runtime/inbox.h"
#include "host/runtime/io_thread.h"
#include "host/runtime/plugin_room.h"
#include "host/runtime/records.h"
#include "host/runtime/replica.h"
#include "host/runtime/save_pace.h"
#include "host/runtime/turn.h"
#include "host/store/machine_places.h"
#include "host/store/snapshot_files.h"

namespace flotilla::runtime {
namespace {

// A machine is asked for its memory, which is a walk over parts of it, once it has been given so
// much to do since the last time, and when it rests.
constexpr uint32_t kWeighedWorks = 16;
// Long queries of one group that wait for their worker, or are with it: each holds on to a state.
constexpr uint32_t kAsidesMax = 256;
constexpr uint64_t kWeighedBytes = 64 << 10;

// One query that is asked beside.
//
// Owner:  shared with the worker inside. Thread: work() on a worker. Errors: none.
class AsideLane final : public Lane {
public:
  AsideLane(std::shared_ptr<MachineLane> lane, group::AsideQuery query)
      : lane_(std::move(lane)), query_(std::move(query)) {
    ++lane_->asides;
  }
  ~AsideLane() override { --lane_->asides; }
  void work() override { lane_->workAside(query_); }

private:
  std::shared_ptr<MachineLane> lane_;
  group::AsideQuery query_;
};

}  // namespace

MachineLane::MachineLane(LaneOrder order, Around around, std::weak_ptr<Replica> replica)
    : around_(around),
      order_(std::move(order)),
      replica_(std::move(replica)),
      generation_(order_.generation),
      fresh_(order_.generation) {
  if (order_.place) place_.store(*order_.place);
}

MachineLane::~MachineLane() = default;

void MachineLane::crashedBefore(Fault fault, group::Position at) {
  dead_ = std::move(fault);
  deadAt_ = at;
}

void MachineLane::begin() {
  push(Begin{});
}

// The machine ends on a worker: to close what it has on disk takes a while.
void MachineLane::close() {
  if (!closed_.exchange(true)) around_.ready.schedule(shared_from_this());
}

void MachineLane::queue(Job job) {
  std::lock_guard lock(mutex_);
  jobs_.push_back(std::move(job));
}

void MachineLane::push(Job job, Hurry hurry) {
  queue(std::move(job));
  around_.ready.schedule(shared_from_this(), hurry);
}

// The catalog's hosts act on what it has applied.
void MachineLane::apply(group::ApplyRequest request) {
  bool patient = request.givesWay && !isCatalog() && !listened_.load(std::memory_order_relaxed);
  push(std::move(request), patient ? Hurry::none : Hurry::some);
}
void MachineLane::query(group::QueryRequest request) {
  push(std::move(request));
}
void MachineLane::snapshot(group::SnapshotRequest request) {
  push(std::move(request));
}
void MachineLane::sync(group::SyncRequest request) {
  push(request);
}
void MachineLane::install(group::InstallRequest request) {
  push(std::move(request));
}
void MachineLane::rest() {
  push(Rest{});
}

void MachineLane::hurry() {
  around_.ready.hurry(shared_from_this());
}

void MachineLane::look(EventsLook look) {
  push(std::move(look));
}

bool MachineLane::isCatalog() const {
  return order_.record->pluginSha256.empty();
}

void MachineLane::work() {
  {
    std::lock_guard lock(mutex_);
    std::swap(jobs_, doing_);
  }
  Answers answers;
  int64_t beganUs = base::workedUs();
  loadedUs_ = 0;
  for (Job& job : doing_) {
    if (closed_.load()) break;
    carryOut(job, answers);
  }
  doing_.clear();
  if (closed_.load()) {
    applier_.reset();
    order_.kept.reset();
    return;
  }
  ++unweighedWorks_;
  publish();
  workedUs_.fetch_add(base::workedUs() - beganUs - loadedUs_, std::memory_order_relaxed);
  if (resting_) giveBack(answers);
  if (answers.empty() || closed_.load()) return;
  if (applier_) answers.lastEvent = applier_->state().events.last();
  bool soon = std::exchange(soon_, false);
  bool little = !soon && answers.isOneApplied() && answers.lastEvent == toldEvent_;
  if (little && late_.keep(answers.applied.front())) return;
  if (answers.lastEvent) toldEvent_ = answers.lastEvent;
  send(std::move(answers), soon);
}

// By a worker that holds the pool's lock, so no other is in here.
void MachineLane::prefetch() const {
  if (applier_) base::prefetch(*applier_);
}

void MachineLane::prefetchToPush() const {
  base::prefetchSpan(this, &order_);
}

// The group sleeps: what is kept for the next request is memory of thousands of lanes.
void MachineLane::giveBack(Answers& answers) {
  resting_ = false;
  if (applier_) applier_->rest();
  if (applier_ && !dead_ && applier_->durable()) {
    static_cast<void>(applier_->sync());
    applier_->machine()->store()->rest();
    sayIfStopped(answers);
  }
  base::giveBack(doing_);
  std::lock_guard lock(mutex_);
  if (jobs_.empty()) base::giveBack(jobs_);
}

void MachineLane::send(Answers answers, bool soon) {
  leaving_->fetch_add(answers.bytes);
  auto take = [replica = replica_, leaving = leaving_, answers = std::move(answers)]() mutable {
    leaving->fetch_sub(answers.bytes);
    std::shared_ptr<Replica> here = replica.lock();
    if (!here || here->broken()) return;
    EventReads& events = here->eventReads();
    if (answers.lastEvent) events.stands(*answers.lastEvent);
    for (const auto& each : answers.applied) {
      if (each.fault) events.stopped(*each.fault);
    }
    for (auto& each : answers.seen) events.seen(std::move(each));
    here->give([&](group::Group& group) {
      for (auto& each : answers.applied) group.applied(std::move(each));
      for (auto& each : answers.queried) group.queried(std::move(each));
      for (auto& each : answers.saved) here->snapshotSaved(std::move(each));
      for (auto& each : answers.synced) group.synced(std::move(each));
      for (auto& each : answers.installed) group.installEnd(std::move(each));
    });
    if (!answers.saved.empty() || !answers.synced.empty()) here->touch();  // room has been made
    if (here->onApplied && !(answers.applied.empty() && answers.installed.empty())) {
      here->onApplied();
    }
  };
  if (soon) {
    around_.inbox.post(std::move(take));
  } else {
    around_.inbox.leave(std::move(take));
  }
}

void MachineLane::carryOut(Job& job, Answers& answers) {
  soon_ = soon_ || isCatalog() || !std::holds_alternative<group::ApplyRequest>(job);
  std::visit(base::Match{
                 [&](Begin&) { carryOutBegin(answers); },
                 [&](group::ApplyRequest& request) {
                   if (dead_) {
                     soon_ = true;
                     return faultAll(*dead_, deadAt_, answers);
                   }
                   for (const group::LogEntry& entry : request.entries) {
                     unweighedBytes_ += entry.payload.size();
                   }
                   group::Position lastEvent = applier_->state().events.last();
                   answers.applied.push_back(applier_->apply(request, answersRoom(answers)));
                   answers.bytes += applier_->answersBytes();
                   bool told = listened_ && applier_->state().events.last() != lastEvent;
                   soon_ = soon_ || request.endWanted || answers.applied.back().fault || told;
                   if (told) listened_ = false;
                 },
                 [&](group::QueryRequest& request) { carryOutQuery(request, answers); },
                 [&](group::SnapshotRequest& request) { carryOutSnapshot(request, answers); },
                 [&](group::SyncRequest& request) { carryOutSync(request, answers); },
                 [&](group::InstallRequest& request) { carryOutInstall(request, answers); },
                 [&](Rest&) { resting_ = true; },
                 [&](Trial& trial) { carryOutTrial(trial, answers); },
                 [&](EventsLook& look) { carryOutLook(look, answers); },
                 [&](Stop& stop) {
                   // Another may have taken over meanwhile, perhaps because of that very query.
                   if (dead_ || !applier_->stop(stop.fault, stop.at, stop.machine)) return;
                   faultAll(std::move(stop.fault), stop.at, answers);
                 },
             },
             job);
}

bool MachineLane::isLong(const group::QueryRequest& request) const {
  const group::Machine* machine = applier_->machine();
  return machine != nullptr &&
         machine->isLong(request.question.interfaceId, request.question.method);
}

// How much more the answers of this work may come to.
uint64_t MachineLane::answersRoom(const Answers& answers) const {
  uint64_t taken = leaving_->load() + answers.bytes;
  return taken < kAnswersBytesMax ? kAnswersBytesMax - taken : 0;
}

group::Outcome MachineLane::crowded() const {
  group::Outcome outcome;
  outcome.code = ErrorCode::overloaded;
  outcome.body = Bytes::copyOf("group " + order_.record->name + ": answers of " +
                               std::to_string(kAnswersBytesMax) +
                               " bytes are on their way; ask again, or for less at a time");
  return outcome;
}

void MachineLane::carryOutQuery(const group::QueryRequest& request, Answers& answers) {
  if (dead_) {
    group::Outcome outcome;
    outcome.code = ErrorCode::faulted;
    outcome.body = Bytes::copyOf(dead_->text);
    answers.queried.push_back({request.call, std::move(outcome)});
  } else if (answersRoom(answers) == 0) {
    answers.queried.push_back({request.call, crowded()});
  } else if (asides.load() >= kAsidesMax && isLong(request)) {
    group::Outcome outcome;
    outcome.code = ErrorCode::overloaded;
    outcome.body = Bytes::copyOf("group " + order_.record->name + ": " +
                                 std::to_string(kAsidesMax) + " long queries wait; ask later");
    answers.queried.push_back({request.call, std::move(outcome)});
  } else if (auto aside = applier_->aside(request)) {
    around_.queries.schedule(std::make_shared<AsideLane>(shared_from_this(), std::move(*aside)));
  } else {
    answers.queried.push_back(applier_->query(request));
    answers.bytes += answers.queried.back().outcome.body.size();
    sayIfStopped(answers);
  }
}

void MachineLane::workAside(const group::AsideQuery& query) {
  if (closed_.load()) return;
  Answers answers;
  if (answersRoom(answers) == 0) {
    answers.queried.push_back({query.call(), crowded()});
    return send(std::move(answers), true);
  }
  int64_t beganUs = base::workedUs();
  group::AsideQuery::End end = query.run();
  workedUs_.fetch_add(base::workedUs() - beganUs, std::memory_order_relaxed);
  if (closed_.load()) return;
  if (end.fault) {  // not on the loop, so past what it gathers
    queue(Stop{std::move(*end.fault), end.faultAt, end.machine});
    around_.ready.pool().schedule(shared_from_this());
  }
  answers.queried.push_back(std::move(end.queried));
  answers.bytes = answers.queried.back().outcome.body.size();
  send(std::move(answers), true);
}

// Says once more where and why nothing is applied; the generation is the group's to compare, so
// the request's own is not needed.
void MachineLane::faultAll(Fault fault, group::Position at, Answers& answers) {
  group::Applied applied;
  applied.generation = generation_;
  applied.index = order_.machineAt.index;
  applied.fault = std::move(fault);
  applied.faultAt = at;
  answers.applied.push_back(std::move(applied));
}

// A machine can also stop where nothing is applied: its disk may fail it.
void MachineLane::sayIfStopped(Answers& answers) {
  if (dead_ || !applier_->fault()) return;
  soon_ = true;
  faultAll(*applier_->fault(), applier_->faultAt(), answers);
}

Result<const flotilla_descriptor*> MachineLane::descriptorOf(const std::string& sha256) const {
  const std::string& wanted = sha256.empty() ? order_.record->pluginSha256 : sha256;
  if (wanted.empty()) return catalog::catalogDescriptor();
  auto found = around_.plugins.descriptor(wanted);
  if (found) return found;
  // That it cannot be opened is this host's trouble, whatever the reason: others have opened it.
  return Fault{ErrorCode::unavailable, found.fault().text, ""};
}

Result<std::unique_ptr<group::Machine>> MachineLane::makeMachine(const std::string& sha256) {
  auto descriptor = descriptorOf(sha256);
  if (!descriptor) return descriptor.fault();
  return plugin::makeMachine(*descriptor, order_.record->config, around_.marks, order_.record->key);
}

// The loop asks for methods by what is in force.
void MachineLane::followPlugin() {
  const group::GroupState& state = applier_->state();
  if (descriptor_.load() != nullptr && state.switchedAt == switched_.at) return;
  auto descriptor = descriptorOf(state.plugin);
  if (!descriptor) return;
  descriptor_.store(*descriptor);
  std::lock_guard lock(mutex_);
  switched_ = {state.plugin, state.switchedAt};
}

MachineLane::Switched MachineLane::switched() const {
  std::lock_guard lock(mutex_);
  return switched_;
}

void MachineLane::carryOutBegin(Answers& answers) {
  applier_ = std::make_unique<group::Applier>(
      order_.record->key, [this](const std::string& sha256) { return makeMachine(sha256); },
      [this]() { return makePlace(); }, order_.events);
  if (!dead_ && order_.fault) {
    diesAtStart(*order_.fault);
  }
  if (!dead_ && !order_.waits) {
    Result<void> begun = order_.kept ? applier_->resume(std::exchange(order_.kept, nullptr))
                         : order_.machineAt.index == 0 ? applier_->begin()
                                                       : loadFrom(order_.machineAt);
    if (begun && freshMade_) place_.store(fresh_);
    if (begun && order_.place) {
      base::logInfo("group " + order_.record->name + ": its machine on disk stands at " +
                    std::to_string(applier_->at().index) + ", and goes on from there");
    }
    if (!begun) diesAtStart(lacking(begun.fault()));
  }
  if (dead_ && !order_.waits) faultAll(*dead_, deadAt_, answers);
  loaded_.store(true);
}

void MachineLane::diesAtStart(Fault fault) {
  dead_ = std::move(fault);
  deadAt_ = {order_.machineAt.index + 1, 0};
  base::logError("group " + order_.record->name + ": " + dead_->text +
                 "; its replica here is stopped, the others go on");
}

Result<void> MachineLane::loadFrom(raft::LogPoint point) {
  int64_t beganUs = base::workedUs();
  auto reader = around_.snapshots.read(order_.record->key, point);
  if (!reader) return reader.fault();
  auto installed = applier_->install(**reader, point);
  loadedUs_ += base::workedUs() - beganUs;
  if (!installed) return installed.fault();
  return {};
}

// Captures here, at the boundary; saves on a thread of its own, beside later applies.
void MachineLane::carryOutSnapshot(const group::SnapshotRequest& request, Answers& answers) {
  Result<std::unique_ptr<group::StateCapture>> captured =
      dead_ ? Result<std::unique_ptr<group::StateCapture>>(*dead_)
            : applier_->capture(request.shape, request.runsKnown);
  if (!captured) {
    answers.saved.push_back({request.generation, {}, 0, captured.fault()});
    return sayIfStopped(answers);
  }
  around_.saves.post([self = shared_from_this(), generation = request.generation,
                      amongMany = request.amongMany, capture = std::move(*captured)]() mutable {
    if (self->closed_.load()) return;  // removed meanwhile: its directory must not come back
    self->save(generation, amongMany, std::move(capture));
  });
}

void MachineLane::save(uint64_t generation, bool amongMany,
                       std::unique_ptr<group::StateCapture> capture) {
  store::SnapshotFiles& snapshots = around_.snapshots;
  group::ReplicaKey key = order_.record->key;
  group::SnapshotSaved saved;
  saved.generation = generation;
  saved.point = capture->point();
  auto tell = [self = shared_from_this(), saved](Result<store::SnapshotFile> finished) mutable {
    if (finished) saved.bytes = finished->bytes;
    if (!finished) saved.fault = finished.fault();
    Answers later;
    later.saved.push_back(std::move(saved));
    if (!self->closed_.load()) self->send(std::move(later), true);
  };
  auto writer =
      amongMany ? snapshots.beginSmall(key, saved.point) : snapshots.begin(key, saved.point);
  if (!writer) return tell(writer.fault());
  PacedSink paced(**writer, around_.savePace, closed_);
  auto written = capture->save(paced);
  capture.reset();
  if (!written) return tell(written.fault());
  // Those that are to be saved already become safe with it.
  bool waits = snapshots.finish(std::move(*writer), std::move(tell));
  if (waits) around_.saves.post([&snapshots]() { snapshots.commit(); });
}

void MachineLane::carryOutLook(const EventsLook& look, Answers& answers) {
  std::optional<Fault> fault = dead_ ? dead_ : applier_->fault();
  if (fault) {
    answers.seen.push_back({look.id, *fault});
    return;
  }
  listened_ = true;
  answers.seen.push_back({look.id, applier_->state().events.read(look.after, look.topicPrefix,
                                                                 EventReads::kReadBytesMax)});
}

void MachineLane::carryOutInstall(const group::InstallRequest& request, Answers& answers) {
  group::InstallEnd end;
  end.generation = request.generation;
  end.point = request.point;
  fresh_ = request.generation;
  freshMade_ = false;
  Result<void> loaded = request.kept               ? goBack()
                        : request.point.index == 0 ? applier_->begin()
                                                   : loadFrom(request.point);
  if (freshMade_ && loaded) place_.store(fresh_);
  if (freshMade_ && !loaded) {
    static_cast<void>(around_.machines.remove(order_.record->key, fresh_));
  }
  if (loaded) {
    dead_.reset();
    generation_ = request.generation;
    end.point = applier_->at();
    end.durable = applier_->durable();
    end.logTimeUs = applier_->state().timeUs;
    end.nextTimerUs = applier_->state().timers.nextUs();
  } else {
    end.fault = loaded.fault();
    if (!request.kept) {
      base::logWarn("group " + order_.record->name + ": snapshot at " +
                    std::to_string(request.point.index) + " not loaded: " + end.fault->text);
    }
  }
  unweighedWorks_ = kWeighedWorks;
  answers.installed.push_back(std::move(end));
}

void MachineLane::publish() {
  if (!applier_) return;
  followPlugin();
  if (applier_->machine() == nullptr) return;
  bool weigh = resting_ || memoryBytes() == 0 || weighOften_.load() ||
               unweighedWorks_ >= kWeighedWorks || unweighedBytes_ >= kWeighedBytes;
  if (weigh) {
    uint64_t own = applier_->machine()->memoryBytes() + applier_->state().events.bytes();
    auto store = applier_->machine()->store();
    ownBytes_.store(own, std::memory_order_relaxed);
    memoryBytes_.store(own + (store ? store->memoryBytes() : 0), std::memory_order_relaxed);
    unweighedWorks_ = 0;
    unweighedBytes_ = 0;
  }
  if (auto digest = applier_->machine()->digest()) {
    digest_.store(*digest, std::memory_order_relaxed);
    digestAt_.store(applier_->at().index, std::memory_order_relaxed);
  }
}

}  // namespace flotilla::runtime
