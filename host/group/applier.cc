// What committed entries do: the group state and the machine, moved on together.
#include "host/group/applier.h"

#include <algorithm>
#include <string>
#include <utility>

#include "host/base/assert.h"
#include "host/base/checksum.h"
#include "host/base/prefetch.h"
#include "host/base/prng.h"
#include "host/base/spare_rooms.h"

namespace flotilla::group {
namespace {

// Bytes of a command's parameters, while its run is put together: the machine reads them soon.
constexpr size_t kFetchedBytesMax = 512;
const MachineCommand kUnfilled{};

// The same on every replica, and another for each command of each group.
uint64_t seedOf(uint64_t group, Position position) {
  base::Prng ofGroup(group);
  base::Prng ofEntry(ofGroup.next() ^ position.index);
  return base::Prng(ofEntry.next() ^ position.ordinal).next();
}

// Room for `more`, at once but not for each entry anew.
void growBy(std::vector<Applied::Answer>& answers, size_t more) {
  size_t wanted = answers.size() + more;
  if (wanted > answers.capacity()) answers.reserve(std::max(wanted, 2 * answers.capacity()));
}

// What becomes of an answer that this host has no room for.
Outcome noRoom(Position position, size_t bytes) {
  Outcome outcome;
  outcome.code = ErrorCode::unknown;
  outcome.position = position;
  outcome.body = Bytes::copyOf("applied, but its answer of " + std::to_string(bytes) +
                               " bytes had no room beside the group's others on their way; send "
                               "fewer at a time");
  return outcome;
}

std::string nameOf(Position position) {
  return std::to_string(position.index) + "." + std::to_string(position.ordinal);
}

}  // namespace

// Takes a run's answers: copies those that somebody waits for, settles those that are stamped.
class Applier::RunAnswers final : public Answers {
public:
  RunAnswers(Applier& applier, Applied& applied) : applier_(applier), applied_(applied) {}

  void result(size_t place, std::string_view segment) override {
    take(place, ErrorCode::none, {}, segment);
  }
  void error(size_t place, std::string_view appCode, std::string_view text) override {
    take(place, ErrorCode::app, appCode, text);
  }
  bool wakeAt(size_t, int64_t timeUs, uint64_t token) override {
    std::vector<Timers::Timer>& wanted = applier_.wanted_;
    if (applier_.state_.timers.size() + wanted.size() >= kTimersMax) return false;
    wanted.push_back({timeUs, token});
    return true;
  }
  bool emit(size_t, std::string_view topic, std::string_view message) override {
    Event event{{}, Bytes::copyOf(topic), Bytes::copyOf(message)};
    applier_.toldBytes_ += event.cost();
    if (applier_.told_.size() >= FLOTILLA_EVENTS_MAX) return false;
    if (applier_.toldBytes_ > FLOTILLA_EVENTS_BYTES_MAX) return false;
    applier_.told_.push_back(std::move(event));
    return true;
  }

private:
  void take(size_t place, ErrorCode code, std::string_view appCode, std::string_view body) {
    if (place >= applier_.pending_.size() || applier_.pending_[place].answered) return;
    Pending& pending = applier_.pending_[place];
    pending.answered = true;
    if (!applier_.wanted_.empty()) settleTimers(code == ErrorCode::none);
    if (applier_.toldBytes_ != 0) settleEvents(place, code == ErrorCode::none);
    uint64_t& rolling = applier_.state_.answers;
    rolling = base::checksum(body, rolling + static_cast<uint64_t>(code));
    if (!appCode.empty()) rolling = base::checksum(appCode, rolling);
    bool stamped = pending.stamp.session != 0;
    if (!stamped && pending.answer == kNoAnswer) return;
    bool waited = pending.answer != kNoAnswer;
    bool goes = waited && applier_.takeRoom(body.size());
    Outcome untold;
    Outcome& outcome = goes ? applied_.answers[pending.answer].outcome : untold;
    outcome.code = code;
    if (!appCode.empty()) outcome.appCode = std::string(appCode);
    outcome.position = applier_.run_[place].position;
    if (goes) {
      outcome.body = applier_.page_.copy(body);
    } else {
      outcome.body = Bytes(nullptr, body);  // kept by copy, within settle
    }
    if (stamped) applier_.state_.sessions.settle(pending.stamp, outcome);
    if (!waited || goes) return;
    applied_.answers[pending.answer].outcome = noRoom(outcome.position, body.size());
  }

  void settleTimers(bool done) {
    for (const Timers::Timer& timer : applier_.wanted_) {
      if (done) applier_.state_.timers.set(timer);
    }
    applier_.wanted_.clear();
  }

  void settleEvents(size_t place, bool done) {
    if (done) applier_.state_.events.add(applier_.run_[place].position, applier_.told_);
    applier_.told_.clear();
    applier_.toldBytes_ = 0;
  }

  Applier& applier_;
  Applied& applied_;
};

Applier::Applier(ReplicaKey key, MachineFactory makeMachine, StoreFactory makeStore,
                 EventBounds events)
    : key_(key),
      makeMachine_(std::move(makeMachine)),
      makeStore_(std::move(makeStore)),
      eventBounds_(events) {}

Result<void> Applier::begin() {
  auto fresh = makeMachine_({});
  if (!fresh) return fresh.fault();
  if (auto opened = openFresh(**fresh); !opened) return opened;
  takeOver(std::move(*fresh), GroupState{});
  return {};
}

void Applier::takeOver(std::unique_ptr<Machine> machine, GroupState state) {
  machine_ = std::move(machine);
  ++machineNumber_;
  frozen_.reset();
  state_ = std::move(state);
  state_.events.bound(eventBounds_);
  fault_.reset();
  faultAt_ = {};
}

Result<raft::LogPoint> Applier::install(SnapshotSource& file, std::optional<raft::LogPoint> point) {
  SnapshotReader reader(file);
  auto head = reader.head();
  if (!head) return head.fault();
  if (head->group != key_.group || (point && *point != head->point)) {
    return Fault{ErrorCode::corrupt,
                 "snapshot: of group " + std::to_string(head->group) + " at " +
                     std::to_string(head->point.index) + ", not what was asked for",
                 {}};
  }
  auto section = reader.groupSection();
  if (!section) return section.fault();
  GroupState fresh;
  if (auto decoded = fresh.decode(*section); !decoded) return decoded.fault();
  if (fresh.at != head->point) {
    return Fault{ErrorCode::corrupt, "snapshot: its head and its group state disagree", {}};
  }
  auto machine = makeMachine_(fresh.plugin);
  if (!machine) return machine.fault();
  if (auto opened = openFresh(**machine); !opened) return opened.fault();
  if (auto loaded = (*machine)->load(reader); !loaded) return loaded.fault();
  if (auto rest = reader.finish(); !rest) return rest.fault();
  if (auto store = (*machine)->store()) {
    if (auto kept = store->sync(fresh.at, *section); !kept) return kept.fault();
  }
  takeOver(std::move(*machine), std::move(fresh));
  return state_.at;
}

void Applier::rest() {
  frozen_.reset();
  entry_ = {};
}

Applied Applier::apply(const ApplyRequest& request, uint64_t answersBytesMax) {
  Applied applied;
  applied.generation = request.generation;
  knowRuns(request.runsKnown);
  answersWanted_ = request.answersWanted;
  answersBytesMax_ = answersBytesMax;
  answersBytes_ = 0;
  ASSERT(machine_ != nullptr);
  frozen_.reset();
  if (!fault_) {
    base::BorrowedRoom run(run_);
    base::BorrowedRoom pending(pending_);
    base::BorrowedRoom commands(entry_.commands);
    bool whole = true;
    for (const LogEntry& entry : request.entries) {
      if (!(whole = applyEntry(entry, applied))) break;
    }
    if (whole) whole = applyRun(applied);
    page_.leave();  // it goes with its answers
    if (whole && !request.entries.empty()) {
      const LogEntry& last = request.entries.back();
      state_.at = {last.index, last.term};
    }
  }
  if (!fault_) syncIfMuch();
  applied.unchecked = state_.unchecked;
  applied.durable = durable();
  applied.index = fault_ ? wholeUpTo_ : state_.at.index;
  applied.fault = fault_;
  applied.faultAt = faultAt_;
  applied.nextTimerUs = state_.timers.nextUs();
  if (fault_) {  // no answer from there on is true
    std::erase_if(applied.answers, [&](const Applied::Answer& it) {
      return it.position.index > wholeUpTo_ && it.position >= faultAt_;
    });
  }
  return applied;
}

bool Applier::applyEntry(const LogEntry& entry, Applied& applied) {
  Position start{entry.index, 0};
  auto decoded = decodeEntry(entry.payload.view(), entry_);
  if (!decoded) return applyRun(applied) && stopAt(start, decoded.fault());
  term_ = entry.term;
  state_.timeUs = std::max(state_.timeUs, entry_.timeUs);
  state_.sessions.expire(state_.timeUs);
  switch (entry_.kind) {
    case EntryKind::noOp:
      return true;
    case EntryKind::commands:
      ++state_.unchecked;
      return applyCommands(entry, applied);
    case EntryKind::configuration:
      state_.configuration = {entry.index, entry_.configuration};
      if (size_t answer = addAnswer(start, applied); answer != kNoAnswer) {
        applied.answers[answer].outcome.position = start;
      }
      return true;
    case EntryKind::openSession:
      ++state_.unchecked;
      applyOpenSession(start, applied);
      return true;
    case EntryKind::timers:
      ++state_.unchecked;
      return applyTimers(entry.index, applied);
    case EntryKind::digestCheck:
      return applyDigestCheck(entry.index, applied);
    case EntryKind::switchPlugin:
      ++state_.unchecked;
      return applySwitch(start, applied);
  }
  return true;
}

bool Applier::applyCommands(const LogEntry& entry, Applied& applied) {
  if (answersWanted_) growBy(applied.answers, entry_.commands.size());
  for (uint32_t ordinal = 0; ordinal < entry_.commands.size(); ++ordinal) {
    if (run_.size() >= kRunCommandsMax && !applyRun(applied)) return false;
    if (!judgeCommand(entry_.commands[ordinal], {entry.index, ordinal}, applied)) return false;
  }
  // Views into a copy that the next entry will overwrite.
  if (!entry_.aligned.empty()) {
    if (!applyRun(applied)) return false;
    entry_.aligned.clear();
  }
  return true;
}

// Adds the command to the run, or answers it at once. False: a fault came up on the way.
bool Applier::judgeCommand(const CommandView& command, Position position, Applied& applied) {
  size_t answer = addAnswer(position, applied);
  if (command.stamp.session == 0) {
    carryOut(command, position, answer, applied);
    return true;
  }
  if (state_.sessions.needsSettled() && !applyRun(applied)) return false;
  Outcome outcome;
  auto verdict = state_.sessions.judge(command.stamp, state_.timeUs, outcome);
  if (verdict == Sessions::Verdict::pending) {
    if (!applyRun(applied)) return false;
    verdict = state_.sessions.judge(command.stamp, state_.timeUs, outcome);
    ASSERT(verdict != Sessions::Verdict::pending);
  }
  if (verdict == Sessions::Verdict::fresh) {
    carryOut(command, position, answer, applied);
  } else if (answer != kNoAnswer) {
    if (outcome.position.index == 0) outcome.position = position;
    if (!takeRoom(outcome.body.size())) outcome = noRoom(outcome.position, outcome.body.size());
    applied.answers[answer].outcome = std::move(outcome);
  }
  return true;
}

void Applier::addToRun(const CommandView& command, Position position, size_t answer) {
  run_.push_back(kUnfilled);  // gcc 12 has emplace_back clear it by `rep stos`, which is slow
  MachineCommand& next = run_.back();
  next.position = position;
  next.term = term_;
  next.timeUs = state_.timeUs;
  next.seed = seedOf(key_.group, position);
  next.session = command.stamp.session;
  next.interfaceId = command.interfaceId;
  next.method = command.method;
  next.params = command.params;
  base::prefetch(next.params.data(), std::min(next.params.size(), kFetchedBytesMax));
  Pending& pending = pending_.emplace_back();
  pending.stamp = command.stamp;
  pending.answer = answer;
}

void Applier::applyOpenSession(Position position, Applied& applied) {
  bool opened = state_.sessions.open(position.index, state_.timeUs);
  size_t answer = addAnswer(position, applied);
  if (answer == kNoAnswer) return;
  Outcome& outcome = applied.answers[answer].outcome;
  outcome.position = position;
  if (opened) return;
  outcome.code = ErrorCode::overloaded;
  outcome.body =
      Bytes::copyOf("group " + std::to_string(key_.group) + ": " + std::to_string(kSessionsMax) +
                    " sessions are open; use one of yours");
}

// Those that are due by now join the run as commands of this entry. What was gathered before goes
// first, for it may set timers that are due already.
bool Applier::applyTimers(raft::Index index, Applied& applied) {
  if (!applyRun(applied)) return false;
  state_.timers.takeDue(state_.timeUs, due_);
  for (uint32_t ordinal = 0; ordinal < due_.size(); ++ordinal) {
    Position position{index, ordinal};
    run_.push_back({.position = position,
                    .term = term_,
                    .timeUs = state_.timeUs,
                    .seed = seedOf(key_.group, position),
                    .wakes = true,
                    .token = due_[ordinal].token,
                    .params = {}});
    pending_.push_back({{}, kNoAnswer, false});
  }
  return true;
}

// Whoever may call the group may name any method, and a plugin may have had some that the one after
// it has not: a command of none is answered, and is no reason for the machine to stop.
void Applier::carryOut(const CommandView& command, Position position, size_t answer,
                       Applied& applied) {
  auto kind = machine_->kindOf(command.interfaceId, command.method);
  if (kind == Machine::MethodKind::command) return addToRun(command, position, answer);
  Outcome outcome;
  outcome.code = ErrorCode::noSuchMethod;
  outcome.position = position;
  std::string since =
      state_.switchedAt == 0 ? "" : ", switched at " + std::to_string(state_.switchedAt) + ",";
  outcome.body = Bytes::copyOf("the group's plugin" + since + " has no such command");
  if (command.stamp.session != 0) state_.sessions.settle(command.stamp, outcome);
  if (answer != kNoAnswer) applied.answers[answer].outcome = std::move(outcome);
}

// Everything before this entry has been applied, nothing after it: the one moment at which all
// replicas must be equal.
bool Applier::applyDigestCheck(raft::Index index, Applied& applied) {
  if (!applyRun(applied)) return false;
  if (state_.counted) {
    uint64_t parts[] = {machine_->digest().value_or(0), state_.digest()};
    std::string_view view(reinterpret_cast<const char*>(parts), sizeof parts);
    applied.digests.push_back({index, base::checksum(view)});
  }
  state_.unchecked = 0;
  state_.answers = 0;
  state_.counted = true;
  return true;
}

// Hands the gathered commands to the machine. False: it stopped at one of them.
bool Applier::applyRun(Applied& applied) {
  if (run_.empty()) return true;
  wanted_.clear();
  told_.clear();
  toldBytes_ = 0;
  RunAnswers answers(*this, applied);
  Machine::ApplyEnd end = machine_->apply(run_.data(), run_.size(), answers);
  size_t done = std::min(end.applied, run_.size());
  bool whole = done == run_.size() && !end.fault;
  size_t place = done;
  for (size_t i = 0; i < done; ++i) {
    if (pending_[i].answered) continue;
    whole = false;
    place = i;
    end.fault = Fault{ErrorCode::faulted, "machine: left a command without an answer", {}};
    break;
  }
  if (!whole) {
    if (!end.fault) {
      end.fault = Fault{ErrorCode::faulted, "machine: stopped without saying why", {}};
    }
    stopAt(run_[std::min(place, run_.size() - 1)].position, std::move(*end.fault));
  }
  run_.clear();
  pending_.clear();
  return whole;
}

size_t Applier::addAnswer(Position position, Applied& applied) const {
  if (!answersWanted_) return kNoAnswer;
  applied.answers.emplace_back().position = position;
  return applied.answers.size() - 1;
}

// On the way to whoever waits.
bool Applier::takeRoom(size_t bytes) {
  if (bytes > answersBytesMax_ - answersBytes_) return false;
  answersBytes_ += bytes;
  return true;
}

bool Applier::stopAt(Position position, Fault fault) {
  fault_ = std::move(fault);
  faultAt_ = position;
  wholeUpTo_ = position.index - 1;
  return false;
}

bool Applier::stop(Fault fault, Position at, uint64_t machine) {
  if (fault_ || (machine != 0 && machine != machineNumber_)) return false;
  fault_ = std::move(fault);
  faultAt_ = at;
  wholeUpTo_ = state_.at.index;
  return true;
}

Queried Applier::query(const QueryRequest& request) {
  ASSERT(machine_ != nullptr);
  Queried queried{request.call, {}};
  if (!fault_) {
    uint64_t interfaceId = request.question.interfaceId;
    bool known =
        machine_->kindOf(interfaceId, request.question.method) == Machine::MethodKind::query;
    Asked asked = putQuestion(request, {state_.at, state_.timeUs},
                              [&](const MachineCommand& question, Answers& answers) {
                                if (known) return machine_->query(question, answers);
                                answers.error(0, {}, "the group's plugin has no such query");
                                return Result<void>();
                              });
    if (!known) asked.outcome.code = ErrorCode::noSuchMethod;
    if (asked.fault) stopAt({state_.at.index + 1, 0}, std::move(*asked.fault));
    queried.outcome = std::move(asked.outcome);
  }
  if (fault_) {
    queried.outcome = {};
    queried.outcome.code = ErrorCode::faulted;
    queried.outcome.body = Bytes::copyOf("group " + std::to_string(key_.group) + ": stopped at " +
                                         flotilla::group::nameOf(faultAt_) + ": " + fault_->text);
  }
  return queried;
}

std::optional<AsideQuery> Applier::aside(const QueryRequest& request) {
  const Call& question = request.question;
  if (fault_ || machine_ == nullptr) return std::nullopt;
  if (!machine_->isLong(question.interfaceId, question.method)) return std::nullopt;
  if (!frozen_) {
    auto frozen = machine_->freeze();
    if (!frozen) {
      stopAt({state_.at.index + 1, 0}, frozen.fault());
      return std::nullopt;
    }
    frozen_ = std::move(*frozen);
  }
  return AsideQuery(frozen_, machineNumber_, {state_.at, state_.timeUs}, request);
}

}  // namespace flotilla::group
