// Calls that were just made, before their lanes have them.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include <kj/function.h>

#include "sdk/client/outcome.h"
#include "sdk/client/turn_end.h"
#include "sdk/client/words.h"

namespace flotilla::client {

class Lane;

// Where calls go round many groups, a lane and the place where it writes its next call were last
// touched as many calls ago as there are groups, and each call would wait for them anew. Taken down
// here, in the order they are made, and given to their lanes some dozens at a time, the memory of
// those that come is asked for while one has its turn.
//
// Owner:  Hosts. A lane that ends takes back what it has here.
// Thread: the client's loop.
// Errors: none; what a lane refuses it refuses when it is given.
// Time:   a call is given to its lane before the end of the turn it was made in.
class Intake final : public TurnEnd::Member {
public:
  using Done = kj::Function<void(Outcome&&)>;

  explicit Intake(TurnEnd& turnEnd) : turnEnd_(turnEnd) {}

  // Notes who calls; gives whether it was another before.
  bool turnsTo(const Lane& lane) { return &lane != std::exchange(last_, &lane); }
  void add(Lane& lane, MethodId method, kj::ArrayPtr<const capnp::word> params, Freshness freshness,
           Done&& done);
  void giveAll();
  void forget(const Lane& lane);

private:
  struct Made {
    Lane* lane = nullptr;
    MethodId method;
    Freshness freshness;
    size_t firstByte = 0;
    size_t byteCount = 0;
    Done done;
  };

  void turnEnds() override { giveAll(); }

  TurnEnd& turnEnd_;
  const Lane* last_ = nullptr;  // to be compared only
  std::vector<Made> made_;
  std::vector<kj::byte> params_;  // of all, end to end; whole words
};

}  // namespace flotilla::client
