// What a group may take of its host, and what it takes.
#pragma once

#include <cstdint>
#include <string>

namespace flotilla::group {

// 0: no bound.
struct Quotas {
  uint64_t memoryBytesMax = 0;       // of the machine, as it says itself
  uint32_t applyTimePercentMax = 0;  // of one apply thread's time, over kWindowUs

  bool operator==(const Quotas&) const = default;
};

// Holds what a machine takes against its group's quotas. Nothing that has been admitted is ever
// taken back for it, so a quota can be exceeded by what is under way, and replicas never differ by
// it. Each bound is left again somewhat below itself only: a group that stands at its quota would
// else be refused and admitted by turns.
//
// Memory: refused from the bound on, until nine tenths of it. Time: a bucket that holds what the
// share comes to over the window; what is used is taken out, the share flows in. Empty, it is tired
// until a tenth is there again. One that has been overdrawn by a long command owes a window at
// most.
//
// Owner:  Group.
// Thread: its owner's.
// Errors: none.
// Time:   microseconds of the monotonic clock.
class QuotaGauge {
public:
  static constexpr int64_t kWindowUs = 10'000'000;

  // Other quotas begin anew: what is held is judged by them alone.
  void set(Quotas quotas, int64_t nowUs);
  const Quotas& quotas() const { return quotas_; }
  bool isSet() const { return quotas_ != Quotas{}; }

  // What the machine holds (0: it does not say), and how long it has had a thread since the last
  // call.
  void used(uint64_t memoryBytes, int64_t applyUs, int64_t nowUs);

  bool isFull() const { return full_; }
  bool isTired(int64_t nowUs);
  bool wasTired() const { return tired_; }  // when it was last looked at

  // For callers who are refused, and for operators; empty: nothing is refused.
  std::string whyFull() const;
  std::string whyTired() const;
  std::string refuses() const;

private:
  void flow(int64_t nowUs);
  int64_t room() const { return kWindowUs * quotas_.applyTimePercentMax; }

  Quotas quotas_;
  uint64_t memoryBytes_ = 0;
  bool full_ = false;
  // Hundredths of a microsecond, so that nothing is lost of a share of very little time.
  int64_t left_ = 0;
  int64_t flowedUs_ = 0;
  bool tired_ = false;
};

}  // namespace flotilla::group
