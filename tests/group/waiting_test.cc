// Who waits, and what becomes of him.
#include "host/group/waiting.h"

#include <map>

#include <doctest/doctest.h>

#include "host/group/tail.h"

namespace flotilla::group {
namespace {

struct Notes final : Callers {
  void answer(CallId call, Outcome outcome) override {
    CHECK(!outcomes.contains(call));
    outcomes[call] = std::move(outcome);
  }
  std::map<CallId, Outcome> outcomes;
};

LogEntry entryOf(raft::Index index, raft::Term term, std::string_view bytes = "") {
  return {index, term, Bytes::copyOf(bytes)};
}

Outcome lost() {
  return failure(ErrorCode::unknown, "lost");
}

}  // namespace

TEST_CASE("group/waiting: an entry of the batch's own term brings its answers") {
  Notes notes;
  Waiting waiting(notes);
  waiting.add({{5, 2}, 100, 10, {1, 2}});
  CHECK(waiting.count() == 2);
  CHECK(waiting.bytes() == 10);
  CHECK(!waiting.decide({entryOf(4, 2)}, 3));
  CHECK(waiting.decide({entryOf(4, 2), entryOf(5, 2)}, 3));
  Applied applied;
  applied.index = 5;
  applied.answers.push_back({{4, 0}, {}});
  applied.answers.push_back({{5, 1}, {}});
  waiting.answer(applied, lost());
  CHECK(notes.outcomes[2].ok());
  CHECK(notes.outcomes[1].code == ErrorCode::unknown);
  CHECK(waiting.count() == 0);
  CHECK(waiting.bytes() == 0);
}

TEST_CASE("group/waiting: another term's entry means: not executed") {
  Notes notes;
  Waiting waiting(notes);
  waiting.add({{5, 2}, 100, 0, {1}});
  waiting.add({{6, 2}, 100, 0, {2}});
  waiting.add({{5, 4}, 100, 0, {3}});  // we lead again, and the log had been cut short
  CHECK(waiting.decide({entryOf(5, 4)}, 9));
  CHECK(notes.outcomes.size() == 1);
  CHECK(notes.outcomes[1].code == ErrorCode::notLeader);
  CHECK(notes.outcomes[1].leaderHint == 9);
  CHECK(waiting.count() == 2);
}

TEST_CASE("group/waiting: who waits too long learns that nothing is known") {
  Notes notes;
  Waiting waiting(notes);
  waiting.add({{5, 2}, 10, 0, {1, 0, 2}});
  waiting.add({{6, 2}, 20, 0, {3}});
  waiting.expire(9);
  CHECK(notes.outcomes.empty());
  waiting.expire(10);
  CHECK(notes.outcomes[1].code == ErrorCode::timeout);
  CHECK(notes.outcomes.size() == 2);  // nobody waits behind 0
  waiting.passed(6, lost());
  CHECK(notes.outcomes[3].code == ErrorCode::unknown);
}

TEST_CASE("group/tail: newer entries replace older ones, and a bound drops the oldest") {
  TailRoom room;
  Tail tail(10, room);
  tail.append({entryOf(1, 1, "aaaa"), entryOf(2, 1, "bbbb")}, 0);
  tail.append({entryOf(2, 2, "cccc"), entryOf(3, 2, "dd")}, 0);
  CHECK(tail.bytes() == 10);
  REQUIRE(tail.find(2) != nullptr);
  CHECK(tail.find(2)->term == 2);
  tail.append({entryOf(4, 2, "e")}, 0);
  CHECK(tail.find(1) == nullptr);
  CHECK(tail.firstIndex() == 2);
  tail.append({entryOf(5, 2, std::string(50, 'x'))}, 0);
  CHECK(tail.firstIndex() == 5);         // one is always held
  tail.append({entryOf(9, 3, "y")}, 0);  // after a gap: what was before it is of no use
  CHECK(tail.firstIndex() == 9);
  CHECK(tail.bytes() == 1);
  tail.truncateAfter(8);
  CHECK(tail.find(9) == nullptr);
  CHECK(tail.bytes() == 0);
}

TEST_CASE("group/tail: those of one loop share its room, but keep what is not applied yet") {
  TailRoom room(12, 3);
  auto four = [](raft::Index first) {
    return std::vector<LogEntry>{entryOf(first, 1, "aa"), entryOf(first + 1, 1, "bb"),
                                 entryOf(first + 2, 1, "cc"), entryOf(first + 3, 1, "dd")};
  };
  Tail one(100, room);
  auto two = std::make_unique<Tail>(100, room);
  two->append({entryOf(1, 1, "aa")}, 9);
  one.append(four(1), 9);
  CHECK(room.bytes() == 10);
  CHECK(one.bytes() == 8);  // more than its share of 6, for there is room
  two->append(four(2), 9);  // none is left: of ten bytes it keeps six
  CHECK(two->bytes() == 6);
  CHECK(room.bytes() == 14);
  one.fit(2);
  CHECK(one.firstIndex() == 2);  // 3 and 4 are wanted, and 2 has room in the share
  CHECK(room.bytes() == 12);
  one.append(four(5), 1);
  CHECK(one.firstIndex() == 2);  // all are wanted
  one.fit(9);
  CHECK(one.firstIndex() == 6);
  CHECK(room.bytes() == 12);
  two->truncateAfter(4);
  CHECK(room.bytes() == 10);
  two->truncateAfter(1);
  CHECK(room.bytes() == 6);
  CHECK(room.shareBytes() == 12);  // its only one
  two->append(four(1), 9);
  CHECK(room.shareBytes() == 6);
  two->clear();
  CHECK(room.bytes() == 6);
  two->append(four(1), 9);
  two.reset();
  CHECK(room.bytes() == 6);
  CHECK(room.shareBytes() == 12);
  std::vector<std::unique_ptr<Tail>> many;
  for (int i = 0; i < 9; ++i) {
    many.push_back(std::make_unique<Tail>(100, room));
    many.back()->append(four(1), 9);
  }
  CHECK(room.shareBytes() == 3);  // the least there is
  CHECK(many.back()->firstIndex() == 4);
}

}  // namespace flotilla::group
