// The history of events: its bounds, what is read of it, and how it is saved.
#include "host/group/events.h"

#include <string>

#include <capnp/message.h>
#include <doctest/doctest.h>

#include "host/group/applier.h"
#include "tests/group/map_machine.h"

namespace flotilla::group {
namespace {

constexpr uint64_t kCount = EventBounds{}.countMax;
constexpr uint64_t kBytes = EventBounds{}.bytesMax;

Event event(const std::string& topic, const std::string& message) {
  return {{}, Bytes::copyOf(topic), Bytes::copyOf(message)};
}

void add(Events& events, Position position, std::vector<Event> these) {
  events.add(position, these);
}

std::string textOf(const EventsRead& read) {
  std::string text;
  for (const Event& it : read.events) {
    text += std::to_string(it.position.index) + "." + std::to_string(it.position.ordinal) + ":" +
            std::string(it.topic.view()) + "=" + std::string(it.message.view()) + " ";
  }
  return text;
}

}  // namespace

TEST_CASE(
    "group/events: what is read are events after a position whose topic begins so, in order") {
  Events events;
  CHECK(textOf(events.read({}, "", 1000)) == "");
  add(events, {3, 0}, {event("a/1", "x"), event("b/1", "y")});
  add(events, {3, 4}, {event("a/2", "z")});
  add(events, {9, 1}, {});  // tells nothing
  add(events, {10, 1}, {event("a", "w")});
  CHECK(events.last() == Position{10, 1});
  CHECK(textOf(events.read({}, "", 1000)) == "3.0:a/1=x 3.0:b/1=y 3.4:a/2=z 10.1:a=w ");
  CHECK(textOf(events.read({}, "a/", 1000)) == "3.0:a/1=x 3.4:a/2=z ");
  EventsRead later = events.read({3, 0}, "a", 1000);
  CHECK(textOf(later) == "3.4:a/2=z 10.1:a=w ");
  CHECK(later.upTo == Position{10, 1});
  CHECK(!later.compacted);
  EventsRead none = events.read({3, 4}, "b", 1000);
  CHECK(none.events.empty());
  CHECK(none.upTo == Position{10, 1});
  EventsRead end = events.read({10, 1}, "", 1000);
  CHECK(end.events.empty());
  CHECK(end.upTo == Position{10, 1});
}

TEST_CASE("group/events: a read ends with a whole command, and the next goes on behind it") {
  Events events;
  for (uint64_t i = 1; i <= 50; ++i) {
    add(events, {i, 0}, {event("t", "one"), event("u", "two"), event("t", "three")});
  }
  Position after;
  size_t reads = 0;
  size_t seen = 0;
  for (bool more = true; more; ++reads) {
    EventsRead read = events.read(after, "t", 3 * FLOTILLA_EVENT_COST);
    more = read.upTo != after;
    REQUIRE(read.events.size() % 2 == 0);
    for (const Event& it : read.events) CHECK(it.position.index == 1 + seen++ / 2);
    after = read.upTo;
  }
  CHECK(seen == 100);
  CHECK(reads > 20);
}

TEST_CASE("group/events: the oldest go, whole commands at a time, and who asks for them is told") {
  Events events;
  for (uint64_t i = 1; i <= kCount; ++i) add(events, {i, 0}, {event("t", "m"), event("t", "n")});
  CHECK(events.size() == kCount);
  CHECK(events.forgotten() == Position{kCount / 2, 0});
  EventsRead early = events.read({1, 0}, "", 1);
  CHECK(early.compacted);
  REQUIRE(early.events.size() == 2);
  CHECK(early.events[0].position == Position{kCount / 2 + 1, 0});
  CHECK(!events.read(events.forgotten(), "", 1).compacted);
  std::string large(FLOTILLA_MESSAGE_BYTES_MAX, 'm');
  for (uint64_t i = 1; i <= 200; ++i) add(events, {kCount + i, 0}, {event("t", large)});
  CHECK(events.bytes() <= kBytes);
  CHECK(events.bytes() > kBytes - 2 * FLOTILLA_MESSAGE_BYTES_MAX);
}

TEST_CASE("group/events: bounds may be narrow, and one command's events be more than they allow") {
  Events events;
  events.bound({.countMax = 3, .bytesMax = 4096});
  for (uint64_t i = 1; i <= 5; ++i) add(events, {i, 0}, {event("t", "m")});
  CHECK(textOf(events.read({2, 0}, "", 1000)) == "3.0:t=m 4.0:t=m 5.0:t=m ");
  add(events, {6, 0}, {event("t", "m"), event("t", "n"), event("t", "o"), event("t", "p")});
  CHECK(events.size() == 0);
  CHECK(events.bytes() == 0);
  EventsRead none = events.read({5, 0}, "", 1000);
  CHECK(none.compacted);
  CHECK(none.upTo == Position{6, 0});
  add(events, {7, 0}, {event("t", std::string(4096, 'm'))});
  CHECK(events.forgotten() == Position{7, 0});
  add(events, {8, 0}, {event("t", "x")});
  events.bound({.countMax = 3, .bytesMax = 10});
  CHECK(events.read({7, 0}, "", 1000).compacted);
}

TEST_CASE("group/events: a saved state gives them back, and what was forgotten with them") {
  Events events;
  for (uint64_t i = 1; i <= kCount; ++i) {
    add(events, {i, static_cast<uint32_t>(i % 3)}, {event("t", std::to_string(i)), event("u", "")});
  }
  capnp::MallocMessageBuilder message;
  auto state = message.initRoot<schema::GroupState>();
  events.save(state);
  Events copy;
  add(copy, {1, 1}, {event("x", "y")});
  REQUIRE(copy.load(state.asReader()).ok());
  CHECK(copy.size() == events.size());
  CHECK(copy.bytes() == events.bytes());
  CHECK(copy.last() == events.last());
  CHECK(copy.forgotten() == events.forgotten());
  CHECK(textOf(copy.read({}, "t", 1 << 20)) == textOf(events.read({}, "t", 1 << 20)));

  auto first = state.getEvents()[0];
  first.setIndex(events.last().index + 1);
  auto loaded = copy.load(state.asReader());
  REQUIRE_FALSE(loaded.ok());
  CHECK(loaded.fault().text == "group state: its events are too many, or out of order");
}

TEST_CASE("group/events: a group state saved before there were any is read") {
  GroupState state;
  state.at = {17, 3};
  state.timeUs = 99;
  Bytes bytes = state.encode(Sessions::Form::runs);
  std::string older(bytes.view());
  // The root's pointer, after the segment table: its last 16 bits count the root's pointers. There
  // were four of them: configuration, sessions, timers, plugin.
  REQUIRE(older[8 + 6] == 7);
  older[8 + 6] = 4;
  GroupState read;
  REQUIRE(read.decode(Bytes::copyOf(older)).ok());
  CHECK(read.at == raft::LogPoint{17, 3});
  CHECK(read.timeUs == 99);
  CHECK(read.events.size() == 0);
  CHECK(read.events.last() == Position{});
  add(read.events, {18, 0}, {event("t", "m")});
  CHECK(!read.events.read({}, "", 1000).compacted);
}

TEST_CASE(
    "group/events: states that differ in an event, or in how far back they go, are told apart") {
  GroupState one;
  GroupState other;
  add(one.events, {3, 0}, {event("t", "m")});
  add(other.events, {3, 0}, {event("t", "m")});
  CHECK(one.digest() == other.digest());
  add(one.events, {4, 0}, {event("t", "m")});
  add(other.events, {4, 0}, {event("t", "n")});
  CHECK(one.digest() != other.digest());
  GroupState shorter;
  add(shorter.events, {3, 0}, {event("t", "m")});
  add(shorter.events, {4, 0}, {event("t", "m")});
  CHECK(one.digest() == shorter.digest());
  shorter.events.bound({.countMax = 1});
  CHECK(one.digest() != shorter.digest());
}

TEST_CASE("group/applier: what a command tells is kept under its position, if it goes well") {
  Applier applier({7, 1}, [](const std::string&) -> Result<std::unique_ptr<Machine>> {
    return std::unique_ptr<Machine>(std::make_unique<test::MapMachine>());
  });
  REQUIRE(applier.begin().ok());
  auto entry = [](raft::Index index, std::vector<Call> calls) {
    return LogEntry{index, 1, encodeCommands(1000, calls)};
  };
  Applied applied = applier.apply(
      {1,
       {entry(1, {test::mapCall(9, "a x"), test::mapCall(10, "b y"), test::mapCall(0, "k=v")}),
        entry(2, {test::mapCall(0, "k=w"), test::mapCall(9, "c z")})},
       false});
  CHECK(textOf(applier.state().events.read({}, "", 1000)) ==
        "1.0:a=x 1.0:a=again 2.1:c=z 2.1:c=again ");
  CHECK(applied.index == 2);
  CHECK(applier.state().events.last() == Position{2, 1});

  raft::LogShape shape({}, {{1, 2, 3}, {}, {}, {}, false});
  shape.append(2, 1);
  auto capture = applier.capture(shape, true);
  REQUIRE(capture.ok());
  test::MemoryFile file;
  REQUIRE((*capture)->save(file).ok());
  Applier other({7, 2}, [](const std::string&) -> Result<std::unique_ptr<Machine>> {
    return std::unique_ptr<Machine>(std::make_unique<test::MapMachine>());
  });
  test::MemorySource source(file.bytes);
  REQUIRE(other.install(source, {}).ok());
  CHECK(textOf(other.state().events.read({1, 0}, "", 1000)) == "2.1:c=z 2.1:c=again ");
  // Once more than a command may tell: it errs, and tells nothing.
  Applied over = other.apply(
      {1,
       {entry(3, {test::mapCall(9, "a " + std::string(FLOTILLA_EVENTS_BYTES_MAX, 'm'))})},
       true});
  CHECK(over.answers.at(0).outcome.appCode == "full");
  CHECK(other.state().events.last() == Position{2, 1});
}

}  // namespace flotilla::group
