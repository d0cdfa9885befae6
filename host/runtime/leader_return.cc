// Leaderships on their way back to the hosts that are to have them.
#include "host/runtime/leader_return.h"

#include <utility>

namespace flotilla::runtime {

void LeaderReturn::hostUp(uint64_t host, const std::vector<Led>& led) {
  hostDown(host);
  for (const Led& each : led) queue_.push_back({each, host, now_ + kSettleTicks, 0});
}

void LeaderReturn::hostDown(uint64_t host) {
  base::Fifo<Wanted> others;
  for (const Wanted& each : queue_) {
    if (each.host != host) others.push_back(each);
  }
  queue_ = std::move(others);
}

void LeaderReturn::tick(const std::function<Answer(Led, uint64_t)>& give) {
  ++now_;
  uint32_t given = 0;
  for (uint32_t looks = 0; looks < kLooksATick && given < kGivenATick; ++looks) {
    if (queue_.empty() || queue_.front().due > now_) return;
    Wanted wanted = queue_.front();
    queue_.pop_front();
    Answer answer = give(wanted.led, wanted.host);
    if (answer == Answer::given) ++given;
    if (answer != Answer::notNow || ++wanted.tries == kTriesMax) continue;
    wanted.due = now_ + kAgainTicks;
    queue_.push_back(wanted);
  }
}

}  // namespace flotilla::runtime
