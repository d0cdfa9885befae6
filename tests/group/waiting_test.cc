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
  Tail tail(10);
  tail.append({entryOf(1, 1, "aaaa"), entryOf(2, 1, "bbbb")});
  tail.append({entryOf(2, 2, "cccc"), entryOf(3, 2, "dd")});
  CHECK(tail.bytes() == 10);
  REQUIRE(tail.find(2) != nullptr);
  CHECK(tail.find(2)->term == 2);
  tail.append({entryOf(4, 2, "e")});
  CHECK(tail.find(1) == nullptr);
  CHECK(tail.firstIndex() == 2);
  tail.append({entryOf(5, 2, std::string(50, 'x'))});
  CHECK(tail.firstIndex() == 5);      // one is always held
  tail.append({entryOf(9, 3, "y")});  // after a gap: what was before it is of no use
  CHECK(tail.firstIndex() == 9);
  CHECK(tail.bytes() == 1);
  tail.truncateAfter(8);
  CHECK(tail.find(9) == nullptr);
  CHECK(tail.bytes() == 0);
}

}  // namespace flotilla::group
