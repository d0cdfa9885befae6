// What is copied out of old generations, by how much work a turn, and what is left of it.
#include "host/store/copy_forward.h"

#include <doctest/doctest.h>

#include "tests/store/temp_directory.h"

using namespace flotilla;
using namespace flotilla::test;

namespace {

constexpr group::ReplicaKey kQuiet{1, 1};
constexpr group::ReplicaKey kBusy{2, 1};

// A row and its index, as VolumeWriter keeps them.
struct Bench {
  explicit Bench(const std::string& path) {
    auto made = store::FrameRow::create({.who = "row", .path = path, .generationBytes = 400'000});
    REQUIRE(made.ok());
    row = std::move(*made);
  }

  void write(store::FrameBuilder& frame) {
    REQUIRE(row->append(frame).ok());
    for (uint32_t i = 0; i < frame.records().size(); ++i) {
      index.apply(row->lastFrame(), frame.records()[i], i, frame.noteBody(i));
    }
  }

  // One entry of the quiet replica, beside much of one that needs none of it later.
  void writeMixed(raft::Index at) {
    group::LogEntry entry{at, 1, Bytes::copyOf("entry " + std::to_string(at))};
    group::LogEntry large{1, 1, Bytes::copyOf(std::string(1'000, 'x'))};
    store::FrameBuilder frame;
    frame.note(store::RecordKind::reset, kBusy, {});
    frame.run(store::RecordKind::run, kBusy, {&large});
    frame.run(store::RecordKind::run, kQuiet, {&entry});
    write(frame);
  }

  std::unique_ptr<store::FrameRow> row;
  store::ReplicaIndex index;
};

void fail(group::ReplicaKey, const Fault& fault) {
  FAIL(fault.text);
}

}  // namespace

TEST_CASE("store/copy_forward: a log of an entry a frame is read a little a turn, and joined") {
  TempDirectory dir;
  Bench bench(dir / "row");
  raft::Index last = 0;
  while (bench.row->generationCount() < 4) bench.writeMixed(++last);
  store::CopyForward copy(*bench.row, bench.index, uint64_t{1} << 40);
  copy.plan();
  REQUIRE(copy.active());
  uint64_t limit = bench.row->oldestGenerationLimit();
  int turns = 0;
  while (copy.active()) {
    store::FrameBuilder frame;
    copy.fill(frame, fail);
    uint64_t entries = 0;
    for (const store::Record& record : frame.records()) entries += record.count;
    CHECK(entries <= store::CopyForward::kTurnRunsMax);
    CHECK(frame.records().size() <= 1);
    if (!frame.empty()) bench.write(frame);
    copy.release();
    ++turns;
  }
  CHECK(turns == static_cast<int>(limit / store::CopyForward::kTurnRunsMax) + 1);

  const store::ReplicaLog* log = bench.index.find(kQuiet);
  REQUIRE(log != nullptr);
  CHECK(log->covers(1, last));
  CHECK(log->oldestFrame() > limit);
  CHECK(log->runs.size() == last - limit + static_cast<size_t>(turns));
  // And reads back from there.
  auto pinned = bench.row->read(log->find(1)->frame);
  REQUIRE(pinned.ok());
  auto line = store::FrameView::lineAt(pinned->bytes(), log->find(1)->record);
  REQUIRE(line.has_value());
  store::RunView run(*line, pinned->bytes().substr(line->offset, line->length));
  REQUIRE(run.good());
  CHECK(run.entry(41)->payload == "entry 42");
}

TEST_CASE("store/copy_forward: entries that are read from later frames part what is joined") {
  TempDirectory dir;
  Bench bench(dir / "row");
  raft::Index last = 0;
  while (bench.row->generationCount() < 2) bench.writeMixed(++last);
  uint64_t limit = bench.row->oldestGenerationLimit();
  // Entries 10..11 lie in the newest generation already.
  group::LogEntry ten{10, 1, Bytes::copyOf("ten")};
  group::LogEntry eleven{11, 1, Bytes::copyOf("eleven")};
  store::FrameBuilder moved;
  moved.run(store::RecordKind::moved, kQuiet, {&ten, &eleven});
  bench.write(moved);
  uint64_t movedTo = bench.row->lastFrame();
  while (bench.row->generationCount() < 4) bench.writeMixed(++last);
  store::CopyForward copy(*bench.row, bench.index, uint64_t{1} << 40);
  copy.plan();
  REQUIRE(copy.active());
  while (copy.active()) {
    store::FrameBuilder frame;
    copy.fill(frame, fail);
    if (!frame.empty()) bench.write(frame);
    copy.release();
  }
  const store::ReplicaLog* log = bench.index.find(kQuiet);
  CHECK(log->covers(1, last));
  CHECK(log->oldestFrame() > limit);
  CHECK(log->find(9)->limit() == 10);
  CHECK(log->find(10)->frame == movedTo);
  CHECK(log->find(12)->first == 12);
}
