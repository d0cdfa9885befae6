// What a group does with what its machine on disk says of itself: where it is durable, what it goes
// back to, when it goes on.
#include <doctest/doctest.h>

#include "tests/group/trio.h"

namespace flotilla::test {

using group::Outcome;

namespace {

struct Bench {
  explicit Bench(uint64_t snapshotEveryBytes = 0) : trio(1, options(snapshotEveryBytes)) {
    leader = trio.elect();
    for (int i = 0; i < 10; ++i) REQUIRE(trio.run(leader, mapCall(0, "a=1")).ok());
  }
  static group::GroupOptions options(uint64_t snapshotEveryBytes) {
    group::GroupOptions options;
    options.keepEntries = 0;
    options.snapshotEveryBytes = snapshotEveryBytes;
    options.snapshotEveryEntries = 0;
    return options;
  }
  group::Group& group() { return trio.groupAt(leader); }
  raft::LogPoint pointAt(raft::Index index) { return {index, group().core().term()}; }
  void synced(raft::Index index) {
    group().synced({group().status().generation, pointAt(index), {}});
    trio.settle();
  }
  void stop(ErrorCode code) {
    group::Applied stopped;
    stopped.generation = group().status().generation;
    stopped.index = group().appliedIndex();
    stopped.fault = Fault{code, "machine: no", {}};
    stopped.faultAt = {stopped.index + 1, 0};
    group().applied(std::move(stopped));
  }
  // Tried again, and its place stands there.
  void goesBackTo(raft::LogPoint at) {
    trio.at(leader).works = false;
    group().retry();
    trio.at(leader).work.clear();
    trio.at(leader).works = true;
    group::InstallEnd end;
    end.generation = group().status().generation + 1;
    end.point = at;
    end.durable = at;
    group().installEnd(std::move(end));
    trio.settle();
  }

  Trio trio;
  raft::ReplicaId leader = 0;
};

}  // namespace

TEST_CASE("group/durable: a log is cut off where the machine is durable, however far it has come") {
  Bench bench;
  REQUIRE(bench.group().appliedIndex() > 8);
  bench.synced(5);
  CHECK(bench.group().status().durable == 5);
  CHECK(bench.group().core().shape().base() == bench.pointAt(5));
}

TEST_CASE("group/durable: a log is cut off where every request is synced without being asked") {
  Bench bench(1000);
  raft::Index before = bench.group().core().shape().base().index;
  Seat& seat = bench.trio.at(bench.leader);
  seat.works = false;
  for (int i = 0; i < 20; ++i) {
    bench.group().propose(bench.trio.call(), mapCall(0, "a=" + std::string(200, 'x')));
    bench.trio.settle();
    seat.work.clear();
    group::Applied applied;
    applied.generation = bench.group().status().generation;
    applied.index = bench.group().core().applicable();
    applied.durable = bench.pointAt(applied.index);
    bench.group().applied(std::move(applied));
    bench.trio.settle();
  }
  const raft::LogShape& shape = bench.group().core().shape();
  CHECK(shape.base().index > before);
  CHECK(shape.lastIndex() - shape.base().index < 10);
}

TEST_CASE("group/durable: what has gone back behind the log is the machine's trouble alone") {
  Bench bench;
  bench.synced(8);
  bench.stop(ErrorCode::io);
  bench.goesBackTo(bench.pointAt(3));
  REQUIRE(bench.group().status().fault.has_value());
  CHECK(bench.group().status().fault->text.find("stands at 3") != std::string::npos);
  CHECK(bench.group().status().faultAt == group::Position{4, 0});
  // The log goes on: what is asked is refused for the machine, and this replica still votes.
  CHECK(bench.trio.run(bench.leader, mapCall(0, "a=2")).code == ErrorCode::faulted);
  CHECK(bench.group().leads());
}

TEST_CASE("group/durable: what has gone back to another term than the log's is not gone on from") {
  Bench bench;
  bench.synced(5);
  bench.stop(ErrorCode::io);
  bench.goesBackTo({8, bench.group().core().term() + 1});
  REQUIRE(bench.group().status().fault.has_value());
  CHECK(bench.group().status().fault->text.find("stands at 8") != std::string::npos);
}

// It could not be opened at the start, so nobody knew.
TEST_CASE("group/durable: what has gone back to beyond the log's end says that the log has lost") {
  Bench bench;
  bench.synced(5);
  bench.stop(ErrorCode::io);
  raft::Index beyond = bench.group().core().shape().lastIndex() + 5;
  bench.goesBackTo(bench.pointAt(beyond));
  CHECK(!bench.group().status().fault.has_value());
  CHECK(bench.group().status().mute);
  CHECK(!bench.group().status().ready);
}

// The log lays its journals out ahead: its volume need not have been full.
TEST_CASE("group/durable: a machine that stopped for lack of room looks for some now and then") {
  for (ErrorCode code : {ErrorCode::diskFull, ErrorCode::io}) {
    Bench bench;
    bench.stop(code);
    CHECK(!bench.group().idle());
    bench.trio.tickAll(150);
    CHECK(bench.group().status().fault.has_value());
    bench.trio.tickAll(100);
    CHECK(bench.group().status().fault.has_value() == (code != ErrorCode::diskFull));
  }
}

TEST_CASE("group/durable: a machine that stopped for lack of room goes on once there is some") {
  for (ErrorCode code : {ErrorCode::diskFull, ErrorCode::io}) {
    Bench bench;
    bench.group().volumeFull(true);
    bench.stop(code);
    CHECK(bench.group().status().fault.has_value());
    bench.group().volumeFull(false);
    bench.trio.settle();
    CHECK(bench.group().status().fault.has_value() == (code != ErrorCode::diskFull));
  }
}

}  // namespace flotilla::test
