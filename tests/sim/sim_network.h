// The network between simulated hosts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host/base/prng.h"
#include "host/group/ports.h"
#include "tests/sim/events.h"
#include "tests/sim/options.h"
#include "tests/sim/report.h"
#include "tests/sim/trace.h"

namespace flotilla::sim {

// Loses, repeats, delays and reorders messages, and has directions in which nothing passes. Hosts
// are numbered from 1.
//
// Owner:  World.
// Thread: one.
// Errors: none: a message may be lost.
class SimNetwork {
public:
  static constexpr uint64_t kUnderWayMax = 50'000;  // beyond it messages are lost

  using Deliver = std::function<void(uint64_t host, group::PeerMessage message)>;

  SimNetwork(Events& events, base::Prng& dice, const Options& options, Report& report, Trace& trace,
             Deliver deliver);

  void send(uint64_t from, uint64_t to, group::PeerMessage message);
  // Whether one more message would pass now, and how long it would take.
  bool passes(uint64_t from, uint64_t to);
  bool isCut(uint64_t from, uint64_t to) const { return cut_[from * width_ + to]; }
  int64_t delayUs();

  void cut(uint64_t from, uint64_t to) { cut_[from * width_ + to] = true; }
  void mend(uint64_t from, uint64_t to) { cut_[from * width_ + to] = false; }
  void calm();  // no cut, no loss, and all in order

private:
  void carry(uint64_t from, uint64_t to, std::shared_ptr<group::PeerMessage> message);

  Events& events_;
  base::Prng& dice_;
  const Options& options_;
  Report& report_;
  Trace& trace_;
  Deliver deliver_;
  uint64_t width_;
  std::vector<bool> cut_;
  std::vector<int64_t> lastUs_;  // when the last message of each pair arrives, where order is kept
  uint64_t underWay_ = 0;
  bool calm_ = false;
};

}  // namespace flotilla::sim
