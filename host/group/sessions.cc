// Clients' sessions: what makes a repeated command harmless.
#include "host/group/sessions.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

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

void saveRun(const KeptAnswers::Run& run, schema::GroupState::Answer::Builder to) {
  const KeptAnswers::Answer& answer = run.answer;
  ASSERT(answer.settled);
  to.setSequence(run.sequence);
  to.setIndex(answer.position.index);
  to.setOrdinal(answer.position.ordinal);
  to.setCode(static_cast<schema::ErrorCode>(answer.code));
  to.setAppCode(std::string(answer.appCode));
  to.setBody(
      kj::arrayPtr(reinterpret_cast<const kj::byte*>(answer.body.data()), answer.body.size()));
  static_assert(kSessionAnswersMax <= UINT16_MAX);
  to.setCount(static_cast<uint16_t>(run.count));
}

Fault senseless(const std::string& what) {
  return {ErrorCode::corrupt, "group state: " + what, {}};
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

void Sessions::save(schema::GroupState::Builder to, Form form) const {
  auto sessions = to.initSessions(static_cast<uint32_t>(used_.size()));
  uint32_t place = 0;
  for (const Session& session : used_) {
    auto saved = sessions[place++];
    saved.setId(session.id);
    saved.setAcknowledgedBelow(session.acknowledgedBelow);
    saved.setLastUsedUs(session.lastUsedUs);
    std::vector<KeptAnswers::Run> runs = session.answers.runs();
    size_t size = form == Form::runs ? runs.size() : session.answers.size();
    auto answers = saved.initAnswers(static_cast<uint32_t>(size));
    uint32_t next = 0;
    for (KeptAnswers::Run& run : runs) {
      uint32_t alike = form == Form::each ? std::exchange(run.count, 1) : 1;
      for (; alike != 0; --alike) {
        saveRun(run, answers[next++]);
        ++run.sequence;
        ++run.answer.position.ordinal;
      }
    }
  }
}

Result<void> Sessions::load(schema::GroupState::Reader from) {
  *this = Sessions{};
  for (auto saved : from.getSessions()) {
    auto refuse = [&](const std::string& what) {
      return senseless("session " + std::to_string(saved.getId()) + what);
    };
    // An entry up to there has opened it, and gave it its index for a name.
    if (saved.getId() > from.getIndex()) {
      return refuse(" is not open yet at " + std::to_string(from.getIndex()));
    }
    if (!open(saved.getId(), saved.getLastUsedUs())) {
      return refuse(" is there twice, or is one too many");
    }
    Session& session = used_.back();
    session.acknowledgedBelow = saved.getAcknowledgedBelow();
    for (auto kept : saved.getAnswers()) {
      if (auto loaded = loadAnswer(session, kept); !loaded) return loaded;
    }
  }
  return {};
}

Result<void> Sessions::loadAnswer(Session& session, schema::GroupState::Answer::Reader from) {
  uint64_t sequence = from.getSequence();
  uint32_t count = from.getCount();
  uint64_t bytes = from.getBody().size();
  auto refuse = [&](const std::string& what) {
    return senseless(nameOf({session.id, sequence, 0}) + ": " + what);
  };
  if (sequence < session.acknowledgedBelow || sequence <= session.answers.lastSequence()) {
    return refuse("its answer is out of order");
  }
  bool numbered = count != 0 && sequence <= UINT64_MAX - (count - 1) &&
                  from.getOrdinal() <= UINT32_MAX - (count - 1);
  if (!numbered) return refuse(std::to_string(count) + " answers alike cannot be");
  // What a run may have brought past the bounds before they were looked at again.
  uint64_t bytesLeft = kAnswersBytesMax + kAnswerBytesMax - bytes_;
  bool fits = count <= kSessionAnswersMax - session.answers.size() &&
              count <= kAnswersMax - answers_ && bytes <= kAnswerBytesMax &&
              count * bytes <= bytesLeft;
  if (!fits) return refuse("more answers than are kept, or longer ones");
  session.answers.append({sequence,
                          count,
                          {true,
                           static_cast<ErrorCode>(from.getCode()),
                           from.getAppCode().cStr(),
                           viewOf(from.getBody()),
                           {from.getIndex(), from.getOrdinal()}}});
  answers_ += count;
  bytes_ += count * bytes;
  return {};
}

}  // namespace flotilla::group
