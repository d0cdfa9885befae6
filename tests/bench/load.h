// The load: calls that are begun, timed and judged.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <kj/async.h>
#include <kj/timer.h>

#include "tests/bench/histogram.h"
#include "tests/bench/options.h"
#include "tests/bench/road.h"
#include "tests/bench/written.h"

namespace flotilla::bench {

// What was seen of the calls of a measured span.
struct Seen {
  Histogram latency;      // of calls that ended well, from the moment they were due
  uint64_t done = 0;      // calls that ended well within the span
  double seconds = 0;     // how long it was
  double cpuSeconds = 0;  // of this process
  std::map<std::string, uint64_t> errors;  // by code
};

// Keeps a number of calls under way (closed loop), or begins each at its time whatever became of
// those before (open loop), in which case a call's latency counts from when it was due: a system
// that stands still is charged with every call that it kept from being made.
//
// Owner:  main; the roads outlive it.
// Thread: the loop's.
// Errors: a call's fault is counted.
class Load final : public Sink {
public:
  Load(const Options& options, kj::Timer& timer);
  ~Load() noexcept(false) override;

  void useRoads(std::vector<Road*> roads) { roads_ = std::move(roads); }

  // Puts every key once.
  kj::Promise<void> fill();
  // Warms up, measures, lets the last calls end. `everySecond` is called with the last second's.
  kj::Promise<void> run(std::function<void(const Seen&)> everySecond);
  // Reads the sample back; gives how many keys were read and how many were lost or other.
  struct Verdict {
    uint64_t read = 0;
    uint64_t wrong = 0;
    std::string example;
  };
  kj::Promise<Verdict> verify();

  const Seen& seen() const { return seen_; }
  void ended(const Call& call, const Ended& end) override;

private:
  enum class Phase { idle, filling, loading, verifying };

  void begin(int64_t dueNs);
  KeyId nextKey(uint64_t number);
  void start(const Call& call, Road& road);
  void account(const Call& call, const Ended& end, int64_t now);
  void judge(const Call& call, const Ended& end);
  void beginMore(int64_t now);
  kj::Promise<void> pace();      // open loop
  void notMade(uint64_t count);  // calls of an open loop that came too late
  kj::Promise<void> tellEverySecond();
  kj::Promise<void> drained();
  bool nextIsPut();

  const Options& options_;
  kj::Timer& timer_;
  bool mixed_;
  bool puts_;  // and nothing else
  std::vector<Road*> roads_;
  Phase phase_ = Phase::idle;
  uint32_t underway_ = 0;
  uint64_t begun_ = 0;  // of this phase
  // Where callers stay with their groups: how many calls each group has had, and whose turn it is.
  std::vector<uint64_t> had_;
  std::optional<uint32_t> staysWith_;
  uint64_t lastPut_ = 0;
  uint64_t random_ = 0;
  bool ending_ = false;
  kj::Own<kj::PromiseFulfiller<void>> drained_;

  int64_t fromNs_ = 0;  // what is measured
  int64_t untilNs_ = 0;
  Seen seen_;
  Seen second_;
  std::function<void(const Seen&)> everySecond_;

  Written written_;
  std::vector<KeyId> toVerify_;
  Verdict verdict_;
  std::string value_;
};

}  // namespace flotilla::bench
