// The end of the loop's turn: what was gathered in it leaves in one go.
#pragma once

#include <memory>
#include <vector>

#include <kj/async.h>
#include <kj/function.h>

#include "sdk/client/outcome.h"

namespace flotilla::client {

// Calls those who asked for it once, when the loop has nothing else to do: first the
// intake, which gives lanes what it has, then the lanes, whose batches the couriers carry. Also
// tells callers what became of their calls, from a turn of the loop that belongs to nobody, so that
// they may drop whatever called them.
//
// Owner:  Hosts. Members outlive their marks: one that ends takes its mark back.
// Thread: the client's loop.
// Errors: what a member or a caller throws is logged, and the others go on.
class TurnEnd final : private kj::TaskSet::ErrorHandler {
public:
  class Member {
  public:
    virtual void turnEnds() = 0;

  protected:
    virtual ~Member() noexcept(false);

  private:
    friend class TurnEnd;
    TurnEnd* marked_ = nullptr;
  };

  struct Ended {
    kj::Function<void(Outcome&&)> done;
    Outcome outcome;
  };

  TurnEnd() : told_(std::make_shared<Told>()), tasks_(*this) {}

  void markIntake(Member& intake) { mark(intake, intakes_); }
  void markLane(Member& lane) { mark(lane, lanes_); }
  void markCourier(Member& courier) { mark(courier, couriers_); }

  // Empties `ended`. Each caller is told before long, even when all of us is gone by then.
  void tell(std::vector<Ended>& ended);

private:
  using Members = std::vector<Member*>;
  struct Told {
    std::vector<Ended> next;
    std::vector<Ended> now;  // empty but while they are told; kept for its memory
  };

  void mark(Member& member, Members& among);
  void run();
  static void call(Members& members);
  void forget(Member& member);
  void taskFailed(kj::Exception&& exception) override;

  Members intakes_, lanes_, couriers_;
  Members calledIntakes_, calledLanes_, calledCouriers_;
  bool armed_ = false;
  std::shared_ptr<Told> told_;
  kj::TaskSet tasks_;
};

}  // namespace flotilla::client
