// The time a group lives by: stamped by its leader, never going back.
#include "host/group/log_time.h"

#include <algorithm>

namespace flotilla::group {
namespace {

constexpr int64_t kSlewDivisor = 10;  // at most a tenth faster or slower than the clock

}  // namespace

void LogTime::heard(int64_t stampUs, int64_t monotonicUs) {
  if (stampUs <= 0) return;
  if (stampUs_ != 0 && stampUs <= carriedOn(monotonicUs)) return;
  stampUs_ = stampUs;
  monotonicUs_ = monotonicUs;
}

void LogTime::rewritten(int64_t stampUs, int64_t monotonicUs) {
  if (stampUs <= 0) return;
  stampUs_ = stampUs;
  monotonicUs_ = monotonicUs;
}

int64_t LogTime::stamp(Now now) {
  if (stampUs_ == 0) {
    stampUs_ = std::max<int64_t>(now.wallUs, 1);
    monotonicUs_ = now.monotonicUs;
    return stampUs_;
  }
  int64_t elapsed = std::max<int64_t>(now.monotonicUs - monotonicUs_, 0);
  int64_t carried = stampUs_ + elapsed;
  int64_t slewMax = elapsed / kSlewDivisor;
  stampUs_ = carried + std::clamp(now.wallUs - carried, -slewMax, slewMax);
  monotonicUs_ = now.monotonicUs;
  return stampUs_;
}

int64_t LogTime::aheadOfWallUs(Now now) const {
  return stampUs_ == 0 ? 0 : carriedOn(now.monotonicUs) - now.wallUs;
}

int64_t LogTime::carriedOn(int64_t monotonicUs) const {
  return stampUs_ + std::max<int64_t>(monotonicUs - monotonicUs_, 0);
}

}  // namespace flotilla::group
