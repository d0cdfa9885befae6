// The network between simulated hosts.
#include "tests/sim/sim_network.h"

#include <algorithm>
#include <utility>

#include "host/raft/describe.h"

namespace flotilla::sim {

SimNetwork::SimNetwork(Events& events, base::Prng& dice, const Options& options, Report& report,
                       Trace& trace, Deliver deliver)
    : events_(events),
      dice_(dice),
      options_(options),
      report_(report),
      trace_(trace),
      deliver_(std::move(deliver)),
      width_(options.hosts + 1),
      cut_(width_ * width_, false),
      lastUs_(width_ * width_, 0) {}

bool SimNetwork::passes(uint64_t from, uint64_t to) {
  if (isCut(from, to)) return false;
  return calm_ || !dice_.chance(options_.loss);
}

int64_t SimNetwork::delayUs() {
  int64_t span = options_.delayUsMax - options_.delayUsMin;
  int64_t us =
      options_.delayUsMin + static_cast<int64_t>(dice_.below(static_cast<uint64_t>(span + 1)));
  return !calm_ && dice_.chance(options_.late) ? us * 10 : us;
}

void SimNetwork::send(uint64_t from, uint64_t to, group::PeerMessage message) {
  ++report_[Count::messages];
  if (!passes(from, to) || underWay_ >= kUnderWayMax) {
    ++report_[Count::lostMessages];
    return;
  }
  auto shared = std::make_shared<group::PeerMessage>(std::move(message));
  carry(from, to, shared);
  if (!calm_ && dice_.chance(options_.repeat)) carry(from, to, shared);
}

void SimNetwork::carry(uint64_t from, uint64_t to, std::shared_ptr<group::PeerMessage> message) {
  ++underWay_;
  int64_t atUs = events_.nowUs() + delayUs();
  if (calm_ || options_.inOrder) {
    int64_t& lastUs = lastUs_[from * width_ + to];
    lastUs = atUs = std::max(atUs, lastUs + 1);
  }
  events_.at(atUs, [this, from, to, message = std::move(message)]() {
    --underWay_;
    if (isCut(from, to)) {
      ++report_[Count::lostMessages];
      return;
    }
    const raft::Message& it = message->message;
    trace_.note(events_.nowUs(),
                {1, message->group, static_cast<uint64_t>(it.kind), it.from, it.to, it.term,
                 it.after.index, it.index, it.commit, it.context, it.granted},
                [&]() { return "g" + std::to_string(message->group) + " " + raft::describe(it); });
    deliver_(to, *message);
  });
}

void SimNetwork::calm() {
  calm_ = true;
  cut_.assign(cut_.size(), false);
}

}  // namespace flotilla::sim
