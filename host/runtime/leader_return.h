// Leaderships on their way back to the hosts that are to have them.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "host/base/fifo.h"
#include "host/raft/types.h"

namespace flotilla::runtime {

// The catalog spreads groups' preferred leaders evenly over hosts; where a host dies its groups are
// led by others, and would be for ever. So when it is back, each other host notes what is led there
// and should be led by it, and gives that back some time later: one group after another, each only
// while the replica over there has all there is. What is led in another term by then, an operator
// or an election has moved since: it stays where it was put.
//
// Owner:  ReplicaSet.
// Thread: the loop's.
// Errors: none; a group that will not go is left alone after kTriesMax.
// Time:   in the host's ticks.
class LeaderReturn {
public:
  static constexpr uint64_t kSettleTicks = 200;  // from a host's coming up to the first group
  static constexpr uint32_t kGivenATick = 1;
  static constexpr uint32_t kLooksATick = 64;
  static constexpr uint64_t kAgainTicks = 20;
  static constexpr uint32_t kTriesMax = 60;

  enum class Answer : uint8_t {
    given,   // the order is out
    notNow,  // it is not led here safely enough, or its replica over there lags behind
    never,   // it is not ours to give (any more)
  };

  // A group that is led here, in this term.
  struct Led {
    uint64_t group = 0;
    raft::Term term = 0;
  };

  // With what is led here and should be there.
  void hostUp(uint64_t host, const std::vector<Led>& led);
  void hostDown(uint64_t host);

  // One tick later: tries those whose time has come.
  void tick(const std::function<Answer(Led led, uint64_t host)>& give);
  size_t waiting() const { return queue_.size(); }

private:
  struct Wanted {
    Led led;
    uint64_t host = 0;
    uint64_t due = 0;
    uint32_t tries = 0;
  };

  uint64_t now_ = 0;
  base::Fifo<Wanted> queue_;  // what is tried again may wait behind what is not due yet
};

}  // namespace flotilla::runtime
