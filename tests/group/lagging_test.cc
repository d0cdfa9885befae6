// Replicas that were away: by fetched entries, by snapshot, and what must not be sent.
#include <algorithm>

#include <doctest/doctest.h>

#include "host/group/entry.h"
#include "tests/group/trio.h"

namespace flotilla::test {
namespace {

raft::ReplicaId otherThan(raft::ReplicaId leader) {
  return leader % 3 + 1;
}

void putMany(Trio& trio, raft::ReplicaId leader, int count) {
  for (int i = 0; i < count; ++i) {
    REQUIRE(
        trio.run(leader, mapCall(0, "k" + std::to_string(i) + "=" + std::string(50, 'v'))).ok());
  }
}

group::GroupOptions smallTail() {
  group::GroupOptions options;
  options.limits.tailBytesMax = 1000;
  options.core.appendBytesMax = 2000;
  return options;
}

group::GroupOptions snapshotsEvery(uint64_t entries) {
  group::GroupOptions options = smallTail();
  options.snapshotEveryEntries = entries;
  options.keepEntries = 5;
  return options;
}

}  // namespace

TEST_CASE("group/appends: a replica that was away catches up by entries from the disk") {
  Trio trio(3, smallTail());
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId away = otherThan(leader);
  trio.crash(away);
  putMany(trio, leader, 60);
  size_t before = trio.at(leader).fetchCount;
  trio.start(away);
  trio.tickAll(30);
  CHECK(trio.at(leader).fetchCount > before);
  CHECK(trio.machineAt(away).values.size() == 60);
  CHECK(trio.streamCount == 0);
}

TEST_CASE("group/log_time: what a leader stamped that nobody followed does not move time later") {
  constexpr int64_t kTenHoursUs = 36'000'000'000;
  Trio trio(3, smallTail());
  trio.wallAheadUs = kTenHoursUs;
  trio.lose = [](const group::PeerMessage& it) {
    return it.message.kind == raft::MessageKind::append;
  };
  raft::ReplicaId alone = 0;
  for (int i = 0; i < 200 && alone == 0; ++i) {
    trio.tickAll(1);
    alone = trio.leaderNow();
  }
  REQUIRE(alone != 0);
  trio.cut(alone);
  trio.wallAheadUs = 0;
  trio.lose = nullptr;
  raft::ReplicaId leader = trio.elect();
  REQUIRE(leader != alone);
  putMany(trio, leader, 3);
  trio.mend(alone);
  trio.tickAll(30);
  leader = trio.elect();
  trio.groupAt(leader).transfer(alone);
  trio.tickAll(5);
  REQUIRE(trio.leaderNow() == alone);
  putMany(trio, alone, 1);
  CHECK(trio.groupAt(alone).status().clockOffUs < kTenHoursUs / 10);
}

// All of a state again and again, for as long as its disk is full.
TEST_CASE("group/snapshot: one that could not be loaded is not sent again at once") {
  Trio trio(3, snapshotsEvery(10));
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId away = otherThan(leader);
  trio.crash(away);
  putMany(trio, leader, 60);
  trio.start(away);
  trio.at(away).refusesLoads = ErrorCode::diskFull;
  trio.tickAll(90);
  CHECK(trio.machineAt(away).values.size() < 60);
  CHECK(!trio.groupAt(away).idle());
  CHECK(trio.streamCount == 1);
  trio.tickAll(100);
  CHECK(trio.streamCount == 2);
  trio.at(away).refusesLoads = ErrorCode::none;
  trio.tickAll(110);
  CHECK(trio.machineAt(away).values.size() == 60);
}

TEST_CASE("group/snapshot: behind it stays a quarter of the bytes that it is made for, no more") {
  group::GroupOptions options = snapshotsEvery(50);
  options.keepEntries = 1000;
  options.snapshotEveryBytes = 8000;
  Trio trio(3, options);
  raft::ReplicaId leader = trio.elect();
  putMany(trio, leader, 300);
  trio.tickAll(2);
  group::Status status = trio.groupAt(leader).status();
  REQUIRE(status.snapshotIndex > 100);
  uint64_t entryBytes = status.logBytes / (status.lastIndex + 1 - status.firstIndex);
  uint64_t kept = (status.snapshotIndex + 1 - status.firstIndex) * entryBytes;
  CHECK(kept <= options.snapshotEveryBytes / 4 + entryBytes);
  CHECK(kept >= options.snapshotEveryBytes / 8);
}

TEST_CASE("group/snapshot: where the volume is crowded the log keeps what peers need, no more") {
  group::GroupOptions options = smallTail();
  options.keepEntries = 1000;
  Trio trio(3, options);
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId slow = otherThan(leader);
  putMany(trio, leader, 30);
  raft::Index seen = trio.groupAt(slow).status().lastIndex;
  trio.cut(slow);
  putMany(trio, leader, 10);
  for (auto& seat : trio.seats) seat->group->makeRoom();
  CHECK(trio.groupAt(leader).makesRoom());
  trio.settle();
  CHECK(trio.seats[leader - 1]->lastSnapshot.amongMany);
  CHECK(!trio.groupAt(leader).makesRoom());
  // The one that is slow, and was heard of a moment ago, finds its next entry.
  CHECK(trio.groupAt(leader).status().snapshotIndex == trio.groupAt(leader).status().lastIndex);
  CHECK(trio.groupAt(leader).status().firstIndex == seen + 1);
  CHECK(trio.groupAt(slow).status().firstIndex == trio.groupAt(slow).status().lastIndex + 1);
  trio.mend(slow);
  trio.tickAll(30);
  CHECK(trio.machineAt(slow).values.size() == 30);
  CHECK(trio.streamCount == 0);
  // Nothing is new since the snapshot: what had been kept for the slow one goes at once.
  for (auto& seat : trio.seats) seat->group->makeRoom();
  trio.settle();
  const group::Status status = trio.groupAt(leader).status();
  CHECK(status.firstIndex == status.lastIndex + 1);
  // From now on as before.
  putMany(trio, leader, 5);
  trio.groupAt(leader).requestSnapshot(trio.call());
  trio.settle();
  CHECK(trio.groupAt(leader).status().firstIndex == status.lastIndex + 1);
  CHECK(!trio.seats[leader - 1]->lastSnapshot.amongMany);
  // Who asks for one has it by itself, crowded or not.
  putMany(trio, leader, 5);
  trio.groupAt(leader).requestSnapshot(trio.call());
  trio.groupAt(leader).makeRoom();
  trio.settle();
  CHECK(!trio.seats[leader - 1]->lastSnapshot.amongMany);
}

TEST_CASE("group/appends: every append carries exactly the entries that it names") {
  Trio trio(3, smallTail());
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId away = otherThan(leader);
  trio.cut(away);
  putMany(trio, leader, 40);
  trio.mend(away);
  trio.tickAll(30);
  REQUIRE(!trio.sent.empty());
  for (const group::PeerMessage& it : trio.sent) {
    CHECK(it.entries.size() == it.message.lastOfRuns() - it.message.after.index);
    CHECK(group::matchesRuns(it.entries, it.message));
  }
  CHECK(trio.machineAt(away).values.size() == 40);
}

TEST_CASE("group/appends: entries fetched for a lost leadership are not sent") {
  Trio trio(3, smallTail());
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId away = otherThan(leader);
  trio.crash(away);
  putMany(trio, leader, 40);
  trio.start(away);
  // Until the leader has asked its disk for what `away` lacks; its disk takes its time.
  Seat& seat = trio.at(leader);
  for (int i = 0; i < 40 && seat.fetches.empty(); ++i) {
    trio.timeUs += 100'000;
    ++trio.ticks;
    for (auto& it : trio.seats) it->group->tick();
    for (int step = 0; step < 200 && seat.fetches.empty(); ++step) {
      for (auto& it : trio.seats) {
        it->group->flush();
        it->syncOnce();
        it->workOnce();
        if (it->id != leader) it->answerFetch();
      }
      if (trio.wire.empty()) break;
      group::PeerMessage message = std::move(trio.wire.front());
      trio.wire.pop_front();
      trio.groupAt(message.message.to).receive(std::move(message));
    }
  }
  REQUIRE(!seat.fetches.empty());
  raft::Term term = trio.groupAt(leader).core().term();
  raft::Message usurper;
  usurper.kind = raft::MessageKind::heartbeat;
  usurper.from = 6 - leader - away;
  usurper.to = leader;
  usurper.term = term + 5;
  trio.groupAt(leader).receive({7, 1, usurper, {}});
  REQUIRE(!trio.groupAt(leader).leads());
  trio.sent.clear();
  while (seat.answerFetch()) {
  }
  CHECK(trio.sent.empty());
}

TEST_CASE("group/appends: fetched entries of another term are not sent") {
  group::Appends appends({4, 1 << 20});
  raft::Core core({.self = 1}, {}, raft::LogShape({}, {{1}, {}, {}, {}, false}));
  raft::Effects effects;
  core.step(raft::Campaign{}, effects);
  for (raft::WriteId write = 1; core.role() != raft::Role::leader; ++write) {
    REQUIRE(write < 5);
    effects.clear();
    core.step(raft::Persisted{write}, effects);
  }
  raft::Message append;
  append.kind = raft::MessageKind::append;
  append.to = 2;
  append.term = core.term();
  append.after = {4, 1};
  append.runs = {{6, 1}};
  group::TailRoom room;
  group::Tail tail(100, room);
  auto wait = [&](uint64_t fetch) {
    REQUIRE(!appends.fill(append, tail));
    REQUIRE(appends.nextToFetch());
    CHECK(*appends.pinnedAfter() == 4);
    appends.fetching(fetch);
  };
  auto entry = [](raft::Index index, raft::Term term) {
    return group::LogEntry{index, term, group::encodeNoOp(1)};
  };
  wait(1);
  CHECK(!appends.fetched(1, {entry(5, 1), entry(6, 2)}, core));
  wait(2);
  CHECK(!appends.fetched(2, {entry(6, 1)}, core));
  wait(3);
  CHECK(!appends.fetched(3, {}, core));
  wait(4);
  auto part = appends.fetched(4, {entry(5, 1)}, core);
  REQUIRE(part);
  CHECK(part->message.runs == std::vector<raft::TermRun>{{5, 1}});
  wait(5);
  auto whole = appends.fetched(5, {entry(5, 1), entry(6, 1)}, core);
  REQUIRE(whole);
  CHECK(whole->entries.size() == 2);
  append.term += 1;
  wait(6);
  CHECK(!appends.fetched(6, {entry(5, 1), entry(6, 1)}, core));
  CHECK(!appends.pinnedAfter());
}

TEST_CASE("group/group: snapshots are taken by policy, and the log is cut behind them") {
  Trio trio(3, snapshotsEvery(20));
  raft::ReplicaId leader = trio.elect();
  putMany(trio, leader, 70);
  for (raft::ReplicaId id = 1; id <= 3; ++id) {
    group::Status status = trio.groupAt(id).status();
    CHECK(status.snapshotIndex >= 40);
    CHECK(status.firstIndex > 30);
    CHECK(status.firstIndex <= status.snapshotIndex);
    CHECK(trio.at(id).safe.state.snapshot.index > 0);
  }
  for (raft::ReplicaId id = 1; id <= 3; ++id) trio.crash(id);
  for (raft::ReplicaId id = 1; id <= 3; ++id) trio.start(id);
  leader = trio.elect();
  CHECK(trio.ask(leader, mapCall(1, "k69")).ok());
  CHECK(trio.machineAt(leader).values.size() == 70);
}

// Found by flotilla-sim, seed 13: two were saved while no write said so, and the file of the one
// that the record on the disk named was removed.
TEST_CASE("group/group: the snapshot that a restart begins with is known by what is persisted") {
  Trio trio(1);
  REQUIRE(trio.elect() == 1);
  auto save = [&] {
    group::CallId call = trio.call();
    trio.groupAt(1).requestSnapshot(call);
    trio.settle();
    return trio.at(1).answers[call].position.index;
  };
  REQUIRE(trio.run(1, mapCall(0, "a=1")).ok());
  raft::Index first = save();
  REQUIRE(first > 0);
  CHECK(trio.groupAt(1).status().snapshotIndex == first);
  CHECK(trio.groupAt(1).status().snapshotOnDisk == 0);
  REQUIRE(trio.run(1, mapCall(0, "b=1")).ok());
  CHECK(trio.groupAt(1).status().snapshotOnDisk == first);
  raft::Index second = save();
  CHECK(trio.groupAt(1).status().snapshotIndex == second);
  CHECK(trio.groupAt(1).status().snapshotOnDisk == first);
  trio.crash(1);
  trio.start(1);
  CHECK(trio.at(1).safe.state.snapshot.index == first);
  REQUIRE(trio.elect() == 1);
  CHECK(textOf(trio.ask(1, mapCall(1, "b"))) == "1");
}

TEST_CASE("group/group: a replica away past compaction catches up by snapshot") {
  Trio trio(3, snapshotsEvery(20));
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId away = otherThan(leader);
  trio.crash(away);
  putMany(trio, leader, 70);
  trio.start(away);
  trio.tickAll(40);
  CHECK(trio.streamCount >= 1);
  group::Status status = trio.groupAt(away).status();
  CHECK(status.generation == 1);
  CHECK(status.ready);
  CHECK(trio.machineAt(away).values.size() == 70);
  REQUIRE(trio.run(leader, mapCall(0, "after=1")).ok());
  trio.tickAll(2);
  CHECK(trio.machineAt(away).values["after"] == "1");
  // And it starts again from what it was given.
  trio.crash(away);
  trio.start(away);
  trio.tickAll(20);
  CHECK(trio.machineAt(away).values.size() == 71);
}

// A large one takes its time, while newer ones are saved where it is sent from.
TEST_CASE("group/group: what follows a snapshot on its way stays for who gets it") {
  Trio trio(3, snapshotsEvery(20));
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId away = otherThan(leader);
  trio.crash(away);
  putMany(trio, leader, 70);
  trio.streamsMove = false;
  trio.start(away);
  trio.tickAll(10);
  REQUIRE(trio.streams.size() == 1);
  raft::Index sent = trio.streams.front().head.after.index;
  putMany(trio, leader, 90);
  CHECK(trio.groupAt(leader).status().snapshotIndex >= sent + 60);
  CHECK(trio.groupAt(leader).status().firstIndex <= sent + 1);
  trio.streamsMove = true;
  trio.tickAll(40);
  CHECK(trio.streamCount == 1);
  CHECK(trio.groupAt(away).status().applied == trio.groupAt(leader).status().applied);
  putMany(trio, leader, 40);
  CHECK(trio.groupAt(leader).status().firstIndex > sent + 60);
}

TEST_CASE("group/group: a snapshot whose file is damaged is saved again, though nothing is new") {
  Trio trio(1, snapshotsEvery(20));
  raft::ReplicaId leader = trio.elect();
  putMany(trio, leader, 30);
  trio.groupAt(leader).requestSnapshot(trio.call());
  trio.settle();
  group::Status status = trio.groupAt(leader).status();
  REQUIRE(status.snapshotIndex == status.applied);
  std::string whole = trio.at(leader).files[status.snapshotIndex];
  trio.at(leader).files[status.snapshotIndex] = "damaged";
  trio.groupAt(leader).snapshotLost({status.snapshotIndex - 1, 1});  // another one
  trio.settle();
  CHECK(trio.at(leader).files[status.snapshotIndex] == "damaged");
  trio.groupAt(leader).snapshotLost({status.snapshotIndex, trio.groupAt(leader).core().term()});
  trio.settle();
  CHECK(trio.at(leader).files[status.snapshotIndex] == whole);
}

TEST_CASE(
    "group/group: what follows a snapshot stays within bounds; beyond them the next is sent") {
  group::GroupOptions options = snapshotsEvery(20);
  options.snapshotEveryBytes = 1000;
  Trio trio(3, options);
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId away = otherThan(leader);
  trio.crash(away);
  putMany(trio, leader, 70);
  trio.streamsMove = false;
  trio.start(away);
  trio.tickAll(10);
  REQUIRE(trio.streams.size() == 1);
  raft::Index sent = trio.streams.front().head.after.index;
  putMany(trio, leader, 200);
  CHECK(trio.groupAt(leader).status().firstIndex > sent + 60);
  trio.streamsMove = true;
  trio.tickAll(40);
  CHECK(trio.streamCount > 1);
  CHECK(trio.groupAt(away).status().applied == trio.groupAt(leader).status().applied);
}

TEST_CASE("group/group: a snapshot that cannot be loaded leaves the replica as it was") {
  Trio trio(3, snapshotsEvery(20));
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId away = otherThan(leader);
  putMany(trio, leader, 3);
  trio.tickAll(2);
  trio.crash(away);
  putMany(trio, leader, 70);
  trio.start(away);
  trio.at(away).works = false;
  trio.tickAll(20);
  REQUIRE(trio.groupAt(away).status().installing);
  for (auto& [index, file] : trio.at(away).files) file[20] ^= 1;
  trio.at(away).works = true;
  trio.settle();
  CHECK(trio.machineAt(away).values.size() <= 3);
  CHECK(!trio.groupAt(away).status().fault);
  trio.tickAll(140);  // sent again, a while later
  CHECK(trio.machineAt(away).values.size() == 70);
}

TEST_CASE("group/group: a crash while a snapshot is installed loses nothing") {
  Trio trio(3, snapshotsEvery(20));
  raft::ReplicaId leader = trio.elect();
  raft::ReplicaId away = otherThan(leader);
  trio.crash(away);
  putMany(trio, leader, 70);
  trio.start(away);
  trio.at(away).syncs = false;
  trio.tickAll(20);
  CHECK(trio.streamCount >= 1);
  trio.crash(away);  // the file is here, the log does not know of it
  trio.at(away).syncs = true;
  trio.start(away);
  CHECK(trio.groupAt(away).status().lastIndex < 40);
  trio.tickAll(60);
  CHECK(trio.machineAt(away).values.size() == 70);
}

TEST_CASE("group/group: a replica whose log lost what its machine holds does not vote") {
  Trio trio(3);
  raft::ReplicaId leader = trio.elect();
  putMany(trio, leader, 10);
  raft::ReplicaId hurt = otherThan(leader);
  trio.crash(hurt);
  Seat& seat = trio.at(hurt);
  raft::Index last = seat.safe.state.shape.lastIndex();
  seat.safe.state.shape.truncateAfter(4);
  seat.safe.entries.erase(seat.safe.entries.upper_bound(4), seat.safe.entries.end());
  REQUIRE(seat.safe.state.hard.commit > 4);
  trio.crash(leader);
  trio.start(hurt);
  CHECK(trio.groupAt(hurt).status().mute);
  trio.tickAll(100);
  CHECK(trio.leaderNow() == 0);  // the third alone is no quorum
  CHECK(trio.groupAt(hurt).core().hard().vote == seat.safe.state.hard.vote);
  trio.start(leader);
  trio.elect();
  trio.tickAll(10);
  CHECK(!trio.groupAt(hurt).status().mute);
  CHECK(trio.groupAt(hurt).status().lastIndex >= last);
  CHECK(trio.machineAt(hurt).values.size() == 10);
}

}  // namespace flotilla::test
