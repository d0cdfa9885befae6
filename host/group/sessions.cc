// Clients' sessions: what makes a repeated command harmless.
#include "host/group/sessions.h"

#include <algorithm>

#include "host/base/assert.h"

namespace flotilla::group {
namespace {

Outcome refusal(ErrorCode code, const std::string& text) {
  Outcome outcome;
  outcome.code = code;
  outcome.body = Bytes::copyOf(text);
  return outcome;
}

std::string nameOf(const Stamp& stamp) {
  return "session " + std::to_string(stamp.session) + ": sequence " +
         std::to_string(stamp.sequence);
}

std::string_view viewOf(capnp::Data::Reader bytes) {
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

}  // namespace

void Sessions::expire(int64_t nowUs) {
  while (!used_.empty() && used_.front().lastUsedUs <= nowUs - kSessionUnusedMaxUs) {
    for (const Answer& answer : used_.front().answers) forget(answer);
    last_ = nullptr;
    sessions_.erase(used_.front().id);
    used_.pop_front();
  }
}

bool Sessions::open(uint64_t session, int64_t nowUs) {
  if (sessions_.size() >= kSessionsMax || sessions_.contains(session)) return false;
  used_.push_back({.id = session, .acknowledgedBelow = 0, .lastUsedUs = nowUs, .answers = {}});
  sessions_.emplace(session, std::prev(used_.end()));
  return true;
}

Sessions::Verdict Sessions::judge(const Stamp& stamp, int64_t nowUs, Outcome& answer) {
  Place* found = find(stamp.session);
  if (found == nullptr) {
    answer = refusal(ErrorCode::sessionExpired,
                     "session " + std::to_string(stamp.session) + ": not open; open another");
    return Verdict::answered;
  }
  Session& session = **found;
  session.lastUsedUs = nowUs;
  used_.splice(used_.end(), used_, *found);
  acknowledge(session, stamp.acknowledgedBelow);
  if (stamp.sequence == 0 || stamp.sequence < session.acknowledgedBelow) {
    answer = refusal(ErrorCode::badRequest, nameOf(stamp) + " is below " +
                                                std::to_string(session.acknowledgedBelow) +
                                                ", acknowledged already; use a new one");
    return Verdict::answered;
  }
  size_t place = session.answers.placeOf(stamp.sequence);
  if (place < session.answers.size() && session.answers[place].sequence == stamp.sequence) {
    const Answer& kept = session.answers[place];
    if (!kept.settled) return Verdict::pending;
    answer = {.code = kept.code,
              .appCode = kept.appCode,
              .body = Bytes::copyOf(kept.body.view()),
              .position = kept.position,
              .leaderHint = 0};
    return Verdict::answered;
  }
  if (session.answers.size() >= kSessionAnswersMax || answers_ >= kAnswersMax ||
      bytes_ > kAnswersBytesMax) {
    answer = refusal(ErrorCode::overloaded, nameOf(stamp) + " finds " +
                                                std::to_string(session.answers.size()) +
                                                " answers kept; acknowledge some");
    return Verdict::answered;
  }
  session.answers.insert(place, stamp.sequence);
  ++answers_;
  return Verdict::fresh;
}

void Sessions::settle(const Stamp& stamp, const Outcome& answer) {
  Place* found = find(stamp.session);
  if (found == nullptr) return;  // expired by a later entry of the same run
  Kept& answers = (*found)->answers;
  size_t place = answers.placeOf(stamp.sequence);
  // Acknowledged by a later command of the same run: nobody will ask.
  if (place == answers.size() || answers[place].sequence != stamp.sequence) return;
  Answer& kept = answers[place];
  kept.settled = true;
  kept.code = answer.code;
  kept.position = answer.position;
  kept.appCode = answer.appCode;
  if (answer.body.size() > kAnswerBytesMax) {
    kept.code = ErrorCode::unknown;
    kept.body = nameOf(stamp) + " was applied; its answer of " +
                std::to_string(answer.body.size()) + " bytes is longer than what is kept";
  } else {
    kept.body = answer.body.view();
  }
  bytes_ += kept.body.size();
}

Sessions::Place* Sessions::find(uint64_t session) {
  if (last_ != nullptr && (*last_)->id == session) return last_;
  auto found = sessions_.find(session);
  if (found == sessions_.end()) return nullptr;
  last_ = &found->second;  // a map's elements stay where they are
  return last_;
}

// Sequences nearly always follow each other: the place is where it would be without a gap.
size_t Sessions::Kept::placeOf(uint64_t sequence) const {
  if (empty() || sequence > back().sequence) return size();
  uint64_t first = begin()->sequence;
  if (sequence <= first) return 0;
  uint64_t guess = sequence - first;
  if (guess < size() && begin()[guess].sequence == sequence) return guess;
  const Answer* at =
      std::lower_bound(begin(), end(), sequence,
                       [](const Answer& it, uint64_t wanted) { return it.sequence < wanted; });
  return static_cast<size_t>(at - begin());
}

// Made where it stays: a copy is read back while its parts are still on their way to memory, and
// waits for all that was written before it.
Sessions::Answer& Sessions::Kept::insert(size_t place, uint64_t sequence) {
  Answer& made =
      place == size()
          ? answers_.emplace_back()
          : *answers_.emplace(answers_.begin() + static_cast<std::ptrdiff_t>(first_ + place));
  made.sequence = sequence;
  return made;
}

// Moves up once as much has gone as is left, so that each answer is moved about once.
void Sessions::Kept::popFront() {
  constexpr size_t kRoom = 64;
  answers_[first_++].drop();
  if (first_ < kRoom || first_ < size()) return;
  answers_.erase(answers_.begin(), answers_.begin() + static_cast<std::ptrdiff_t>(first_));
  first_ = 0;
}

void Sessions::forget(const Answer& answer) {
  bytes_ -= answer.body.size();
  --answers_;
}

void Sessions::acknowledge(Session& session, uint64_t below) {
  session.acknowledgedBelow = std::max(session.acknowledgedBelow, below);
  while (!session.answers.empty() && session.answers.front().sequence < below) {
    forget(session.answers.front());
    session.answers.popFront();
  }
}

void Sessions::save(schema::GroupState::Builder to) const {
  auto sessions = to.initSessions(static_cast<uint32_t>(used_.size()));
  uint32_t place = 0;
  for (const Session& session : used_) {
    auto saved = sessions[place++];
    saved.setId(session.id);
    saved.setAcknowledgedBelow(session.acknowledgedBelow);
    saved.setLastUsedUs(session.lastUsedUs);
    auto answers = saved.initAnswers(static_cast<uint32_t>(session.answers.size()));
    uint32_t count = 0;
    for (const Answer& answer : session.answers) {
      ASSERT(answer.settled);
      auto kept = answers[count++];
      kept.setSequence(answer.sequence);
      kept.setIndex(answer.position.index);
      kept.setOrdinal(answer.position.ordinal);
      kept.setCode(static_cast<schema::ErrorCode>(answer.code));
      kept.setAppCode(answer.appCode.value_or({}));
      kept.setBody(kj::arrayPtr(reinterpret_cast<const kj::byte*>(answer.body.view().data()),
                                answer.body.size()));
    }
  }
}

Result<void> Sessions::load(schema::GroupState::Reader from) {
  *this = Sessions{};
  for (auto saved : from.getSessions()) {
    if (!open(saved.getId(), saved.getLastUsedUs())) {
      return Fault{ErrorCode::corrupt, "group state: too many sessions, or one twice", {}};
    }
    Session& session = used_.back();
    session.acknowledgedBelow = saved.getAcknowledgedBelow();
    for (auto kept : saved.getAnswers()) {
      uint64_t sequence = kept.getSequence();
      if (sequence < session.acknowledgedBelow ||
          (!session.answers.empty() && sequence <= session.answers.back().sequence)) {
        return Fault{ErrorCode::corrupt, "group state: a session's answers are out of order", {}};
      }
      Answer& answer = session.answers.insert(session.answers.size(), sequence);
      answer.settled = true;
      answer.code = static_cast<ErrorCode>(kept.getCode());
      answer.position = {kept.getIndex(), kept.getOrdinal()};
      if (kept.getAppCode().size() != 0) answer.appCode = std::string(kept.getAppCode().cStr());
      answer.body = viewOf(kept.getBody());
      bytes_ += answer.body.size();
      ++answers_;
    }
  }
  return {};
}

}  // namespace flotilla::group
