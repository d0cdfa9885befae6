// A few replicas of one group in one place: shipped Groups and Appliers over ports in memory.
#include "tests/group/trio.h"

#include <utility>

#include <doctest/doctest.h>

namespace flotilla::test {
namespace {

constexpr uint64_t kGroup = 7;
constexpr size_t kStepsMax = 200'000;

}  // namespace

// ---- disk --------------------------------------------------------------------------------------

void Seat::put(const group::DiskWrite& write, Stored& to) {
  if (write.reset) to.entries.clear();
  to.state = write.state;
  if (!write.entries.empty()) {
    to.entries.erase(to.entries.lower_bound(write.entries.front().index), to.entries.end());
  }
  for (const group::LogEntry& entry : write.entries) to.entries[entry.index] = entry;
  to.entries.erase(to.entries.begin(), to.entries.lower_bound(to.state.shape.firstIndex()));
}

void Seat::write(group::ReplicaKey, group::DiskWrite write) {
  put(write, written);
  unsynced.push_back(std::move(write));
}

bool Seat::syncOnce() {
  if (unsynced.empty() || !syncs) return false;
  raft::WriteId last = 0;
  for (const group::DiskWrite& write : unsynced) {
    put(write, safe);
    last = write.id;
  }
  unsynced.clear();
  group->persisted(last);
  return true;
}

void Seat::fetch(group::ReplicaKey, group::DiskFetch fetch) {
  ++fetchCount;
  fetches.push_back(fetch);
}

bool Seat::answerFetch() {
  if (fetches.empty()) return false;
  group::DiskFetch fetch = fetches.front();
  fetches.pop_front();
  if (fetchFault) {
    group->fetched({fetch.id, *fetchFault});
    return true;
  }
  std::vector<group::LogEntry> entries;
  uint64_t bytes = 0;
  for (raft::Index index = fetch.after + 1; index <= fetch.last; ++index) {
    auto found = written.entries.find(index);
    if (found == written.entries.end()) break;
    entries.push_back(found->second);
    bytes += found->second.payload.size();
    if (bytes >= fetch.bytesMax) break;
  }
  if (entries.empty()) {
    group->fetched({fetch.id, Fault{ErrorCode::unavailable, "not in the log any more", {}}});
  } else {
    group->fetched({fetch.id, std::move(entries)});
  }
  return true;
}

// ---- the way out -------------------------------------------------------------------------------

void Seat::send(group::PeerMessage&& message) {
  if (!message.entries.empty()) trio.sent.push_back(message);
  trio.wire.push_back(std::move(message));
}

void Seat::sendSnapshot(group::ReplicaKey, raft::Message head) {
  trio.streams.push_back({id, std::move(head)});
}

// ---- the machine -------------------------------------------------------------------------------

bool Seat::asideOnce() {
  if (asides.empty() || !works || !asidesMove) return false;
  group::AsideQuery::End end = asides.front().run();
  asides.pop_front();
  if (end.fault) applier->stop(*end.fault, end.faultAt, end.machine);
  group->queried(std::move(end.queried));
  return true;
}

bool Seat::workOnce() {
  if (work.empty() || !works) return false;
  auto next = std::move(work.front());
  work.pop_front();
  next();
  return true;
}

// As runtime's Replica::recordChanges; files go, beside all else, that were not to be kept when it
// was begun.
bool Seat::recordOnce() {
  bool rebuilt = group->isRebuilt();
  if (group->soundness() == soundness && !rebuilt) return false;
  soundness = rebuilt ? group::Soundness::sound : group->soundness();
  unsoundAt = rebuilt ? 0 : std::max(group->quarantinedAt(), group->rebuildFrom());
  if (!rebuilt) return true;
  bool begins = !kept;
  if (begins) kept = group->status().snapshotIndex;
  if (!records) return begins;
  std::erase_if(files, [this](const auto& file) { return file.first != *kept; });
  kept.reset();
  group->forgotten();
  return true;
}

void Seat::apply(group::ApplyRequest request) {
  lastApply = {request.generation, {}, request.answersWanted, request.endWanted, request.givesWay,
               request.runsKnown};
  work.push_back([this, request = std::move(request)] { group->applied(applier->apply(request)); });
}

void Seat::query(group::QueryRequest request) {
  work.push_back([this, request = std::move(request)] {
    if (auto aside = applier->aside(request)) {
      asides.push_back(std::move(*aside));
    } else {
      group->queried(applier->query(request));
    }
  });
}

void Seat::snapshot(group::SnapshotRequest request) {
  lastSnapshot = request;
  work.push_back([this, request = std::move(request)] {
    group::SnapshotSaved saved;
    saved.generation = request.generation;
    auto capture = applier->capture(request.shape, request.runsKnown);
    if (!saves) {
      saved.fault = Fault{ErrorCode::diskFull, "no room", ""};
    } else if (capture) {
      MemoryFile file;
      auto bytes = (*capture)->save(file);
      REQUIRE(bytes.ok());
      saved.point = (*capture)->point();
      saved.bytes = *bytes;
      files[saved.point.index] = file.bytes;
    } else {
      saved.fault = capture.fault();
    }
    group->snapshotSaved(std::move(saved));
  });
}

void Seat::sync(group::SyncRequest request) {
  work.push_back([this, request] {
    group::Synced synced{request.generation, {}, {}};
    auto done = applier->sync();
    if (!done) synced.fault = done.fault();
    synced.point = applier->durable().value_or(raft::LogPoint{});
    group->synced(std::move(synced));
  });
}

void Seat::install(group::InstallRequest request) {
  work.push_back([this, request = std::move(request)] {
    group::InstallEnd end;
    end.generation = request.generation;
    end.point = request.point;
    if (request.point.index == 0) {
      auto begun = applier->begin();
      if (!begun) end.fault = begun.fault();
    } else if (refusesLoads != ErrorCode::none) {
      end.fault = Fault{refusesLoads, "machine: no", {}};
    } else {
      MemorySource source(files[request.point.index]);
      auto installed = applier->install(source, request.point);
      if (!installed) end.fault = installed.fault();
      end.logTimeUs = applier->state().timeUs;
      end.nextTimerUs = applier->state().timers.nextUs();
    }
    group->installEnd(std::move(end));
  });
}

void Seat::answer(group::CallId call, group::Outcome outcome) {
  answers[call] = std::move(outcome);
  ++answerCounts[call];
  CHECK(answerCounts[call] == 1);
}

int64_t Seat::monotonicUs() const {
  return trio.timeUs;
}
int64_t Seat::wallUs() const {
  return trio.timeUs + trio.wallAheadUs;
}

// ---- all together ------------------------------------------------------------------------------

Trio::Trio(size_t founders, group::GroupOptions wanted, size_t joining)
    : options(std::move(wanted)) {
  raft::Configuration configuration;
  for (raft::ReplicaId id = 1; id <= founders; ++id) configuration.voters.push_back(id);
  for (raft::ReplicaId id = 1; id <= founders + joining; ++id) {
    seats.push_back(std::make_unique<Seat>(*this, id));
    if (id <= founders) at(id).safe.state.shape = raft::LogShape({}, configuration);
  }
  for (raft::ReplicaId id = 1; id <= founders + joining; ++id) start(id);
}

void Trio::start(raft::ReplicaId id) {
  Seat& seat = at(id);
  seat.written = seat.safe;
  group::GroupOptions mine = options;
  mine.key = {kGroup, id};
  mine.core.self = id;
  mine.core.seed = 1000 + ++starts_;
  seat.applier = std::make_unique<group::Applier>(mine.key, [&seat](const std::string& sha256) {
    using Made = Result<std::unique_ptr<group::Machine>>;
    if (!sha256.empty() && sha256 == seat.lacks) {
      return Made(Fault{ErrorCode::unavailable, "its file is not here", {}});
    }
    return Made(std::make_unique<MapMachine>(sha256));
  });
  bool sound = seat.soundness == group::Soundness::sound;
  if (sound) REQUIRE(seat.applier->begin().ok());
  // As runtime does: the newest file that is part of the log.
  const raft::LogShape& shape = seat.safe.state.shape;
  for (auto file = seat.files.rbegin(); sound && file != seat.files.rend(); ++file) {
    if (file->first > shape.lastIndex() || file->first < shape.base().index) continue;
    MemorySource source(file->second);
    REQUIRE(seat.applier->install(source, {}).ok());
    break;
  }
  group::Recovered recovered;
  recovered.state = seat.safe.state;
  recovered.machineAt = seat.applier->at();
  recovered.soundness = seat.soundness;
  recovered.unsoundAt = seat.unsoundAt;
  recovered.unsoundBecause = "as before";
  seat.group = std::make_unique<group::Group>(
      mine, recovered, group::Ports{seat, seat, seat, seat, seat, steps_, tails, ticks});
}

void Trio::crash(raft::ReplicaId id) {
  Seat& seat = at(id);
  seat.group.reset();
  seat.applier.reset();
  seat.unsynced.clear();
  seat.fetches.clear();
  seat.work.clear();
  seat.asides.clear();
  seat.kept.reset();
  seat.written = seat.safe;
}

bool Trio::deliver() {
  if (wire.empty()) return false;
  group::PeerMessage message = std::move(wire.front());
  wire.pop_front();
  raft::ReplicaId from = message.message.from;
  raft::ReplicaId to = message.message.to;
  if (to > seats.size() || !at(to).group || cutOff[from] || cutOff[to]) return true;
  if (lose && lose(message)) return true;
  if (spoil) spoil(message);
  groupAt(to).receive(std::move(message));
  return true;
}

bool Trio::stream() {
  if (streams.empty() || !streamsMove) return false;
  Stream next = std::move(streams.front());
  streams.pop_front();
  ++streamCount;
  raft::ReplicaId to = next.head.to;
  bool whole = to <= seats.size() && at(to).group && !cutOff[next.from] && !cutOff[to] &&
               (next.head.force || groupAt(to).takesSnapshots());
  if (whole) {
    const std::string& file = at(next.from).files[next.head.after.index];
    MemorySource source(file);
    auto head = group::verifySnapshot(source);
    REQUIRE(head.ok());
    CHECK(head->point == next.head.after);
    CHECK(head->configuration == next.head.configurations.front().configuration);
    at(to).files[next.head.after.index] = file;
    groupAt(to).snapshotReceived(next.head);
  }
  if (at(next.from).group) groupAt(next.from).snapshotSent({to, next.head.after, whole});
  return true;
}

void Trio::settle() {
  for (size_t steps = 0;; ++steps) {
    REQUIRE(steps < kStepsMax);
    bool moved = false;
    for (auto& seat : seats) {
      if (!seat->group) continue;
      seat->group->flush();
      moved = seat->syncOnce() || moved;
      moved = seat->answerFetch() || moved;
      moved = seat->workOnce() || moved;
      moved = seat->asideOnce() || moved;
      moved = seat->recordOnce() || moved;
    }
    moved = deliver() || moved;
    moved = stream() || moved;
    if (!moved) return;
  }
}

void Trio::tickAll(size_t times) {
  for (size_t i = 0; i < times; ++i) {
    timeUs += 100'000;
    std::vector<group::Group*> due;
    for (auto& seat : seats) {
      if (!seat->group) continue;
      bool isSpare = leavesTicksOut && seat->group->nextTick() > ticks + 1;
      if (isSpare) ++ticksLeftOut;
      if (!isSpare) due.push_back(seat->group.get());
    }
    ++ticks;
    for (group::Group* group : due) group->tick();
    settle();
  }
}

raft::ReplicaId Trio::leaderNow() const {
  raft::ReplicaId best = 0;
  raft::Term term = 0;
  for (const auto& seat : seats) {
    auto cut = cutOff.find(seat->id);
    if (!seat->group || !seat->group->leads() || (cut != cutOff.end() && cut->second)) continue;
    if (seat->group->core().term() < term) continue;
    best = seat->id;
    term = seat->group->core().term();
  }
  return best;
}

raft::ReplicaId Trio::elect() {
  for (int i = 0; i < 200; ++i) {
    raft::ReplicaId leader = leaderNow();
    // Until its term's first entry is applied.
    if (leader != 0 &&
        groupAt(leader).core().applicable() == groupAt(leader).core().shape().lastIndex()) {
      return leader;
    }
    tickAll(1);
  }
  FAIL("nobody was elected");
  return 0;
}

MapMachine& Trio::machineAt(raft::ReplicaId id) {
  return static_cast<MapMachine&>(*at(id).applier->machine());
}

group::CallId Trio::call() {
  return ++lastCall_;
}

group::Outcome Trio::run(raft::ReplicaId id, group::Call call) {
  group::CallId caller = this->call();
  groupAt(id).propose(caller, std::move(call));
  settle();
  REQUIRE(at(id).answers.contains(caller));
  return at(id).answers[caller];
}

group::Outcome Trio::ask(raft::ReplicaId id, group::Call call, group::Freshness freshness) {
  group::CallId caller = this->call();
  groupAt(id).query(caller, std::move(call), freshness);
  settle();
  for (int i = 0; i < 30 && !at(id).answers.contains(caller); ++i) tickAll(1);
  REQUIRE(at(id).answers.contains(caller));
  return at(id).answers[caller];
}

}  // namespace flotilla::test
