// Sessions: each stamp once.
#include "host/group/sessions.h"

#include <capnp/message.h>
#include <doctest/doctest.h>

#include "host/group/group_state.h"

namespace flotilla::group {
namespace {

Outcome answerOf(std::string_view text, Position position = {4, 2}) {
  Outcome outcome;
  outcome.body = Bytes::copyOf(text);
  outcome.position = position;
  return outcome;
}

using Verdict = Sessions::Verdict;

}  // namespace

TEST_CASE("group/sessions: a kept sequence gives its answer again, whatever the order") {
  Sessions sessions;
  REQUIRE(sessions.open(9, 100));
  Outcome outcome;
  for (uint64_t sequence : {5, 1, 3}) {
    Stamp stamp{9, sequence, 1};
    CHECK(sessions.judge(stamp, 100, outcome) == Verdict::fresh);
    sessions.settle(stamp, answerOf("answer " + std::to_string(sequence)));
  }
  for (uint64_t sequence : {1, 3, 5}) {
    CHECK(sessions.judge({9, sequence, 1}, 100, outcome) == Verdict::answered);
    CHECK(outcome.ok());
    CHECK(outcome.body.view() == "answer " + std::to_string(sequence));
    CHECK(outcome.position == Position{4, 2});
  }
  CHECK(sessions.judge({9, 2, 1}, 100, outcome) == Verdict::fresh);
}

TEST_CASE("group/sessions: a sequence below what was acknowledged is refused") {
  Sessions sessions;
  REQUIRE(sessions.open(9, 100));
  Outcome outcome;
  CHECK(sessions.judge({9, 4, 4}, 100, outcome) == Verdict::fresh);
  CHECK(sessions.judge({9, 3, 0}, 100, outcome) == Verdict::answered);
  CHECK(outcome.code == ErrorCode::badRequest);
  CHECK(outcome.body.view() ==
        "session 9: sequence 3 is below 4, acknowledged already; use a new one");
  CHECK(sessions.judge({9, 0, 0}, 100, outcome) == Verdict::answered);
  CHECK(outcome.code == ErrorCode::badRequest);
}

TEST_CASE("group/sessions: the same stamp twice in one run waits for the first") {
  Sessions sessions;
  REQUIRE(sessions.open(9, 100));
  Outcome outcome;
  CHECK(sessions.judge({9, 1, 1}, 100, outcome) == Verdict::fresh);
  CHECK(sessions.judge({9, 1, 1}, 100, outcome) == Verdict::pending);
  sessions.settle({9, 1, 1}, answerOf("once"));
  CHECK(sessions.judge({9, 1, 1}, 100, outcome) == Verdict::answered);
  CHECK(outcome.body.view() == "once");
}

TEST_CASE("group/sessions: an author's error is kept like any answer") {
  Sessions sessions;
  REQUIRE(sessions.open(9, 100));
  Outcome outcome = answerOf("no");
  outcome.code = ErrorCode::app;
  outcome.appCode = std::string("mine");
  Outcome again;
  CHECK(sessions.judge({9, 1, 0}, 100, again) == Verdict::fresh);
  sessions.settle({9, 1, 0}, outcome);
  CHECK(sessions.judge({9, 1, 0}, 100, again) == Verdict::answered);
  CHECK(again.code == ErrorCode::app);
  CHECK(again.appCode == "mine");
}

TEST_CASE("group/sessions: an hour unused ends a session, a use puts it off") {
  Sessions sessions;
  REQUIRE(sessions.open(1, 0));
  REQUIRE(sessions.open(2, 0));
  Outcome outcome;
  CHECK(sessions.judge({2, 1, 0}, kSessionUnusedMaxUs / 2, outcome) == Verdict::fresh);
  sessions.expire(kSessionUnusedMaxUs);
  CHECK(sessions.size() == 1);
  CHECK(sessions.judge({1, 1, 0}, kSessionUnusedMaxUs, outcome) == Verdict::answered);
  CHECK(outcome.code == ErrorCode::sessionExpired);
  sessions.settle({2, 1, 0}, answerOf("x"));
  CHECK(sessions.answerCount() == 1);
  sessions.expire(kSessionUnusedMaxUs * 2);
  CHECK(sessions.size() == 0);
  CHECK(sessions.answerCount() == 0);
  CHECK(sessions.answerBytes() == 0);
}

TEST_CASE("group/sessions: a session that acknowledges nothing is refused in the end") {
  Sessions sessions;
  REQUIRE(sessions.open(9, 100));
  Outcome outcome;
  uint64_t sequence = 1;
  for (; sequence <= kSessionAnswersMax; ++sequence) {
    REQUIRE(sessions.judge({9, sequence, 0}, 100, outcome) == Verdict::fresh);
    sessions.settle({9, sequence, 0}, answerOf("x"));
  }
  CHECK(sessions.judge({9, sequence, 0}, 100, outcome) == Verdict::answered);
  CHECK(outcome.code == ErrorCode::overloaded);
  CHECK(sessions.judge({9, sequence, 2}, 100, outcome) == Verdict::fresh);
}

TEST_CASE("group/sessions: bytes kept are bounded, and the mark comes a run earlier") {
  Sessions sessions;
  REQUIRE(sessions.open(9, 100));
  std::string large(kAnswerBytesMax, 'x');
  Outcome outcome;
  uint64_t sequence = 1;
  uint64_t marked = 0;
  for (; sessions.judge({9, sequence, 0}, 100, outcome) == Verdict::fresh; ++sequence) {
    sessions.settle({9, sequence, 0}, answerOf(large));
    if (marked == 0 && sessions.needsSettled()) marked = sequence;
    REQUIRE(sequence < 10'000);
  }
  CHECK(outcome.code == ErrorCode::overloaded);
  CHECK(sequence - marked >= 1024);  // kRunCommandsMax
  CHECK(sessions.answerBytes() <= kAnswersBytesMax + kAnswerBytesMax);
}

TEST_CASE("group/sessions: an answer too long to keep says so when it is asked for again") {
  Sessions sessions;
  REQUIRE(sessions.open(9, 100));
  Outcome outcome;
  CHECK(sessions.judge({9, 1, 0}, 100, outcome) == Verdict::fresh);
  sessions.settle({9, 1, 0}, answerOf(std::string(kAnswerBytesMax + 1, 'x')));
  CHECK(sessions.judge({9, 1, 0}, 100, outcome) == Verdict::answered);
  CHECK(outcome.code == ErrorCode::unknown);
  CHECK(outcome.body.view() ==
        "session 9: sequence 1 was applied; its answer of 65537 bytes is longer than what is kept");
}

TEST_CASE(
    "group/sessions: a batch that is answered alike is counted, repeated and saved each by each") {
  Sessions sessions;
  REQUIRE(sessions.open(9, 100));
  Outcome outcome;
  for (uint64_t sequence = 1; sequence <= 64; ++sequence) {
    REQUIRE(sessions.judge({9, sequence, 1}, 100, outcome) == Verdict::fresh);
  }
  // The first ten are acknowledged before they are settled.
  REQUIRE(sessions.judge({9, 65, 11}, 100, outcome) == Verdict::fresh);
  for (uint64_t sequence = 1; sequence <= 65; ++sequence) {
    auto ordinal = static_cast<uint32_t>(3 + sequence);
    sessions.settle({9, sequence, 1}, answerOf("done", {7, ordinal}));
  }
  CHECK(sessions.answerCount() == 55);
  CHECK(sessions.answerBytes() == 55 * 4);
  // And ten more in the midst of those that are kept as one.
  REQUIRE(sessions.judge({9, 66, 21}, 100, outcome) == Verdict::fresh);
  sessions.settle({9, 66, 21}, answerOf("other", {8, 0}));
  CHECK(sessions.answerCount() == 46);
  CHECK(sessions.answerBytes() == 45 * 4 + 5);
  for (uint64_t sequence = 21; sequence <= 65; ++sequence) {
    REQUIRE(sessions.judge({9, sequence, 21}, 100, outcome) == Verdict::answered);
    CHECK(outcome.body.view() == "done");
    CHECK(outcome.position == Position{7, static_cast<uint32_t>(3 + sequence)});
  }
  CHECK(sessions.judge({9, 20, 21}, 100, outcome) == Verdict::answered);
  CHECK(outcome.code == ErrorCode::badRequest);

  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schema::GroupState>();
  sessions.save(root);
  auto saved = root.getSessions()[0].getAnswers();
  REQUIRE(saved.size() == 46);
  for (uint32_t i = 0; i < 45; ++i) {
    CHECK(saved[i].getSequence() == 21 + i);
    CHECK(saved[i].getIndex() == 7);
    CHECK(saved[i].getOrdinal() == 24 + i);
    CHECK(kj::str(saved[i].getBody().asChars()) == "done");
  }
  CHECK(saved[45].getSequence() == 66);
  Sessions loaded;
  REQUIRE(loaded.load(root).ok());
  CHECK(loaded.answerCount() == 46);
  CHECK(loaded.answerBytes() == sessions.answerBytes());
  CHECK(loaded.judge({9, 40, 21}, 100, outcome) == Verdict::answered);
  CHECK(outcome.position == Position{7, 43});
}

TEST_CASE("group/group_state: what is saved is loaded, sessions included") {
  GroupState state;
  state.at = {77, 5};
  state.timeUs = 123'456;
  state.configuration = {70, {{1, 2}, {}, {3}, {}, false}};
  Outcome outcome;
  for (uint64_t session = 1; session <= 3; ++session) {
    REQUIRE(state.sessions.open(session, static_cast<int64_t>(session)));
    for (uint64_t sequence : {2, 4}) {
      REQUIRE(state.sessions.judge({session, sequence, 2}, 10, outcome) == Verdict::fresh);
      state.sessions.settle({session, sequence, 2}, answerOf("s" + std::to_string(sequence)));
    }
  }
  Outcome refused = answerOf("no");
  refused.code = ErrorCode::app;
  refused.appCode = std::string("mine");
  REQUIRE(state.sessions.judge({3, 3, 2}, 10, outcome) == Verdict::fresh);  // between two
  state.sessions.settle({3, 3, 2}, refused);
  Bytes saved = state.encode();
  GroupState loaded;
  REQUIRE(loaded.decode(saved).ok());
  CHECK(loaded.at == state.at);
  CHECK(loaded.timeUs == state.timeUs);
  CHECK(loaded.configuration == state.configuration);
  CHECK(loaded.sessions.answerBytes() == state.sessions.answerBytes());
  CHECK(loaded.encode().view() == saved.view());
  CHECK(loaded.sessions.judge({2, 4, 2}, 10, outcome) == Verdict::answered);
  CHECK(outcome.body.view() == "s4");
  CHECK(!outcome.appCode.has_value());
  CHECK(loaded.sessions.judge({3, 3, 2}, 10, outcome) == Verdict::answered);
  CHECK(outcome.body.view() == "no");
  CHECK(outcome.appCode == "mine");
  CHECK(loaded.sessions.judge({2, 1, 0}, 10, outcome) == Verdict::answered);
  CHECK(outcome.code == ErrorCode::badRequest);
  CHECK(!loaded.decode(Bytes::copyOf("no words")).ok());
  CHECK(!loaded.decode(saved.part(saved.view().substr(0, saved.size() / 2 / 8 * 8))).ok());
}

}  // namespace flotilla::group
