// What a group may take of its host, and what it takes.
#pragma once

#include <cstdint>
#include <string>

namespace flotilla::group {

// 0: no bound.
struct Quotas {
  uint64_t memoryBytesMax = 0;       // of the machine, as it says itself
  uint32_t applyTimePercentMax = 0;  // of one apply thread's time, over kWindowUs
  uint32_t callsPerSecondMax = 0;    // commands and queries

  bool operator==(const Quotas&) const = default;
};

// Holds what a machine takes against its group's quotas. Nothing that has been admitted is ever
// taken back for it, so a quota can be exceeded by what is under way, and replicas never differ by
// it. Those of memory and time are left again somewhat below themselves only: a group that stands
// at its quota would else be refused and admitted by turns.
//
// Memory: refused from the bound on, until nine tenths of it. Time: a bucket that holds what the
// share comes to over the window; what is used is taken out, the share flows in. Empty, it is tired
// until a tenth is there again. One that has been overdrawn by a long command owes a window at
// most. Calls: a bucket of a tenth of a second, or of one call, so that it is a short burst that
// can stand in others' way. It counts as refusing until none was refused for a window.
//
// Owner:  Group.
// Thread: its owner's.
// Errors: none.
// Time:   microseconds of the monotonic clock.
class QuotaGauge {
public:
  static constexpr int64_t kWindowUs = 10'000'000;

  // A quota that is another one begins anew: what is held is judged by that alone.
  void set(Quotas quotas, int64_t nowUs);
  const Quotas& quotas() const { return quotas_; }
  bool isSet() const { return quotas_ != Quotas{}; }

  // What the machine holds (0: it does not say), and how long it has had a thread since the last
  // call.
  void used(uint64_t memoryBytes, int64_t applyUs, int64_t nowUs);

  bool isFull() const { return full_; }
  bool isTired(int64_t nowUs) const;

  // Whether one more call may come; counts it if so.
  bool takesCall(int64_t nowUs);

  bool isRefusing(int64_t nowUs) const {
    return full_ || isTired(nowUs) || nowUs < overRateUntilUs_;
  }

  // For callers who are refused, and for operators; empty: nothing is refused.
  std::string whyFull() const;
  std::string whyTired() const;
  std::string whyOverRate() const;
  std::string refuses(int64_t nowUs) const;

private:
  // What flows in, so much a microsecond, and is taken out.
  struct Bucket {
    int64_t left = 0;
    int64_t flowedUs = 0;

    void flow(int64_t share, int64_t room, int64_t nowUs);
  };

  int64_t timeRoom() const { return kWindowUs * quotas_.applyTimePercentMax; }
  int64_t callsRoom() const;

  Quotas quotas_;
  uint64_t memoryBytes_ = 0;
  bool full_ = false;
  Bucket time_;  // hundredths of a microsecond, so that nothing is lost of a very small share
  bool tired_ = false;
  Bucket calls_;  // millionths of a call
  int64_t overRateUntilUs_ = 0;
};

}  // namespace flotilla::group
