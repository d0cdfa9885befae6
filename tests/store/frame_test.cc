// Frames, states and the index of replicas, by themselves.
#include "host/store/frame.h"

#include <fcntl.h>
#include <map>

#include <doctest/doctest.h>

#include "host/base/prng.h"
#include "host/store/generation_list.h"
#include "host/store/mark_file.h"
#include "host/store/replica_index.h"
#include "host/store/state_record.h"
#include "tests/store/temp_directory.h"

using namespace flotilla;
using namespace flotilla::test;
using store::FrameView;
using store::RecordKind;

namespace {

struct Made {
  std::vector<group::LogEntry> entries;
  store::FrameHead head{.number = 9, .syncedThrough = 8, .previous = 77};
  std::string bytes;

  Made() {
    for (uint64_t i = 0; i < 4; ++i) {
      entries.push_back({10 + i, 3, Bytes::copyOf(std::string(i * 5, static_cast<char>('a' + i)))});
    }
    store::FrameBuilder builder;
    builder.run(RecordKind::run, {1, 2}, {&entries[0], &entries[1]});
    builder.run(RecordKind::moved, {3, 4}, {&entries[2], &entries[3]});
    builder.note(RecordKind::state, {1, 2}, "a state");
    builder.finish(head, bytes);
    CHECK(bytes.size() == builder.bytes());
  }
};

store::Record runOf(raft::Index first, uint32_t count) {
  store::Record line;
  line.key = {1, 1};
  line.first = first;
  line.count = count;
  line.length = count * 10;
  return line;
}

store::Record stateLine() {
  store::Record line;
  line.kind = RecordKind::state;
  line.key = {1, 1};
  return line;
}

std::string stateOf(raft::Index first, raft::Index last) {
  group::ReplicaState state;
  state.shape.reset({first - 1, 1}, {});
  if (last >= first) state.shape.append(last, 1);
  return store::encodeState(state);
}

std::string spell(const store::ReplicaLog& log) {
  std::string text;
  for (const store::IndexRun& run : log.runs) {
    text += std::to_string(run.first) + ".." + std::to_string(run.limit() - 1) + "@" +
            std::to_string(run.frame) + "+" + std::to_string(run.skipped) + " ";
  }
  return text;
}

}  // namespace

TEST_CASE("store/frame: a frame reads back as it was made") {
  Made made;
  auto frame = FrameView::parse(store::frameKey(9), made.bytes);
  REQUIRE(frame.ok());
  CHECK(frame->head().number == 9);
  CHECK(frame->head().syncedThrough == 8);
  CHECK(frame->head().previous == 77);
  CHECK(frame->head().checksum == made.head.checksum);
  REQUIRE(frame->records().size() == 3);
  for (const store::Record& record : frame->records()) CHECK(frame->intact(record));
  const store::Record& run = frame->records()[1];
  CHECK(run.kind == RecordKind::moved);
  CHECK(run.key == group::ReplicaKey{3, 4});
  store::RunView entries(run, frame->body(run));
  CHECK(entries.entry(1)->payload == "ddddddddddddddd");
  CHECK(entries.entry(0)->payload == "cccccccccc");
  CHECK(entries.entry(0)->term == 3);
  CHECK(frame->body(frame->records()[2]) == "a state");
}

TEST_CASE("store/frame: every flipped bit is found, and a body's is that record's alone") {
  Made made;
  size_t bodies = store::kHeadBytes + 3 * store::kLineBytes;
  for (size_t bit = 0; bit < made.bytes.size() * 8; ++bit) {
    std::string bytes = made.bytes;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    auto frame = FrameView::parse(store::frameKey(9), bytes);
    CHECK(frame.ok() == (bit / 8 >= bodies));
    if (!frame) continue;
    int damaged = 0;
    for (const store::Record& record : frame->records()) damaged += frame->intact(record) ? 0 : 1;
    CHECK(damaged == 1);
  }
  CHECK(!FrameView::parse(store::frameKey(8), made.bytes).ok());
  for (size_t size = 0; size < made.bytes.size(); ++size) {
    CHECK(!FrameView::parse(store::frameKey(9), made.bytes.substr(0, size)).ok());
  }
}

TEST_CASE("store/state_record: a state reads back, and no cut one does") {
  group::ReplicaState state;
  state.hard = {9, 2, 130};
  raft::Configuration joint;
  joint.voters = {1, 2, 3};
  joint.outgoing = {1, 2, 9};
  joint.learners = {8};
  joint.learnersNext = {9};
  joint.autoLeave = true;
  state.shape.reset({100, 4}, joint);
  state.shape.append(120, 5);
  state.shape.append(140, 9);
  state.shape.addConfiguration({110, joint});
  state.snapshot = {100, 4};
  state.generation = 6;
  state.logTimeUs = 1'700'000'000'000'000;
  std::string bytes = store::encodeState(state);
  auto read = store::decodeState(bytes);
  REQUIRE(read.has_value());
  CHECK(read->hard == state.hard);
  CHECK(read->shape == state.shape);
  CHECK(read->snapshot == state.snapshot);
  CHECK(read->generation == 6);
  CHECK(read->logTimeUs == state.logTimeUs);
  auto bounds = store::boundsOf(bytes);
  CHECK(bounds->first == 101);
  CHECK(bounds->last == 140);
  for (size_t size = 0; size < bytes.size(); ++size) {
    CHECK(!store::decodeState(std::string_view(bytes).substr(0, size)).has_value());
  }
  CHECK(!store::decodeState(bytes + "x").has_value());
}

TEST_CASE("store/state_record: a state of many members, terms and large numbers reads back") {
  constexpr uint64_t kLarge = uint64_t{1} << 61;
  for (raft::Term terms : {1, 20, 60, 400}) {
    CAPTURE(terms);
    raft::Configuration members;
    for (uint64_t i = 0; i < 30; ++i) members.voters.push_back(kLarge + i);
    for (uint64_t i = 0; i < 30; ++i) members.learners.push_back(2 * kLarge + i);
    group::ReplicaState state;
    state.hard = {kLarge + terms, members.voters.back(), kLarge + 1};
    state.shape.reset({kLarge, kLarge}, members);
    for (raft::Term i = 1; i <= terms; ++i) state.shape.append(kLarge + i, kLarge + i);
    for (raft::Term i = 1; i <= terms; i += 7) state.shape.addConfiguration({kLarge + i, members});
    state.snapshot = {kLarge, kLarge};
    state.generation = UINT64_MAX;
    state.logTimeUs = -1;
    auto read = store::decodeState(store::encodeState(state));
    REQUIRE(read.has_value());
    CHECK(read->hard == state.hard);
    CHECK(read->shape == state.shape);
    CHECK(read->snapshot == state.snapshot);
    CHECK(read->generation == UINT64_MAX);
    CHECK(read->logTimeUs == -1);
  }
}

TEST_CASE(
    "store/replica_index: an overwrite kills what stood from there on, a moved run only moves") {
  store::ReplicaIndex index;
  index.apply(1, runOf(1, 10), 0, {});
  index.apply(2, runOf(11, 10), 0, {});
  index.apply(2, stateLine(), 1, stateOf(1, 20));
  CHECK(spell(*index.find({1, 1})) == "1..10@1+0 11..20@2+0 ");
  index.apply(3, runOf(8, 4), 0, {});
  CHECK(spell(*index.find({1, 1})) == "1..7@1+0 8..11@3+0 ");
  store::Record moved = runOf(3, 5);
  moved.kind = RecordKind::moved;
  index.apply(4, moved, 0, {});
  CHECK(spell(*index.find({1, 1})) == "1..2@1+0 3..7@4+0 8..11@3+0 ");
  CHECK(index.oldestFrame() == 1);
  index.apply(5, stateLine(), 1, stateOf(5, 9));
  CHECK(spell(*index.find({1, 1})) == "5..7@4+2 8..9@3+0 ");
  CHECK(index.oldestFrame() == 3);
  CHECK(index.find({1, 1})->covers(5, 9));
  CHECK(!index.find({1, 1})->covers(5, 10));
  CHECK(!index.find({1, 1})->covers(4, 9));
  CHECK(index.liveBytes() == 50);
  index.dropRun({1, 1}, 8);
  CHECK(!index.find({1, 1})->covers(5, 9));
  store::Record forget = stateLine();
  forget.kind = RecordKind::forget;
  index.apply(6, forget, 0, {});
  CHECK(index.find({1, 1}) == nullptr);
  CHECK(index.liveBytes() == 0);
  CHECK(index.oldestFrame() == UINT64_MAX);
}

TEST_CASE("store/replica_index: a moved run stands before or between what is known of later ones") {
  store::ReplicaIndex index;
  index.apply(20, runOf(31, 10), 0, {});
  store::Record moved = runOf(11, 20);
  moved.kind = RecordKind::moved;
  index.apply(21, moved, 0, {});
  CHECK(spell(*index.find({1, 1})) == "11..30@21+0 31..40@20+0 ");
  moved = runOf(28, 6);
  moved.kind = RecordKind::moved;
  index.apply(22, moved, 0, {});
  CHECK(spell(*index.find({1, 1})) == "11..27@21+0 28..33@22+0 34..40@20+3 ");
}

TEST_CASE("store/replica_index: moved runs, held against a table of single entries") {
  base::Prng prng(11);
  store::ReplicaIndex index;
  std::map<raft::Index, uint64_t> frames;  // of each entry
  constexpr raft::Index kLast = 400;
  for (raft::Index at = 1; at <= kLast; ++at) {
    index.apply(at, runOf(at, 1), 0, {});
    frames[at] = at;
  }
  for (uint64_t frame = kLast + 1; frame < kLast + 300; ++frame) {
    raft::Index first = 1 + prng.below(kLast);
    uint64_t count = 1 + prng.below(std::min<uint64_t>(kLast - first + 1, 60));
    store::Record moved = runOf(first, static_cast<uint32_t>(count));
    moved.kind = RecordKind::moved;
    index.apply(frame, moved, 0, {});
    for (raft::Index at = first; at < first + count; ++at) frames[at] = frame;
    const store::ReplicaLog& log = *index.find({1, 1});
    raft::Index next = 1;
    for (const store::IndexRun& run : log.runs) {
      REQUIRE(run.first == next);
      next = run.limit();
      for (raft::Index at = run.first; at < next; ++at) REQUIRE(frames[at] == run.frame);
    }
    REQUIRE(next == kLast + 1);
    uint64_t bytes = 0;
    for (const store::IndexRun& run : log.runs) bytes += run.bytes;
    REQUIRE(log.bytes == bytes);
  }
}

TEST_CASE("store/generation_list: reads back, and refuses what it did not write") {
  store::GenerationList list;
  list.whole = {{3, 17, false}, {4, 90, true}};
  list.making = store::ListedGeneration{5, 140, false};
  auto read = store::GenerationList::parse("p", list.text());
  REQUIRE(read.ok());
  CHECK(read->whole == list.whole);
  CHECK(read->making == list.making);
  CHECK(read->nextNumber() == 6);
  std::string text = list.text();
  for (size_t i = 0; i < text.size(); ++i) {
    std::string bad = text;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    CHECK(!store::GenerationList::parse("p", bad).ok());
    CHECK(!store::GenerationList::parse("p", text.substr(0, i)).ok());
  }
  // Only a list that older hosts cannot read right says another version.
  CHECK(text.rfind("flotilla generations 2\n", 0) == 0);
  list.whole.pop_back();
  CHECK(list.text().rfind("flotilla generations 1\n", 0) == 0);
  CHECK(store::GenerationList::parse("p", list.text())->whole == list.whole);
}

TEST_CASE("store/mark_file: one damaged slot is survived, two are refused") {
  TempDirectory dir;
  std::string path = dir / "mark";
  {
    auto mark = store::MarkFile::create(path);
    REQUIRE(mark.ok());
    for (uint64_t value = 1; value <= 7; ++value) CHECK(mark->set(value).ok());
  }
  CHECK(store::MarkFile::open(path)->value() == 7);
  auto file = store::openFile(path, O_RDWR);
  CHECK(store::writeAt(*file, path, "x", 8).ok());
  uint64_t value = store::MarkFile::open(path)->value();
  CHECK((value == 6 || value == 7));
  CHECK(store::writeAt(*file, path, "x", 4096 + 8).ok());
  auto refused = store::MarkFile::open(path);
  REQUIRE(!refused.ok());
  CHECK(refused.fault().text == path + ": neither of its two slots passes its checksum");
}
