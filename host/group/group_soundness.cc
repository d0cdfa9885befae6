// Whether a replica's machine can be believed: digest checks, quarantine, rebuilding.
#include <algorithm>
#include <iterator>
#include <utility>

#include "host/group/entry.h"
#include "host/group/group.h"
#include "host/raft/membership.h"

namespace flotilla::group {
namespace {

constexpr uint32_t kCheckVersion = 3;  // of entries; a host of 2 takes other digests
constexpr uint64_t kReportAgainTicks = 20;
constexpr uint32_t kReportsMax = 30;           // of one digest; then the next check will tell
constexpr uint64_t kAsksMax = 30;              // for a snapshot, before the log alone is tried
constexpr uint64_t kAskAgainTicks = 40;        // for a snapshot
constexpr uint64_t kSendingTicksMax = 12'000;  // a snapshot under way is not sent once more sooner

// Whoever has a say in either half of a joint configuration.
std::vector<raft::ReplicaId> votersOf(const raft::Configuration& configuration) {
  std::vector<raft::ReplicaId> voters;
  std::set_union(configuration.voters.begin(), configuration.voters.end(),
                 configuration.outgoing.begin(), configuration.outgoing.end(),
                 std::back_inserter(voters));
  return voters;
}

}  // namespace

void Group::tickSoundness() {
  considerCheck();
  if (ports_.ticks >= reportAt_) reportDigest();
  askForSnapshot();
}

// ---- digest checks -----------------------------------------------------------------------------

// Where something has been applied since the last check, and there is somebody to compare with, a
// leader asks all for their digests: by an entry, so that each takes it at the same place.
void Group::considerCheck() {
  if (!leads() || fault_ || rebuilding_ || installing_ || stopping_ || volumeFull_) return;
  if (core_.asleep() || unchecked_ == 0 || checkAt_ > feed_.applied()) return;
  bool byTime = options_.digestEveryUs != 0 &&
                ports_.clock.monotonicUs() - checkedUs_ >= options_.digestEveryUs;
  if ((!byTime && !muchIsUnchecked()) || !canCheck()) return;
  Bytes payload = encodeDigestCheck(logTime_.stamp(now()));
  step(raft::Propose{++lastProposal_, payload.size()});
  if (!effects_.accepted.empty()) checkAt_ = effects_.accepted.front().point.index;
  carryOut({nullptr, std::move(payload)});
}

bool Group::muchIsUnchecked() const {
  bool byEntries = options_.digestEveryEntries != 0 && unchecked_ >= options_.digestEveryEntries;
  return byEntries || unchecked_ >= kCheckNow;
}

bool Group::canCheck() const {
  return entriesVersion_ >= kCheckVersion && raft::membersOf(core_.configuration()).size() > 1;
}

void Group::tookDigests(const std::vector<DigestAt>& taken, uint64_t unchecked) {
  unchecked_ = unchecked;
  if (taken.empty()) return;
  checkedUs_ = ports_.clock.monotonicUs();
  if (entriesVersion_ < kCheckVersion) return;  // a host of an older version has asked
  for (const DigestAt& own : taken) {
    digests_.add(core_.self(), own);
    reported_ = own;
    reports_ = 0;
    if (leads()) judgeDigests(own.index);
  }
  reportDigest();
}

// Tells the leader what we have, until it has said what others have.
void Group::reportDigest() {
  if (!reported_ || fault_) return;
  reportAt_ = ports_.ticks + kReportAgainTicks;
  if (leads()) return judgeDigests(reported_->index);
  if (core_.leader() == 0) return;
  if (++reports_ > kReportsMax) {
    reported_.reset();
    return;
  }
  raft::Message report = messageTo(core_.leader(), raft::MessageKind::digest);
  report.index = reported_->index;
  report.context = reported_->digest;
  send(std::move(report), {});
}

void Group::onDigest(const raft::Message& report) {
  if (!leads() || report.index == 0 || report.index > core_.commit()) return;
  if (!raft::isMember(core_.configuration(), report.from)) return;
  digests_.add(report.from, {report.index, report.context});
  judgeDigests(report.index);
}

// A strict majority of the voters is right; whoever is not of its mind learns of it. Without one
// nobody can say who is, and an alarm is all there is.
void Group::judgeDigests(raft::Index index) {
  Digests::Verdict verdict = digests_.judge(index, votersOf(core_.configuration()));
  if (!verdict.digest) {
    if (verdict.split) splitAt_ = std::max(splitAt_, index);
    return;
  }
  if (splitAt_ <= index) splitAt_ = 0;
  bool ours = true;
  for (auto [replica, agrees] : digests_.takeUntold(index, *verdict.digest)) {
    if (replica == core_.self()) {
      ours = agrees;
      if (reported_ && reported_->index == index) reported_.reset();
      continue;
    }
    raft::Message word = messageTo(replica, raft::MessageKind::digestVerdict);
    word.index = index;
    word.context = *verdict.digest;
    word.granted = agrees;
    send(std::move(word), {});
  }
  if (!ours) quarantine(index, *verdict.digest);
}

void Group::onDigestVerdict(const raft::Message& word) {
  if (word.from != core_.leader()) return;
  if (reported_ && reported_->index == word.index) reported_.reset();
  auto own = digests_.of(core_.self(), word.index);
  if (!word.granted && own && *own != word.context) quarantine(word.index, word.context);
}

// The machine's state is not what the log makes of it. It must not answer anybody, lead, or be the
// beginning of another replica; its log and its vote are as good as before.
void Group::quarantine(raft::Index index, uint64_t majority) {
  if (fault_ || rebuilding_) return;
  auto own = digests_.of(core_.self(), index);
  quarantinedAt_ = index;
  reported_.reset();
  stopMachine({ErrorCode::faulted,
               "quarantined: its digest at " + std::to_string(index) + " is " +
                   std::to_string(own.value_or(0)) + ", a majority of the voters has " +
                   std::to_string(majority) + "; rebuild it with flotilla group rebuild",
               {}},
              {index, 0});
}

Soundness Group::soundness() const {
  if (rebuilding_ || settlesAt_) return Soundness::rebuilding;
  return quarantinedAt_ != 0 ? Soundness::quarantined : Soundness::sound;
}

// ---- rebuilding --------------------------------------------------------------------------------

// The machine is forgotten, whatever it is about: nothing that it still answers is heard. Raft goes
// on as if it were loading.
void Group::rebuild() {
  if (logFault_ || stopping_) return;
  askAt_ = ports_.ticks;
  if (rebuilding_ && !fault_) return askForSnapshot();
  rebuilding_ = true;
  settlesAt_.reset();
  rebuildFrom_ = std::max(rebuildFrom_, quarantinedAt_);
  quarantinedAt_ = 0;
  asks_ = 0;
  fault_.reset();
  faultAt_ = {};
  reported_.reset();
  offered_.reset();
  askers_.clear();
  if (installing_ && !installing_->asked) installing_.reset();
  generation_ = ++lastGeneration_;
  saving_ = syncing_ = false;
  applyFetch_ = 0;
  Outcome outcome = failure(ErrorCode::unavailable, kBeingRebuilt);
  failCalls(failure(ErrorCode::unknown, kBeingRebuilt), outcome);
  answerSnapshotCallers(outcome);
  answerSyncCallers(outcome);
  wake();
  askForSnapshot();
}

// Asks the leader first, then whoever there is: any replica that works has what is committed. It is
// to be a state that a majority was seen to agree on. Where nobody has one to give and the whole
// log is here, that will do.
void Group::askForSnapshot() {
  if (!rebuilding_ || fault_ || installing_ || takeOffered() || ports_.ticks < askAt_) return;
  askAt_ = ports_.ticks + kAskAgainTicks;
  if (leads()) take(raft::Transfer{0});
  std::vector<raft::ReplicaId> others = raft::membersOf(core_.configuration());
  std::erase(others, core_.self());
  bool wholeLog = core_.shape().base().index == 0 && rebuildFrom_ == 0;
  if (others.empty() || (asks_ >= kAsksMax && wholeLog)) {
    // Those it could have asked may have been removed meanwhile: then what is here is all there is,
    // and was not found to be wrong.
    raft::LogPoint point = wholeLog ? raft::LogPoint{} : beginning();
    bool own = rebuildFrom_ == 0 && point.index != 0 && point.index >= core_.shape().base().index;
    if (wholeLog || own) startFromOwn(point);
    return;
  }
  raft::ReplicaId to = others[asks_ % others.size()];
  if (asks_ % 2 == 0 && core_.leader() != 0 && !leads()) to = core_.leader();
  ++asks_;
  raft::Message ask = messageTo(to, raft::MessageKind::snapshotAsk);
  ask.index = std::max(core_.shape().base().index, rebuildFrom_);
  send(std::move(ask), {});
}

// Gives what is there where the asker's log goes on from it, else a new one. A machine that has
// stopped at a command has saved nothing wrong before.
void Group::onSnapshotAsk(const raft::Message& ask) {
  if (soundness() != Soundness::sound || installing_ || stopping_) return;
  if (!raft::isMember(core_.configuration(), ask.from) || isSendingTo(ask.from)) return;
  if (hasSnapshot() && snapshot_.index >= ask.index) return sendAsked(ask.from);
  if (fault_ || feed_.applied() < ask.index || feed_.applied() == 0) return;
  if (std::find(askers_.begin(), askers_.end(), ask.from) != askers_.end()) return;
  askers_.push_back(ask.from);
  startSnapshot();
}

void Group::sendAsked(raft::ReplicaId to) {
  sendingTo_[to] = ports_.ticks;
  raft::Message head = snapshotHead(to);
  head.force = true;
  ports_.outbox.sendSnapshot(options_.key, std::move(head));
}

// One to give: the log goes on from it, and it is known who the members were there. One who joined
// and read the log from its beginning learns that only on the way.
bool Group::hasSnapshot() const {
  return snapshot_.index != 0 && snapshot_.index >= core_.shape().base().index &&
         !core_.shape().configurationAt(snapshot_.index).configuration.voters.empty();
}

bool Group::isSendingTo(raft::ReplicaId peer) const {
  auto since = sendingTo_.find(peer);
  return since != sendingTo_.end() && ports_.ticks - since->second < kSendingTicksMax;
}

// One that was asked for is no leader's word, so it never goes to the core. The log must go on from
// it: where it lies beyond what is safe here, it is kept until the log has come so far.
void Group::onAskedSnapshot(const raft::Message& head) {
  if (!rebuilding_ || head.configurations.size() != 1) return;
  offered_ =
      std::make_unique<Offered>(Offered{head.after, head.configurations.front().configuration});
  takeOffered();
}

bool Group::takeOffered() {
  if (!offered_ || installing_ || fault_) return false;
  raft::LogPoint point = offered_->point;
  if (point.index > core_.applicable()) return false;
  bool follows = point.index >= std::max<raft::Index>(rebuildFrom_, 1) &&
                 core_.shape().termAt(point.index) == point.term;
  raft::Configuration configuration = std::move(offered_->configuration);
  offered_.reset();
  if (!follows) return false;
  startInstall(point, configuration, false);
  return true;
}

// A snapshot was loaded. What there is on disk of the machine before it may only go, and the mark
// that this replica is being rebuilt with it, once a crash would bring back a log that follows.
void Group::installed() {
  if (rebuilding_ || quarantinedAt_ != 0) settlesAt_ = lastWrite_;
  rebuilding_ = false;
  quarantinedAt_ = rebuildFrom_ = 0;
  offered_.reset();
}

bool Group::isRebuilt() const {
  return settlesAt_ && !rebuilding_ && persisted_ >= *settlesAt_;
}

void Group::forgotten() {
  if (!isRebuilt()) return;  // another rebuilding has begun meanwhile
  settlesAt_.reset();
  ++rebuilds_;
}

raft::Message Group::messageTo(raft::ReplicaId to, raft::MessageKind kind) const {
  raft::Message message;
  message.kind = kind;
  message.from = core_.self();
  message.to = to;
  message.term = core_.term();
  return message;
}

}  // namespace flotilla::group
