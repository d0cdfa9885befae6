// What the answers of one batch may come to.
#include "host/runtime/answer_budget.h"

#include <doctest/doctest.h>

#include "host/runtime/call_table.h"

namespace flotilla::runtime {
namespace {

constexpr size_t kMiB = 1 << 20;

// Gathers what its calls were answered.
class Gathered final : public CallBatch {
public:
  Gathered(CallKind kind, size_t calls, std::vector<group::Outcome>& to, AnswerShare share = {})
      : CallBatch(kind, calls, kj::mv(share)), to_(to) {}

private:
  void ended(std::vector<group::Outcome> outcomes) override { to_ = std::move(outcomes); }
  std::vector<group::Outcome>& to_;
};

group::Outcome answerOf(size_t bytes) {
  static const std::string kText(64 * kMiB, 'x');
  group::Outcome outcome;
  outcome.body = Bytes(nullptr, std::string_view(kText).substr(0, bytes));
  outcome.position = {7, 3};
  return outcome;
}

std::vector<group::Outcome> ask(CallKind kind, size_t calls, const group::Outcome& answer) {
  CallTable table;
  std::vector<group::Outcome> outcomes;
  auto batch = kj::refcounted<Gathered>(kind, calls, outcomes);
  for (uint32_t place = 0; place < calls; ++place) {
    table.answer(table.add(kj::addRef(*batch), place), answer);
  }
  REQUIRE(outcomes.size() == calls);
  return outcomes;
}

}  // namespace

TEST_CASE(
    "runtime/answer_budget: a batch is answered as far as a message goes, the rest is refused") {
  for (CallKind kind : {CallKind::commands, CallKind::queries}) {
    auto outcomes = ask(kind, 1'000, answerOf(kMiB));
    size_t bytes = 0;
    for (size_t i = 0; i < outcomes.size(); ++i) {
      bytes += outcomes[i].body.size();
      if (i < 32) CHECK(outcomes[i].ok());
      if (i < 32) continue;
      bool command = kind == CallKind::commands;
      CHECK(outcomes[i].code == (command ? ErrorCode::unknown : ErrorCode::overloaded));
      CHECK(outcomes[i].position == group::Position{7, 3});
      CHECK(outcomes[i].body.view().find("had no room beside the others of its batch") !=
            std::string_view::npos);
    }
    CHECK(bytes < AnswerBudget::kBatchBytesMax + kMiB);
  }
}

TEST_CASE("runtime/answer_budget: an answer alone has the whole message, and no more") {
  CHECK(ask(CallKind::queries, 1, answerOf(50 * kMiB))[0].ok());
  CHECK(ask(CallKind::queries, 1, answerOf(61 * kMiB))[0].code == ErrorCode::tooLarge);
  CHECK(ask(CallKind::commands, 1, answerOf(61 * kMiB))[0].code == ErrorCode::unknown);
}

TEST_CASE("runtime/answer_budget: a connection that takes nothing is given no more, and says so") {
  size_t unsent = 200 * kMiB;
  auto room = kj::refcounted<AnswerRoom>([&unsent] { return unsent; });
  std::vector<group::Outcome> outcomes;
  for (size_t batch = 0; batch < 2; ++batch) {
    auto share = kj::refcounted<AnswerRoom::Share>(kj::addRef(*room));
    auto calls = kj::refcounted<Gathered>(CallKind::queries, 32, outcomes, kj::addRef(*share));
    for (uint32_t place = 0; place < 32; ++place) calls->answer(place, answerOf(kMiB));
    calls = nullptr;
    CHECK(outcomes.back().ok());
    CHECK(room->taken() == unsent + 32 * kMiB);
    share = nullptr;
    CHECK(room->taken() == unsent);
  }
  unsent = 240 * kMiB;
  auto calls = kj::refcounted<Gathered>(CallKind::queries, 32, outcomes,
                                        kj::refcounted<AnswerRoom::Share>(kj::addRef(*room)));
  for (uint32_t place = 0; place < 32; ++place) calls->answer(place, answerOf(kMiB));
  CHECK(outcomes[15].ok());
  CHECK(outcomes[16].code == ErrorCode::overloaded);
  CHECK(outcomes[16].body.view().find("read them first") != std::string_view::npos);
}

TEST_CASE("runtime/answer_budget: a refusal stays what it is, however full the batch") {
  std::vector<group::Outcome> outcomes;
  auto batch = kj::refcounted<Gathered>(CallKind::commands, 2, outcomes);
  batch->answer(0, answerOf(32 * kMiB));
  group::Outcome refusal = answerOf(10);
  refusal.code = ErrorCode::notLeader;
  batch->answer(1, refusal);
  CHECK(outcomes[0].ok());
  CHECK(outcomes[1].code == ErrorCode::notLeader);
}

}  // namespace flotilla::runtime
