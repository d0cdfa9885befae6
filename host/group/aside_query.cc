// A query on a state held still, carried out beside later applies.
#include "host/group/aside_query.h"

#include <utility>

namespace flotilla::group {

AsideQuery::End AsideQuery::run() const {
  Asked asked = putQuestion(request_, point_, [this](const MachineCommand& question, Answers& to) {
    return machine_->query(question, to);
  });
  End end;
  end.queried.call = request_.call;
  end.faultAt = {point_.at.index + 1, 0};
  end.machine = number_;
  if (asked.fault) {
    asked.outcome = {};
    asked.outcome.code = ErrorCode::faulted;
    asked.outcome.body = Bytes::copyOf("a query beside, after " + std::to_string(point_.at.index) +
                                       ": " + asked.fault->text);
    end.fault = std::move(asked.fault);
  }
  end.queried.outcome = std::move(asked.outcome);
  return end;
}

}  // namespace flotilla::group
