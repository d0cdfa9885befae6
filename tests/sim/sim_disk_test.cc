// The simulated disk keeps the contract of the real one.
#include "tests/sim/sim_disk.h"

#include <doctest/doctest.h>

namespace flotilla::sim {
namespace {

constexpr group::ReplicaKey kOne{1, 1};
constexpr group::ReplicaKey kTwo{2, 1};

struct Bench final : DiskListener {
  Bench() : disk(events, dice, options, *this) {}

  void persisted(group::ReplicaKey replica, raft::WriteId write) override {
    CHECK(write > safe[replica]);
    safe[replica] = write;
  }
  void fetched(group::ReplicaKey, group::Fetched it) override { found = std::move(it); }
  void volumeFull(bool isFull) override { full = isFull; }
  void diskFailed() override { failed = true; }

  void write(group::ReplicaKey replica, raft::WriteId id, raft::Index first, raft::Index last,
             raft::Term term) {
    group::DiskWrite write;
    write.id = id;
    raft::LogShape& shape = shapes[replica];
    if (first <= shape.lastIndex()) shape.truncateAfter(first - 1);
    shape.append(last, term);
    write.state.shape = shape;
    write.state.hard.term = term;
    for (raft::Index index = first; index <= last; ++index) {
      write.entries.push_back({index, term, Bytes::copyOf("entry " + std::to_string(index))});
    }
    disk.write(replica, std::move(write));
  }
  void settle() {
    while (events.next(events.nowUs() + 100'000)) {
    }
  }

  Events events;
  base::Prng dice{1};
  Options options;
  SimDisk disk;
  std::map<group::ReplicaKey, raft::LogShape> shapes;
  std::map<group::ReplicaKey, raft::WriteId> safe;
  std::optional<group::Fetched> found;
  bool full = false;
  bool failed = false;
};

}  // namespace

TEST_CASE("sim/sim_disk: what was persisted survives a crash, and an overwrite replaces") {
  Bench bench;
  bench.write(kOne, 1, 1, 3, 1);
  bench.write(kTwo, 1, 1, 1, 1);
  bench.write(kOne, 2, 2, 2, 2);
  bench.settle();
  CHECK(bench.safe[kOne] == 2);
  CHECK(bench.safe[kTwo] == 1);
  bench.disk.crash();
  const Stored* stored = bench.disk.safe(kOne);
  REQUIRE(stored != nullptr);
  CHECK(stored->entries.size() == 2);
  CHECK(stored->entries.at(2).term == 2);
  CHECK(!wrongWith(*stored));
}

TEST_CASE("sim/sim_disk: a crash loses what was not persisted, from the end on") {
  size_t kept[4] = {};
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Bench bench;
    bench.dice = base::Prng(seed);
    bench.write(kOne, 1, 1, 1, 1);
    bench.settle();
    bench.write(kOne, 2, 2, 2, 1);
    bench.write(kOne, 3, 3, 3, 1);
    while (bench.events.next(bench.events.nowUs() + 6)) {  // the sync begins, and does not end
    }
    bench.disk.crash();
    const Stored* stored = bench.disk.safe(kOne);
    REQUIRE(stored != nullptr);
    CHECK(!wrongWith(*stored));
    raft::Index last = stored->state.shape.lastIndex();
    REQUIRE(last >= 1);
    REQUIRE(last <= 3);
    ++kept[last];
  }
  CHECK(kept[1] > 50);
  CHECK(kept[2] > 10);
  CHECK(kept[3] > 10);
}

TEST_CASE("sim/sim_disk: after a failed sync nothing is persisted until the next start") {
  Bench bench;
  bench.disk.failNextSync();
  bench.write(kOne, 1, 1, 1, 1);
  bench.settle();
  CHECK(bench.failed);
  bench.write(kOne, 2, 2, 2, 1);
  bench.settle();
  CHECK(bench.safe[kOne] == 0);
  bench.disk.crash();
  bench.shapes.clear();
  bench.write(kOne, 1, 1, 1, 1);
  bench.settle();
  CHECK(bench.safe[kOne] == 1);
}

TEST_CASE("sim/sim_disk: a full disk takes little, keeps what waits, and goes on with room") {
  std::map<raft::WriteId, int> taken;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Bench bench;
    bench.dice = base::Prng(seed);
    bench.disk.setFull(true);
    CHECK(bench.full);
    for (uint64_t id = 1; id <= 5; ++id) {
      bench.write(kOne, id, id, id, 1);
      bench.settle();
    }
    ++taken[bench.safe[kOne]];
    bench.disk.setFull(false);
    bench.settle();
    CHECK(bench.safe[kOne] == 5);
  }
  CHECK(taken.size() == 4);
  CHECK(taken[0] > 0);
  CHECK(taken[3] > 0);
}

TEST_CASE("sim/sim_disk: a fetch gives what was written last, safe or not") {
  Bench bench;
  bench.write(kOne, 1, 1, 5, 1);
  bench.write(kOne, 2, 4, 4, 2);
  bench.disk.fetch(kOne, {9, 2, 4, 1 << 20});
  bench.settle();
  REQUIRE(bench.found.has_value());
  CHECK(bench.found->id == 9);
  REQUIRE(bench.found->entries.ok());
  REQUIRE(bench.found->entries->size() == 2);
  CHECK(bench.found->entries->back().term == 2);
  bench.disk.fetch(kTwo, {10, 0, 1, 1});
  bench.settle();
  CHECK(bench.found->entries.fault().code == ErrorCode::unavailable);
}

}  // namespace flotilla::sim
