// Callers whose commands are in the log and not yet decided.
#include "host/group/waiting.h"

#include <algorithm>
#include <utility>

namespace flotilla::group {

Outcome failure(ErrorCode code, std::string_view text) {
  Outcome outcome;
  outcome.code = code;
  outcome.body = Bytes::copyOf(text);
  return outcome;
}

void Waiting::add(Batch batch) {
  count_ += batch.callers.size();
  bytes_ += batch.bytes;
  // Nearly always at the end; before it only where another leader cut our log short.
  auto at = batches_.end();
  while (at != batches_.begin() && std::prev(at)->point.index > batch.point.index) --at;
  batches_.insert(at, std::move(batch));
}

bool Waiting::decide(const std::vector<LogEntry>& committed, raft::ReplicaId leader,
                     Metering metering) {
  if (batches_.empty() || committed.empty()) return false;
  raft::Index first = committed.front().index;
  auto at = std::partition_point(batches_.begin(), batches_.end(),
                                 [&](const Batch& it) { return it.point.index < first; });
  bool wanted = false;
  for (size_t i = static_cast<size_t>(at - batches_.begin()); i < batches_.size();) {
    Batch& batch = batches_[i];
    if (batch.point.index > committed.back().index) break;
    if (batch.point.term == committed[batch.point.index - first].term) {
      wanted = true;
      if (metering.meters != nullptr && batch.madeUs != 0) {
        metering.meters->commitUs.add(static_cast<uint64_t>(metering.nowUs - batch.madeUs));
      }
      ++i;
      continue;
    }
    Outcome outcome = failure(ErrorCode::notLeader, "another leader's entry took its place");
    outcome.leaderHint = leader;
    answerBatch(batch, outcome);
    drop(i);
  }
  return wanted;
}

void Waiting::answer(Applied& applied, const Outcome& undecided, Metering metering) {
  size_t place = 0;
  for (Applied::Answer& it : applied.answers) {
    while (place < batches_.size() && batches_[place].point.index < it.position.index) ++place;
    if (place == batches_.size()) break;
    Batch& batch = batches_[place];
    if (batch.point.index != it.position.index) continue;
    if (it.position.ordinal >= batch.callers.size()) continue;
    CallId caller = std::exchange(batch.callers[it.position.ordinal], 0);
    if (caller != 0) callers_.answer(caller, std::move(it.outcome));
  }
  for (const Batch& batch : batches_) {
    if (batch.point.index > applied.index || metering.meters == nullptr) break;
    if (batch.madeUs == 0) continue;
    metering.meters->applyUs.add(static_cast<uint64_t>(metering.nowUs - batch.madeUs));
  }
  passed(applied.index, undecided);
}

void Waiting::passed(raft::Index index, const Outcome& undecided) {
  while (!batches_.empty() && batches_.front().point.index <= index) {
    answerBatch(batches_.front(), undecided);
    drop(0);
  }
}

void Waiting::expire(uint64_t tick) {
  if (batches_.empty()) return;
  Outcome outcome;
  for (size_t i = 0; i < batches_.size();) {
    if (batches_[i].until > tick) {
      ++i;
      continue;
    }
    if (outcome.ok()) {
      outcome = failure(ErrorCode::timeout, "not decided in time; it may still be executed");
    }
    answerBatch(batches_[i], outcome);
    drop(i);
  }
}

void Waiting::answerAll(const Outcome& outcome) {
  for (Batch& batch : batches_) answerBatch(batch, outcome);
  while (!batches_.empty()) drop(batches_.size() - 1);
}

void Waiting::rest() {
  if (batches_.empty()) batches_ = {};
}

void Waiting::answerBatch(Batch& batch, const Outcome& outcome) {
  for (CallId& caller : batch.callers) {
    CallId it = std::exchange(caller, 0);
    if (it != 0) callers_.answer(it, outcome);
  }
}

void Waiting::drop(size_t place) {
  auto batch = batches_.begin() + static_cast<std::ptrdiff_t>(place);
  count_ -= batch->callers.size();
  bytes_ -= batch->bytes;
  batches_.erase(batch);
}

}  // namespace flotilla::group
