// When a lane's calls have waited for long enough.
#include <algorithm>
#include <string>
#include <utility>

#include "sdk/client/lane.h"

namespace flotilla::client {

// All calls have the same time, so the one that was added first is due first.
void Lane::watch() {
  if (watching_ || unanswered_ == 0) return;
  kj::TimePoint first = kj::maxValue;
  auto look = [&first](const Batch& batch) {
    for (const Call& call : batch.calls) {
      if (!call.ended) first = std::min(first, call.deadline);
    }
  };
  look(open_);
  for (const Batch& batch : waiting_) look(batch);
  for (const auto& [id, flight] : flights_) look(flight.batch);
  watching_ = true;
  tasks_.add(timer_.atTime(first).then([this]() {
    watching_ = false;
    expire();
    watch();
  }));
}

void Lane::expire() {
  expireIn(open_, false);
  for (Batch& batch : waiting_) expireIn(batch, false);
  for (auto& [id, flight] : flights_) expireIn(flight.batch, true);
  open_.dropEnded();
  deliver();
}

void Lane::expireIn(Batch& batch, bool flying) {
  kj::TimePoint now = timer_.now();
  for (Call& call : batch.calls) {
    if (call.ended || call.deadline > now) continue;
    bool perhaps = call.doubted || flying;
    std::string text = "group " + route_.name() + ": no answer within " +
                       std::to_string(options_.callTimeoutMs) + " ms";
    if (!perhaps) text += ", not carried out";
    if (!trouble_.empty()) text += "; last heard: " + trouble_;
    end(call, Outcome::failed({perhaps ? ErrorCode::timeout : ErrorCode::unavailable, text, ""}));
  }
}

}  // namespace flotilla::client
