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
    for (Answer& answer : used_.front().answers) forget(answer);
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
  auto found = sessions_.find(stamp.session);
  if (found == sessions_.end()) {
    answer = refusal(ErrorCode::sessionExpired,
                     "session " + std::to_string(stamp.session) + ": not open; open another");
    return Verdict::answered;
  }
  Session& session = *found->second;
  session.lastUsedUs = nowUs;
  used_.splice(used_.end(), used_, found->second);
  acknowledge(session, stamp.acknowledgedBelow);
  if (stamp.sequence == 0 || stamp.sequence < session.acknowledgedBelow) {
    answer = refusal(ErrorCode::badRequest, nameOf(stamp) + " is below " +
                                                std::to_string(session.acknowledgedBelow) +
                                                ", acknowledged already; use a new one");
    return Verdict::answered;
  }
  auto at =
      std::lower_bound(session.answers.begin(), session.answers.end(), stamp.sequence,
                       [](const Answer& it, uint64_t sequence) { return it.sequence < sequence; });
  if (at != session.answers.end() && at->sequence == stamp.sequence) {
    if (!at->settled) return Verdict::pending;
    answer = {.code = at->code,
              .appCode = at->appCode,
              .body = Bytes::copyOf(at->body),
              .position = at->position,
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
  Answer pending;
  pending.sequence = stamp.sequence;
  session.answers.insert(at, std::move(pending));
  ++answers_;
  return Verdict::fresh;
}

void Sessions::settle(const Stamp& stamp, const Outcome& answer) {
  Session* session = find(stamp.session);
  if (session == nullptr) return;  // expired by a later entry of the same run
  auto at =
      std::lower_bound(session->answers.begin(), session->answers.end(), stamp.sequence,
                       [](const Answer& it, uint64_t sequence) { return it.sequence < sequence; });
  // Acknowledged by a later command of the same run: nobody will ask.
  if (at == session->answers.end() || at->sequence != stamp.sequence) return;
  at->settled = true;
  at->code = answer.code;
  at->position = answer.position;
  at->appCode = answer.appCode;
  if (answer.body.size() > kAnswerBytesMax) {
    at->code = ErrorCode::unknown;
    at->body = nameOf(stamp) + " was applied; its answer of " + std::to_string(answer.body.size()) +
               " bytes is longer than what is kept";
  } else {
    at->body = answer.body.view();
  }
  bytes_ += at->body.size();
}

Sessions::Session* Sessions::find(uint64_t session) {
  auto found = sessions_.find(session);
  return found == sessions_.end() ? nullptr : &*found->second;
}

void Sessions::forget(Answer& answer) {
  bytes_ -= answer.body.size();
  --answers_;
}

void Sessions::acknowledge(Session& session, uint64_t below) {
  session.acknowledgedBelow = std::max(session.acknowledgedBelow, below);
  while (!session.answers.empty() && session.answers.front().sequence < below) {
    forget(session.answers.front());
    session.answers.pop_front();
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
      kept.setAppCode(answer.appCode);
      kept.setBody(
          kj::arrayPtr(reinterpret_cast<const kj::byte*>(answer.body.data()), answer.body.size()));
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
      Answer answer;
      answer.sequence = kept.getSequence();
      answer.settled = true;
      answer.code = static_cast<ErrorCode>(kept.getCode());
      answer.position = {kept.getIndex(), kept.getOrdinal()};
      answer.appCode = kept.getAppCode().cStr();
      answer.body = viewOf(kept.getBody());
      if (answer.sequence < session.acknowledgedBelow ||
          (!session.answers.empty() && answer.sequence <= session.answers.back().sequence)) {
        return Fault{ErrorCode::corrupt, "group state: a session's answers are out of order", {}};
      }
      bytes_ += answer.body.size();
      ++answers_;
      session.answers.push_back(std::move(answer));
    }
  }
  return {};
}

}  // namespace flotilla::group
