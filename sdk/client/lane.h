// A group's commands, or its queries, on their way.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include <kj/async.h>
#include <kj/refcount.h>
#include <kj/timer.h>

#include "sdk/client/batch.h"
#include "sdk/client/courier.h"
#include "sdk/client/route.h"
#include "sdk/client/stamps.h"
#include "sdk/client/turn_end.h"

namespace flotilla::client {

// Gathers calls into batches, keeps a bounded number of batches under way, stamps commands, and
// sends again what may be sent again until its time is up.
//
// Owner:  GroupClient.
// Thread: the client's loop.
// Errors: every call ends with exactly one outcome; callers are called from the loop, never from
//         inside a call of theirs, and may drop the lane then.
// Time:   deadlines by the loop's timer.
class Lane final : public TurnEnd::Member,
                   private Courier::Sender,
                   private kj::TaskSet::ErrorHandler {
public:
  enum class Kind { commands, queries };
  using Done = kj::Function<void(Outcome&&)>;

  Lane(Route& route, Kind kind);
  ~Lane() noexcept(false);

  void add(MethodId method, kj::ArrayPtr<const capnp::word> params, Freshness freshness,
           Done&& done);

  // The intake's: a call that waited there, and what it will touch, asked for ahead.
  void given(MethodId method, kj::ArrayPtr<const capnp::word> params, Freshness freshness,
             Done&& done);
  void fetch() const;
  void fetchRoom(size_t byteCount) const { open_.fetchRoom(byteCount); }

  size_t unanswered() const;

private:
  struct Flight {
    Batch batch;
    uint64_t turn = 0;  // of the route when it left
    schema::Group::Client group;
    kj::Own<Courier> courier;  // of the connection it left by
    uint64_t parcel = 0;       // with it; 0: travels by itself
  };

  bool stamped() const { return kind_ == Kind::commands && options_.sessions; }
  bool repeatable() const { return kind_ == Kind::queries || options_.sessions; }
  bool isOneOfMany() const;
  size_t batchCallsMax() const;
  size_t answeredCallsMax() const;

  // On the way out.
  void take(MethodId method, kj::ArrayPtr<const capnp::word> params, Freshness freshness,
            Done&& done);
  void gather();  // pumps at the end of this turn of the loop
  void turnEnds() override;
  bool mayLeave(const Batch& batch) const;
  bool waitsFor(Courier& courier);
  void leaveQueue();
  void called() override;
  void close();
  void pump();  // sends what may be sent
  bool sendFront(Target& target);
  void knowGroup(const Target& target);
  bool stamp(Batch& batch);
  void send(Target& target, Batch&& batch);
  void sendAlone(uint64_t flight) override;
  void seek();
  void openSession(Target& target);

  // On the way back: lane_answers.cc
  void landed(uint64_t flight, std::vector<Outcome>&& outcomes) override;
  void broke(uint64_t flight, const kj::Exception& exception) override;
  void learnSize(const std::vector<Outcome>& outcomes);
  void judge(Call& call, Outcome&& outcome, uint64_t turn);
  void renewStamp(Call& call);
  void again(Batch&& batch);
  void troubled(const kj::Exception& exception, uint64_t turn);
  bool perhapsStale(ErrorCode code) const;
  void pause();
  void refuseWaiting(const Fault& fault);
  void end(Call& call, Outcome&& outcome);
  void deliver();

  // lane_deadlines.cc
  void watch();
  void expire();
  void expireIn(Batch& batch, bool flying);
  void taskFailed(kj::Exception&& exception) override;

  // What a new call touches lies together, see `fetch`.
  Hosts& hosts_;
  const ClientOptions& options_;
  kj::Timer& timer_;
  Kind kind_;
  bool called_ = false;  // in this turn of the loop
  bool gathering_ = false;
  bool watching_ = false;  // the earliest deadline
  Batch open_;             // takes new calls
  size_t atIntake_ = 0;    // calls that wait there
  size_t unanswered_ = 0;
  size_t unansweredBytes_ = 0;
  size_t closedCalls_ = 0;  // of the last batch that was closed: the next will be much like it
  size_t closedBytes_ = 0;

  Route& route_;
  Stamps stamps_;
  uint64_t groupId_ = 0;       // whose session it is
  uint64_t incarnation_ = 0;   // and in which of its lives
  std::deque<Batch> waiting_;  // by their serials, so that what is repeated goes first
  std::map<uint64_t, Flight> flights_;
  uint64_t nextSerial_ = 1;
  uint64_t nextFlight_ = 1;
  uint64_t lastParcel_ = 0;  // the number that a courier gave it
  size_t answerBytes_;       // how long an answer may be, by those that came lately

  kj::Own<Courier> queuedAt_;  // that calls when its turn has come
  bool seeking_ = false;
  bool opening_ = false;   // a session
  bool pausing_ = false;   // before the next attempt
  uint32_t setbacks_ = 0;  // in a row
  bool heard_ = false;     // the group has ever answered
  std::string trouble_;    // the last one, for those whose time runs out
  std::vector<TurnEnd::Ended> ended_;
  kj::TaskSet tasks_;
};

}  // namespace flotilla::client
