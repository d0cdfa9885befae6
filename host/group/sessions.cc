// Clients' sessions: what makes a repeated command harmless.
#include "host/group/sessions.h"

#include <algorithm>
#include <string>

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
    forget(used_.front().answers.dropAll());
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
  if (session.answers.has(stamp.sequence)) {
    KeptAnswers::Answer kept = session.answers.at(stamp.sequence);
    if (!kept.settled) return Verdict::pending;
    answer = {.code = kept.code,
              .appCode = {},
              .body = Bytes::copyOf(kept.body),
              .position = kept.position,
              .leaderHint = 0};
    if (!kept.appCode.empty()) answer.appCode = std::string(kept.appCode);
    return Verdict::answered;
  }
  if (session.answers.size() >= kSessionAnswersMax || answers_ >= kAnswersMax ||
      bytes_ > kAnswersBytesMax) {
    answer = refusal(ErrorCode::overloaded, nameOf(stamp) + " finds " +
                                                std::to_string(session.answers.size()) +
                                                " answers kept; acknowledge some");
    return Verdict::answered;
  }
  session.answers.add(stamp.sequence);
  ++answers_;
  return Verdict::fresh;
}

void Sessions::settle(const Stamp& stamp, const Outcome& answer) {
  Place* found = find(stamp.session);
  if (found == nullptr) return;  // expired by a later entry of the same run
  KeptAnswers::Answer kept{true, answer.code, {}, answer.body.view(), answer.position};
  if (answer.appCode) kept.appCode = *answer.appCode;
  std::string instead;
  if (kept.body.size() > kAnswerBytesMax) {
    instead = nameOf(stamp) + " was applied; its answer of " + std::to_string(kept.body.size()) +
              " bytes is longer than what is kept";
    kept.code = ErrorCode::unknown;
    kept.body = instead;
  }
  // Acknowledged by a later command of the same run: nobody will ask.
  if ((*found)->answers.settle(stamp.sequence, kept)) bytes_ += kept.body.size();
}

Sessions::Place* Sessions::find(uint64_t session) {
  if (last_ != nullptr && (*last_)->id == session) return last_;
  auto found = sessions_.find(session);
  if (found == sessions_.end()) return nullptr;
  last_ = &found->second;  // a map's elements stay where they are
  return last_;
}

void Sessions::forget(KeptAnswers::Gone gone) {
  if (gone.count == 0) return;
  answers_ -= gone.count;
  bytes_ -= gone.bytes;
}

void Sessions::acknowledge(Session& session, uint64_t below) {
  session.acknowledgedBelow = std::max(session.acknowledgedBelow, below);
  forget(session.answers.dropBelow(below));
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
    session.answers.forEach([&](uint64_t sequence, const KeptAnswers::Answer& answer) {
      ASSERT(answer.settled);
      auto kept = answers[count++];
      kept.setSequence(sequence);
      kept.setIndex(answer.position.index);
      kept.setOrdinal(answer.position.ordinal);
      kept.setCode(static_cast<schema::ErrorCode>(answer.code));
      kept.setAppCode(std::string(answer.appCode));
      kept.setBody(
          kj::arrayPtr(reinterpret_cast<const kj::byte*>(answer.body.data()), answer.body.size()));
    });
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
          (session.answers.size() != 0 && sequence <= session.answers.lastSequence())) {
        return Fault{ErrorCode::corrupt, "group state: a session's answers are out of order", {}};
      }
      session.answers.add(sequence);
      session.answers.settle(sequence, {true,
                                        static_cast<ErrorCode>(kept.getCode()),
                                        kept.getAppCode().cStr(),
                                        viewOf(kept.getBody()),
                                        {kept.getIndex(), kept.getOrdinal()}});
      bytes_ += kept.getBody().size();
      ++answers_;
    }
  }
  return {};
}

}  // namespace flotilla::group
