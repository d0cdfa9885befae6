// Clients' sessions: what makes a repeated command harmless.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>

#include "flotilla/result.h"
#include "host/group/kept_answers.h"
#include "host/group/ports.h"
#include "schemas/log.capnp.h"

namespace flotilla::group {

constexpr int64_t kSessionUnusedMaxUs = 3'600'000'000;  // an hour of log time
constexpr uint64_t kSessionsMax = 65536;
constexpr uint64_t kSessionAnswersMax = 16384;    // of one session
constexpr uint64_t kAnswersMax = 1 << 20;         // of all sessions
constexpr uint64_t kAnswerBytesMax = 64 << 10;    // a larger body is not kept
constexpr uint64_t kAnswersBytesMax = 128 << 20;  // bodies of all sessions

// Which commands of which session have been applied, and what they answered. Answers are kept by
// sequence from the session's acknowledgedBelow on: a kept sequence gives its answer again, one
// below is refused, any other is new, whatever the order.
//
// A command is judged before it is applied and settled after; between the two its sequence is
// pending. All replicas must come to the same verdicts however commands are gathered into runs:
// verdicts follow from the order of commands alone, but for the bound on bytes, which depends on
// answers. Hence `needsSettled`: while it is true, a command is judged only when none is pending.
// Below that mark a whole run of the longest answers fits, so nothing is refused for bytes.
//
// Owner:  GroupState.
// Thread: the applier's.
// Errors: refusals are outcomes; a saved state that makes no sense is a Fault `corrupt`.
// Time:   log time, microseconds.
class Sessions {
public:
  enum class Verdict : uint8_t {
    fresh,     // apply it, then settle it
    pending,   // an earlier command of this run has the same stamp: settle that and judge again
    answered,  // `answer` is what it gets: the kept one, or a refusal
  };

  // Ends sessions unused for too long. Called with each entry's time, before its commands.
  void expire(int64_t nowUs);
  // False where there are kSessionsMax, or this one already.
  bool open(uint64_t session, int64_t nowUs);
  Verdict judge(const Stamp& stamp, int64_t nowUs, Outcome& answer);
  // Keeps the answer of a command that was judged fresh.
  void settle(const Stamp& stamp, const Outcome& answer);
  bool needsSettled() const { return bytes_ > kAnswersBytesMax / 2; }

  size_t size() const { return sessions_.size(); }
  uint64_t answerCount() const { return answers_; }
  uint64_t answerBytes() const { return bytes_; }

  // As hosts of any version read them, or as those from kEntriesVersion 5 on do: a client that has
  // gone leaves a batch or two of answers behind for an hour, mostly alike.
  enum class Form : uint8_t { each, runs };
  void save(schema::GroupState::Builder to, Form form) const;
  Result<void> load(schema::GroupState::Reader from);  // of either

private:
  struct Session {
    uint64_t id = 0;
    uint64_t acknowledgedBelow = 0;
    int64_t lastUsedUs = 0;
    KeptAnswers answers;
  };
  using Place = std::list<Session>::iterator;

  Place* find(uint64_t session);
  void forget(KeptAnswers::Gone gone);
  Result<void> loadAnswer(Session& session, schema::GroupState::Answer::Reader from);
  void acknowledge(Session& session, uint64_t below);

  std::list<Session> used_;  // the longest unused first
  std::unordered_map<uint64_t, Place> sessions_;
  Place* last_ = nullptr;  // found last, for commands of one session come together; null: none
  uint64_t answers_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace flotilla::group
