// A group's commands, or its queries, on their way.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include <kj/async.h>
#include <kj/refcount.h>
#include <kj/timer.h>

#include "sdk/client/batch.h"
#include "sdk/client/route.h"
#include "sdk/client/stamps.h"

namespace flotilla::client {

// Gathers calls into batches, keeps a bounded number of batches under way, stamps commands, and
// sends again what may be sent again until its time is up.
//
// Owner:  GroupClient.
// Thread: the client's loop.
// Errors: every call ends with exactly one outcome; callers are called from the loop, never from
//         inside a call of theirs, and may drop the lane then.
// Time:   deadlines by the loop's timer.
class Lane final : public kj::Refcounted, private kj::TaskSet::ErrorHandler {
public:
  enum class Kind { commands, queries };

  Lane(kj::Own<Route> route, Kind kind);
  ~Lane() noexcept(false);

  void add(MethodId method, kj::ArrayPtr<const capnp::word> params, Freshness freshness,
           kj::Function<void(Outcome&&)> done);

  size_t unanswered() const { return unanswered_; }

private:
  struct Ended {
    kj::Function<void(Outcome&&)> done;
    Outcome outcome;
  };

  bool stamped() const;
  bool repeatable() const { return kind_ == Kind::queries || stamped(); }
  size_t batchCallsMax() const;

  void gather();  // seals the open batch at the end of this turn
  void seal();
  void pump();  // sends what may be sent
  bool mayPump();
  void seek();
  void openSession(Target& target);
  void stamp(Batch& batch);
  void send(Target& target, Batch&& batch);

  void landed(uint64_t flight, std::vector<Outcome>&& outcomes);
  void broke(uint64_t flight, const kj::Exception& exception);
  void judge(Call& call, Outcome&& outcome, uint64_t turn);
  void refuseAll(const Fault& fault);
  void pause();  // before the next attempt, ever longer
  void end(Call& call, Outcome&& outcome);
  void deliver();

  void watch();  // the earliest deadline
  void expire();
  template <typename Visit>
  void eachBatch(Visit&& visit);
  void taskFailed(kj::Exception&& exception) override;

  struct Flight {
    Batch batch;
    uint64_t turn = 0;  // of the route when it left
  };

  kj::Own<Route> route_;
  Kind kind_;
  const ClientOptions& options_;
  kj::Timer& timer_;
  Stamps stamps_;
  uint64_t groupId_ = 0;  // whose session it is
  uint64_t incarnation_ = 0;

  Batch open_;                 // of this turn
  std::deque<Batch> waiting_;  // oldest first; what is repeated comes before what is new
  std::map<uint64_t, Flight> flights_;
  uint64_t nextFlight_ = 1;
  size_t unanswered_ = 0;
  size_t waitingBytes_ = 0;

  bool gathering_ = false;
  bool seeking_ = false;
  bool opening_ = false;  // a session
  bool pausing_ = false;
  uint32_t setbacks_ = 0;  // in a row
  kj::Maybe<kj::TimePoint> watching_;
  std::vector<Ended> ended_;
  kj::TaskSet tasks_;
};

}  // namespace flotilla::client
