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
  root.setIndex(9);
  sessions.save(root, Sessions::Form::each);
  auto saved = root.getSessions()[0].getAnswers();
  REQUIRE(saved.size() == 46);
  for (uint32_t i = 0; i < 45; ++i) {
    CHECK(saved[i].getSequence() == 21 + i);
    CHECK(saved[i].getIndex() == 7);
    CHECK(saved[i].getOrdinal() == 24 + i);
    CHECK(saved[i].getCount() == 1);
    CHECK(kj::str(saved[i].getBody().asChars()) == "done");
  }
  CHECK(saved[45].getSequence() == 66);

  capnp::MallocMessageBuilder shorter;
  auto runs = shorter.initRoot<schema::GroupState>();
  runs.setIndex(9);
  sessions.save(runs, Sessions::Form::runs);
  auto two = runs.getSessions()[0].getAnswers();
  REQUIRE(two.size() == 2);
  CHECK(two[0].getSequence() == 21);
  CHECK(two[0].getOrdinal() == 24);
  CHECK(two[0].getCount() == 45);
  CHECK(two[1].getSequence() == 66);
  CHECK(two[1].getCount() == 1);

  for (schema::GroupState::Reader from : {root.asReader(), runs.asReader()}) {
    Sessions loaded;
    REQUIRE(loaded.load(from).ok());
    CHECK(loaded.answerCount() == 46);
    CHECK(loaded.answerBytes() == sessions.answerBytes());
    CHECK(loaded.judge({9, 40, 21}, 100, outcome) == Verdict::answered);
    CHECK(outcome.position == Position{7, 43});
    CHECK(loaded.judge({9, 66, 21}, 100, outcome) == Verdict::answered);
    CHECK(outcome.body.view() == "other");
    CHECK(loaded.judge({9, 67, 67}, 100, outcome) == Verdict::fresh);
    CHECK(loaded.answerCount() == 1);
    CHECK(loaded.answerBytes() == 0);
  }
}

TEST_CASE("group/sessions: what cannot be is not loaded") {
  auto loads = [](auto change) {
    capnp::MallocMessageBuilder message;
    auto root = message.initRoot<schema::GroupState>();
    root.setIndex(9);
    auto session = root.initSessions(1)[0];
    session.setId(9);
    session.setAcknowledgedBelow(5);
    auto answers = session.initAnswers(2);
    answers[0].setSequence(5);
    answers[0].setCount(10);
    answers[1].setSequence(15);
    change(session, answers[0], answers[1]);
    Sessions sessions;
    auto loaded = sessions.load(root);
    return loaded ? "" : loaded.fault().text;
  };
  auto at = [](uint64_t sequence, const std::string& what) {
    return "group state: session 9: sequence " + std::to_string(sequence) + ": " + what;
  };
  const std::string order = "its answer is out of order";
  const std::string many = "more answers than are kept, or longer ones";
  CHECK(loads([](auto, auto, auto) {}) == "");
  CHECK(loads([](auto session, auto, auto) { session.setId(10); }) ==
        "group state: session 10 is not open yet at 9");
  CHECK(loads([](auto session, auto, auto) { session.setAcknowledgedBelow(6); }) == at(5, order));
  CHECK(loads([](auto, auto first, auto) { first.setCount(11); }) == at(15, order));
  CHECK(loads([](auto, auto first, auto) { first.setCount(0); }) ==
        at(5, "0 answers alike cannot be"));
  CHECK(loads([](auto, auto first, auto) { first.setCount(UINT16_MAX); }) == at(5, many));
  CHECK(loads([](auto, auto first, auto) { first.setOrdinal(UINT32_MAX); }) ==
        at(5, "10 answers alike cannot be"));
  auto most = static_cast<uint16_t>(kSessionAnswersMax);
  CHECK(loads([&](auto, auto, auto last) { last.setCount(most - 10); }) == "");
  CHECK(loads([&](auto, auto, auto last) { last.setCount(most - 9); }) == at(15, many));
  CHECK(loads([](auto, auto, auto last) { last.setSequence(UINT64_MAX); }) == "");
  auto beyond = [](auto, auto, auto last) {
    last.setSequence(UINT64_MAX);
    last.setCount(2);
  };
  CHECK(loads(beyond) == at(UINT64_MAX, "2 answers alike cannot be"));
  CHECK(loads([](auto, auto, auto last) { last.initBody(kAnswerBytesMax); }) == "");
  CHECK(loads([](auto, auto, auto last) { last.initBody(kAnswerBytesMax + 1); }) == at(15, many));
  auto heavy = [](auto, auto first, auto last) {
    first.setCount(1);
    last.initBody(kAnswerBytesMax);
    last.setCount(kAnswersBytesMax / kAnswerBytesMax + 2);
  };
  CHECK(loads(heavy) == at(15, many));

  // Nor more sessions' answers together, however short the state that says so.
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schema::GroupState>();
  constexpr uint32_t kFull = kAnswersMax / kSessionAnswersMax;
  root.setIndex(kFull + 1);
  auto all = root.initSessions(kFull + 1);
  for (uint32_t i = 0; i <= kFull; ++i) {
    all[i].setId(i + 1);
    auto answer = all[i].initAnswers(1)[0];
    answer.setSequence(1);
    answer.setCount(i < kFull ? most : 1);
  }
  Sessions sessions;
  CHECK(sessions.load(root).fault().text ==
        "group state: session " + std::to_string(kFull + 1) + ": sequence 1: " + many);
}

// A digest is compared among hosts of all versions: the value is that of builds before answers were
// saved as runs.
TEST_CASE("group/group_state: a digest is what it always was") {
  GroupState state;
  state.at = {77, 5};
  state.timeUs = 123'456;
  state.unchecked = 3;
  state.answers = 0x1234'5678'9abc'def0;
  Outcome outcome;
  REQUIRE(state.sessions.open(7, 100));
  for (uint64_t sequence = 2; sequence <= 9; ++sequence) {
    Stamp stamp{7, sequence, 2};
    REQUIRE(state.sessions.judge(stamp, 200, outcome) == Verdict::fresh);
    Outcome answer = answerOf(sequence == 6 ? "other" : "done");
    answer.position = {70, static_cast<uint32_t>(sequence)};
    if (sequence == 9) {
      answer.code = ErrorCode::app;
      answer.appCode = std::string("mine");
    }
    state.sessions.settle(stamp, answer);
  }
  CHECK(state.digest() == 10210062863714997613U);
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
  Bytes saved = state.encode(Sessions::Form::runs);
  GroupState loaded;
  REQUIRE(loaded.decode(saved).ok());
  CHECK(loaded.at == state.at);
  CHECK(loaded.timeUs == state.timeUs);
  CHECK(loaded.configuration == state.configuration);
  CHECK(loaded.sessions.answerBytes() == state.sessions.answerBytes());
  CHECK(loaded.encode(Sessions::Form::runs).view() == saved.view());
  CHECK(loaded.digest() == state.digest());
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
