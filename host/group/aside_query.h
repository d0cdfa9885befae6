// A query on a state held still, carried out beside later applies.
#pragma once

#include <memory>
#include <optional>

#include "host/group/ports.h"
#include "host/raft/types.h"

namespace flotilla::group {

// Where a query's state stands: what it is told of it.
struct QueryPoint {
  raft::LogPoint at;
  int64_t timeUs = 0;
};

// Puts a question to whatever answers it: `ask(question, answers)`, as Machine::query. A fault is
// the machine's, and stops its replica.
struct Asked {
  Outcome outcome;
  std::optional<Fault> fault;
};
template <typename Ask>
Asked putQuestion(const QueryRequest& request, const QueryPoint& point, Ask&& ask);

// Made by Applier at the place among the applies where the query stands, so it sees all that an
// answer before it may have come from: it is as linearizable as one that is carried out there.
//
// Owner:  whoever carries it out.
// Thread: any, one at a time; several of one state beside one another.
// Errors: in what `run` gives; its machine's fault is to reach the applier (Applier::stop).
class AsideQuery {
public:
  AsideQuery(std::shared_ptr<const FrozenMachine> machine, uint64_t number, QueryPoint point,
             QueryRequest request)
      : machine_(std::move(machine)),
        number_(number),
        point_(point),
        request_(std::move(request)) {}

  struct End {
    Queried queried;
    std::optional<Fault> fault;
    Position faultAt;
    uint64_t machine = 0;  // Applier::machineNumber of the one that was asked
  };
  End run() const;
  CallId call() const { return request_.call; }

private:
  std::shared_ptr<const FrozenMachine> machine_;
  uint64_t number_;
  QueryPoint point_;
  QueryRequest request_;
};

// ---- the same for both roads

// One question's answer.
//
// Thread: one. Errors: none.
class OneAnswer final : public Answers {
public:
  explicit OneAnswer(Outcome& outcome) : outcome_(outcome) {}
  void result(size_t, std::string_view segment) override {
    answered = true;
    outcome_.body = Bytes::copyOf(segment);
  }
  void error(size_t, std::string_view appCode, std::string_view text) override {
    answered = true;
    outcome_.code = ErrorCode::app;
    if (!appCode.empty()) outcome_.appCode = std::string(appCode);
    outcome_.body = Bytes::copyOf(text);
  }
  bool wakeAt(size_t, int64_t, uint64_t) override { return false; }
  bool emit(size_t, std::string_view, std::string_view) override { return false; }
  bool answered = false;

private:
  Outcome& outcome_;
};

template <typename Ask>
Asked putQuestion(const QueryRequest& request, const QueryPoint& point, Ask&& ask) {
  Asked asked;
  asked.outcome.position = {point.at.index, 0};
  MachineCommand question{.position = asked.outcome.position,
                          .term = point.at.term,
                          .timeUs = point.timeUs,
                          .interfaceId = request.question.interfaceId,
                          .method = request.question.method,
                          .params = request.question.params.view()};
  OneAnswer answer(asked.outcome);
  Result<void> done = ask(question, answer);
  if (!done) {
    asked.fault = done.fault();
  } else if (!answer.answered) {
    asked.fault = Fault{ErrorCode::faulted, "machine: left a query without an answer", {}};
  }
  return asked;
}

}  // namespace flotilla::group
