// A replica's machine at work in a simulated world.
#include "tests/sim/sim_lane.h"

#include <algorithm>
#include <utility>

#include "host/base/match.h"
#include "host/group/snapshot.h"
#include "tests/sim/sim_machine.h"
#include "tests/support/memory_file.h"

namespace flotilla::sim {
namespace {

constexpr int64_t kAsideTimes = 10;  // as long as an apply
// Until the loop has taken an answer; the longer where it has much else to do.
constexpr int64_t kLoopUs = 100;
constexpr int64_t kBusyLoopUs = 10'000;

// By the entry and not by dice, so that a command that is asked again finds room.
uint64_t answersRoom(const group::ApplyRequest& request, uint64_t everyCrowded) {
  bool crowded = everyCrowded != 0 && !request.entries.empty() &&
                 request.entries.back().index % everyCrowded == 0;
  return crowded ? 1 : UINT64_MAX;
}

struct FileSink final : group::SnapshotSink {
  std::string bytes;
  Result<void> write(std::string_view piece) override {
    bytes += piece;
    return {};
  }
};

}  // namespace

SimLane::SimLane(group::ReplicaKey key, Begins begins, Around around)
    : key_(key),
      machineAt_(begins.machineAt),
      generation_(begins.generation),
      around_(std::move(around)),
      applier_(
          key,
          [this](const std::string& sha256) {
            return makeSimMachine({key_, &around_.judge, around_.breaksNow, around_.straysNow,
                                   around_.options.onDisk},
                                  sha256);
          },
          [this]() { return makePlace(); }, {.countMax = around_.options.keepEvents}),
      place_(begins.place),
      fresh_(begins.generation) {
  if (!begins.waits) push(Begin{});
}

Result<std::shared_ptr<group::MachineStore>> SimLane::makePlace() {
  auto place = std::make_shared<group::MemoryPlace>();
  around_.disk.places(key_)[fresh_] = place;
  freshMade_ = true;
  return around_.disk.storeAt(std::move(place));
}

// What was kept, in a machine of its own: nothing of the one before is left.
Result<void> SimLane::resume() {
  SimDisk::Places& places = around_.disk.places(key_);
  auto found = place_ ? places.find(*place_) : places.end();
  if (found == places.end()) return Fault{ErrorCode::corrupt, "its place is gone", {}};
  auto resumed = applier_.resume(around_.disk.storeAt(found->second));
  if (resumed) ++around_.report[Count::resumes];
  return resumed;
}

// As runtime's: over the store of the machine that went wrong, with what that had gathered.
Result<void> SimLane::goBack() {
  group::Machine* machine = applier_.machine();
  std::shared_ptr<group::MachineStore> store = machine == nullptr ? nullptr : machine->store();
  if (store == nullptr) return resume();
  auto resumed = applier_.resume(std::move(store));
  if (resumed) ++around_.report[Count::resumes];
  return resumed;
}

void SimLane::rest() {
  applier_.rest();
  if (dead_ || !applier_.durable()) return;
  static_cast<void>(applier_.sync());
  sayIfStopped();
}

void SimLane::sayIfStopped() {
  if (dead_ || !applier_.fault()) return;
  group::Applied applied;
  applied.generation = generation_;
  applied.index = machineAt_.index;
  applied.fault = applier_.fault();
  applied.faultAt = applier_.faultAt();
  answerApplied(applied, true);
}

void SimLane::doSync(const group::SyncRequest& request) {
  group::Synced synced;
  synced.generation = request.generation;
  Result<void> done = dead_ ? Result<void>(*dead_) : applier_.sync();
  if (done) {
    synced.point = applier_.durable().value_or(raft::LogPoint{});
  } else {
    synced.fault = done.fault();
  }
  answer([synced](group::Group& group) { group.synced(synced); });
  sayIfStopped();
}

void SimLane::apply(group::ApplyRequest request) {
  bool patient = request.givesWay && around_.options.giveWayUsMax != 0;
  if (patient) ++around_.report[Count::putOff];
  push(std::move(request), patient);
}

void SimLane::push(Job job, bool patient) {
  if (jobs_.empty()) patient_ = patient;
  jobs_.push_back(std::move(job));
  if (!patient) hurry();
  workLater();
}

// As runtime's pool: with one job that is waited for, those before it are.
void SimLane::hurry() {
  if (!std::exchange(patient_, false) || jobs_.empty()) return;
  ++around_.report[Count::hurried];
  busy_ = false;
  workLater();
}

void SimLane::workLater() {
  if (busy_ || jobs_.empty()) return;
  busy_ = true;
  int64_t us = 5 + some(around_.options.applyUsMax);
  if (patient_) us += some(around_.options.giveWayUsMax);
  around_.events.in(us, [this, alive = std::weak_ptr<bool>(alive_), turn = ++turn_]() {
    if (alive.expired() || turn != turn_) return;
    busy_ = false;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    work(job);
    workLater();
  });
}

int64_t SimLane::some(int64_t usMax) {
  return static_cast<int64_t>(around_.dice.below(static_cast<uint64_t>(usMax + 1)));
}

// In order, though each takes a while of its own.
void SimLane::answer(std::function<void(group::Group&)> act) {
  int64_t usMax = around_.dice.chance(50) ? kBusyLoopUs : kLoopUs;
  int64_t atUs = std::max(lastAnswerUs_, around_.events.nowUs() + some(usMax));
  lastAnswerUs_ = atUs;
  auto all = [this, alive = std::weak_ptr<bool>(alive_),
              act = std::move(act)](group::Group& group) {
    if (!alive.expired()) giveLate(group);
    act(group);
  };
  around_.post(atUs - around_.events.nowUs(), std::move(all));
}

void SimLane::giveLate(group::Group& group) {
  if (auto late = late_.take()) group.applied(std::move(*late));
}

// As MachineLane::work.
void SimLane::answerApplied(const group::Applied& applied, bool wanted) {
  if (!wanted && around_.options.lazyCommit && late_.keep(applied)) {
    ++around_.report[Count::stayed];
    return;
  }
  answer([applied](group::Group& group) { group.applied(applied); });
}

void SimLane::answerDead() {
  group::Applied applied;
  applied.generation = generation_;
  applied.index = machineAt_.index;
  applied.fault = dead_;
  applied.faultAt = deadAt_;
  answerApplied(applied, true);
}

void SimLane::work(const Job& job) {
  std::visit(base::Match{[this](const Begin&) { doBegin(); },
                         [this](const group::ApplyRequest& it) { doApply(it); },
                         [this](const group::QueryRequest& it) { doQuery(it); },
                         [this](const group::SnapshotRequest& it) { doSnapshot(it); },
                         [this](const group::SyncRequest& it) { doSync(it); },
                         [this](const group::InstallRequest& it) { doInstall(it); }},
             job);
}

void SimLane::doBegin() {
  Result<void> begun = place_                  ? resume()
                       : machineAt_.index == 0 ? applier_.begin()
                                               : loadFrom(machineAt_);
  if (begun && freshMade_) place_ = fresh_;
  if (begun) return around_.judge.applied(key_, applier_);
  dead_ = begun.fault();
  deadAt_ = {machineAt_.index + 1, 0};
  around_.judge.fail(nameOf(key_), "cannot begin after a start: " + dead_->text);
  answerDead();
}

Result<void> SimLane::loadFrom(raft::LogPoint point) {
  SimDisk::Shelf& shelf = around_.disk.shelf(key_);
  auto file = shelf.find(point.index);
  if (file == shelf.end() || file->second.point != point) {
    return Fault{
        ErrorCode::corrupt, "snapshot " + std::to_string(point.index) + " is not there", {}};
  }
  test::MemorySource source(*file->second.bytes);
  auto installed = applier_.install(source, point);
  if (!installed) return installed.fault();
  return {};
}

void SimLane::doApply(const group::ApplyRequest& request) {
  if (dead_) return answerDead();
  around_.judge.applies(key_, request);
  group::Applied applied =
      applier_.apply(request, answersRoom(request, around_.options.everyCrowded));
  for (const group::Applied::Answer& each : applied.answers) {
    bool unheard = each.outcome.code == ErrorCode::unknown;
    if (unheard) ++around_.report[Count::answersWithoutRoom];
  }
  // As where much was changed.
  if (applier_.durable() && !applied.fault && around_.dice.chance(40)) {
    static_cast<void>(applier_.sync());
    applied.durable = applier_.durable();
    applied.fault = applier_.fault();
    applied.faultAt = applier_.faultAt();
  }
  around_.judge.applied(key_, applier_);
  if (applied.fault) around_.judge.faulted(key_, applied);
  bool wanted = request.endWanted || applied.fault;
  answerApplied(applied, wanted);
}

void SimLane::doQuery(const group::QueryRequest& request) {
  group::Queried queried{request.call, {}};
  if (dead_) {
    queried.outcome.code = ErrorCode::faulted;
    queried.outcome.body = Bytes::copyOf(dead_->text);
  } else if (auto aside = asideOf(request)) {
    return askBeside(std::move(*aside));
  } else {
    queried = applier_.query(request);
  }
  answer([queried = std::move(queried)](group::Group& group) { group.queried(queried); });
  sayIfStopped();
}

// Half of those that may be: the other road must be as good.
std::optional<group::AsideQuery> SimLane::asideOf(const group::QueryRequest& request) {
  if (around_.dice.below(2) == 0) return std::nullopt;
  return applier_.aside(request);
}

// Carried out while what comes next is applied.
void SimLane::askBeside(group::AsideQuery query) {
  int64_t us = some(around_.options.applyUsMax * kAsideTimes);
  around_.events.in(us, [this, alive = std::weak_ptr<bool>(alive_), query = std::move(query)]() {
    if (alive.expired()) return;
    group::AsideQuery::End end = query.run();
    if (end.fault) {
      around_.judge.fail(nameOf(key_), "a query beside was a fault: " + end.fault->text);
    }
    answer([queried = std::move(end.queried)](group::Group& group) { group.queried(queried); });
  });
}

// Captured at the boundary; saved beside later applies, if the disk has room.
void SimLane::doSnapshot(const group::SnapshotRequest& request) {
  group::SnapshotSaved saved;
  saved.generation = request.generation;
  auto captured = dead_ ? Result<std::unique_ptr<group::StateCapture>>(*dead_)
                        : applier_.capture(request.shape, request.runsKnown);
  if (!captured) {
    saved.fault = captured.fault();
    answer([saved](group::Group& group) { group.snapshotSaved(saved); });
    return sayIfStopped();
  }
  saved.point = (*captured)->point();
  bool astray = driftOf(*applier_.machine()) != 0;
  auto capture = std::make_shared<std::unique_ptr<group::StateCapture>>(std::move(*captured));
  int64_t us = 100 + some(20'000);
  around_.events.in(us, [this, saved, capture, astray, runs = request.runsKnown,
                         alive = std::weak_ptr<bool>(alive_)]() mutable {
    if (alive.expired()) return;
    FileSink file;
    auto written = (*capture)->save(file);
    if (around_.disk.isFull()) {
      saved.fault = Fault{ErrorCode::diskFull, "snapshot: no space", {}};
    } else if (!written) {
      saved.fault = written.fault();
    } else {
      saved.bytes = *written;
      if (!astray) around_.judge.saved(key_, saved.point, runs, file.bytes);
      around_.disk.shelf(key_).insert_or_assign(
          saved.point.index,
          SimDisk::File{saved.point, std::make_shared<const std::string>(std::move(file.bytes)),
                        astray});
    }
    around_.post(some(100), [this, saved](group::Group& group) {
      raft::Index before = group.status().snapshotIndex;
      group.snapshotSaved(saved);
      before = std::min(before, group.status().snapshotOnDisk);
      if (saved.fault || before == 0) return;
      // As runtime's Replica::snapshotSaved: the one before the newest stays.
      SimDisk::Shelf& shelf = around_.disk.shelf(key_);
      shelf.erase(shelf.begin(), shelf.lower_bound(before));
      // A crash would bring back the record on the disk: its log must go on from what is left.
      const Stored* safe = around_.disk.safe(key_);
      raft::LogPoint base = safe == nullptr ? raft::LogPoint{} : safe->state.shape.base();
      if (base.index != 0 && !shelf.contains(newestSnapshot(shelf, safe->state.shape).index)) {
        around_.judge.fail(nameOf(key_), "removes the snapshots that its log on the disk, after " +
                                             std::to_string(base.index) + ", goes on from");
      }
    });
  });
}

void SimLane::doInstall(const group::InstallRequest& request) {
  group::InstallEnd end;
  end.generation = request.generation;
  end.point = request.point;
  fresh_ = request.generation;
  freshMade_ = false;
  Result<void> loaded = request.kept               ? goBack()
                        : request.point.index == 0 ? applier_.begin()
                                                   : loadFrom(request.point);
  if (freshMade_ && loaded) place_ = fresh_;
  if (freshMade_ && !loaded) around_.disk.places(key_).erase(fresh_);
  if (loaded) {
    dead_.reset();
    generation_ = request.generation;
    end.point = applier_.at();
    end.durable = applier_.durable();
    end.logTimeUs = applier_.state().timeUs;
    end.nextTimerUs = applier_.state().timers.nextUs();
    ++around_.report[Count::installs];
    around_.judge.applied(key_, applier_);
  } else {
    end.fault = loaded.fault();
  }
  answer([end](group::Group& group) { group.installEnd(end); });
}

}  // namespace flotilla::sim
