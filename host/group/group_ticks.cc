// A group's time: what its ticks do, when the next one is due, and what late ones mean for a lease.
#include <algorithm>
#include <utility>

#include "host/group/entry.h"
#include "host/group/group.h"
#include "host/group/tick_calendar.h"

namespace flotilla::group {
namespace {

// What the machine put off is looked at after these, whether it should be hurried.
constexpr uint64_t kGiveWayTicks = 4;

}  // namespace

void Group::tick() {
  tickedAt_ = ports_.ticks;
  waiting_.expire(ports_.ticks);
  questions_.expire(ports_.ticks);
  if (logFault_) return;
  if (!isMute()) take(raft::Tick{isBusy(), ticksToTell()});
  proposeTimers();
  handOverIfUseless();
  retryForRoom();
  sayNotLoaded();
  tickSoundness();
  considerSnapshot();
  tail_.fit(wantedAbove());
  if (gaveWay_ && feed_.lagUs(ports_.clock.monotonicUs()) > kGiveWayUs) hurryMachine();
  if (!followUps_.empty()) neededAfter(snapshot_.index);  // who has passed it needs none any more
  feed();
}

// A group to which nothing unusual has happened has nothing to do in most ticks; one that has a
// fault, or waits for something but entries, is given all. What a tick does about the length of the
// log, and of what is held of it, may be that much later.
uint64_t Group::nextTick() const {
  uint64_t next = ports_.ticks + 1;
  if (core_.asleep()) return isBusy() ? next : TickPlace::kNever;
  bool unusual = fault_ || logFault_ || rebuilding_ || volumeFull_ || stopping_ || installing_ ||
                 settlesAt_ || notLoaded_ || reported_ || applyFetch_ != 0 || isMute() ||
                 ports_.ticks < saveNotBefore_ || !followUps_.empty() || !askers_.empty() ||
                 !snapshotWanted_.empty();
  if (unusual) return next;
  // What has been applied may have set a timer, and nobody else tells of it.
  bool mayProposeItself =
      nextTimerUs_ != kNoTimer || feed_.requests() > 0 || (muchIsUnchecked() && canCheck());
  if (leads() && mayProposeItself) return next;
  uint64_t due = tickedAt_ + 1 + kTicksLeftOutMax;
  if (gaveWay_) due = std::min(due, gaveWayAt_ + kGiveWayTicks);
  uint64_t spare = core_.spareTicks();
  if (spare < kTicksLeftOutMax) due = std::min(due, coreTicks_ + 1 + spare);
  due = std::min({due, waiting_.nextUntil(), questions_.nextUntil()});
  return std::max(due, next);
}

// Log time has come to a timer: an entry tells all replicas that it has. One at a time, for what is
// left after it shows when it has been applied; one of an earlier term may never be.
void Group::proposeTimers() {
  if (nextTimerUs_ == kNoTimer || !leads() || stopping_ || fault_ || volumeFull_) return;
  if (timersAt_.term == core_.term() && timersAt_.index > feed_.applied()) return;
  int64_t timeUs = logTime_.stamp(now());
  if (timeUs < nextTimerUs_) return;
  Bytes payload = encodeTimers(timeUs);
  step(raft::Propose{++lastProposal_, payload.size()});
  if (!effects_.accepted.empty()) timersAt_ = effects_.accepted.front().point;
  carryOut({nullptr, std::move(payload)});
}

// Something here counts in ticks, or is under way whose end may want the group awake.
bool Group::isBusy() const {
  bool callers = waiting_.count() + questions_.count() + gatheredCalls_.size() +
                     gatheredSessions_.size() + snapshotCallers_.size() + syncCallers_.size() +
                     snapshotWanted_.size() >
                 0;
  bool machine = saving_ || syncing_ || installing_ || applyFetch_ != 0 || feed_.requests() > 0 ||
                 (!fault_ && !rebuilding_ && feed_.fed() < core_.applicable());
  bool handsOver = fault_ && leads() && (handOvers_ < kHandOversMax || quarantinedAt_ != 0);
  bool rebuilds = (rebuilding_ && !fault_) || !askers_.empty();
  bool timers = nextTimerUs_ != kNoTimer;
  bool savesAgain = ports_.ticks < saveNotBefore_;  // until then a log may be full
  bool waits = waitsForRoom() || notLoaded_;
  return callers || machine || savesAgain || handsOver || rebuilds || timers || waits;
}

// A host that was stopped, or whose loop is late, counts fewer ticks than time has gone by. The
// core allows for one that has begun, and for those that may be late; beyond them leases wait for
// another round.
void Group::mindLateTicks() {
  int64_t nowUs = ports_.clock.monotonicUs();
  auto counted = static_cast<int64_t>(ports_.ticks - countedFrom_) * options_.tickUs;
  int64_t lateUs = nowUs - countedFromUs_ - counted;
  bool doubts = lateUs > options_.tickUs * (1 + int64_t{options_.core.leaseLateTicks});
  if (lateUs >= 0 && !doubts) return;
  if (doubts) core_.doubtLease();
  countedFrom_ = ports_.ticks;
  countedFromUs_ = nowUs;
}

// What has passed of the owner's ticks since the core was told last.
// For a mute replica time stands still.
uint64_t Group::ticksToTell() {
  uint64_t passed = ports_.ticks - std::exchange(coreTicks_, ports_.ticks);
  return isMute() ? 0 : passed;
}

}  // namespace flotilla::group
