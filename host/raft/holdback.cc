// What waits for the disk: writes under way, and the messages they hold back.
#include "host/raft/holdback.h"

#include <algorithm>
#include <utility>

#include "host/base/assert.h"
#include "host/base/give_back.h"

namespace flotilla::raft {

namespace {

constexpr size_t kHeldMax = 8192;  // beyond it the oldest is lost, as the network might lose it

bool acknowledges(const Message& message) {
  return message.kind == MessageKind::appendReply && message.granted;
}

}  // namespace

WriteId Holdback::begin(Index last, bool hard) {
  WriteId id = ++lastWrite_;
  pending_.push_back({id, last});
  if (hard) hardWrite_ = id;
  return id;
}

void Holdback::truncateAfter(Index last) {
  safe_ = std::min(safe_, last);
  for (Pending& pending : pending_) pending.last = std::min(pending.last, last);
}

void Holdback::persisted(WriteId write) {
  ASSERT(write <= lastWrite_);
  auto done = pending_.begin();
  for (; done != pending_.end() && done->id <= write; ++done) safe_ = std::max(safe_, done->last);
  pending_.erase(pending_.begin(), done);
  persisted_ = std::max(persisted_, write);
}

void Holdback::hold(Message message, Index log) {
  if (held_.size() >= kHeldMax) held_.erase(held_.begin());
  held_.push_back({std::move(message), log, 0, false});
}

void Holdback::rest() {
  if (held_.empty()) base::giveBack(held_);
  if (pending_.empty()) base::giveBack(pending_);
}

WriteId Holdback::covering(Index log) const {
  if (log <= safe_) return 0;
  auto first = std::find_if(pending_.begin(), pending_.end(),
                            [&](const Pending& pending) { return pending.last >= log; });
  ASSERT(first != pending_.end());
  return first->id;
}

void Holdback::bind() {
  for (auto held = held_.rbegin(); held != held_.rend() && !held->bound; ++held) {
    held->needs = std::max(hardWrite_, covering(held->log));
    held->bound = true;
  }
}

void Holdback::release(std::vector<Message>& out) {
  auto kept = held_.begin();
  for (auto held = held_.begin(); held != held_.end(); ++held) {
    if (!held->bound || held->needs > persisted_) {
      if (kept != held) *kept = std::move(*held);
      ++kept;
      continue;
    }
    bool repeats = !out.empty() && acknowledges(out.back()) && acknowledges(held->message) &&
                   out.back().to == held->message.to && out.back().term == held->message.term;
    if (!repeats) {
      out.push_back(std::move(held->message));
    } else if (out.back().index < held->message.index) {
      out.back() = std::move(held->message);
    }
  }
  held_.erase(kept, held_.end());
}

}  // namespace flotilla::raft
