// What a group may take of its host, and what it takes.
#include "host/group/quota.h"

#include <algorithm>
#include <array>
#include <utility>

namespace flotilla::group {
namespace {

constexpr uint64_t kTenths = 10;
constexpr int64_t kCall = 1'000'000;  // in millionths
constexpr int64_t kCallsWindowUs = 100'000;

// Below this a group that was full takes commands again.
uint64_t roomAgainBelow(uint64_t bytesMax) {
  return bytesMax / kTenths * (kTenths - 1);
}

int64_t tenthOf(int64_t room) {
  return room / static_cast<int64_t>(kTenths);
}

// 3.4 MiB
std::string sizeText(uint64_t bytes) {
  constexpr std::array kUnits = {"KiB", "MiB", "GiB"};
  size_t unit = 0;
  uint64_t size = 1 << 10;
  while (unit + 1 < kUnits.size() && bytes / size >= 1 << 10) {
    size <<= 10;
    ++unit;
  }
  return std::to_string(bytes / size) + "." + std::to_string(bytes % size * kTenths / size) + " " +
         kUnits[unit];
}

}  // namespace

void QuotaGauge::set(Quotas quotas, int64_t nowUs) {
  Quotas before = std::exchange(quotas_, quotas);
  if (quotas.memoryBytesMax != before.memoryBytesMax) full_ = false;
  if (quotas.applyTimePercentMax != before.applyTimePercentMax) {
    tired_ = false;
    time_ = {timeRoom(), nowUs};
  }
  if (quotas.callsPerSecondMax != before.callsPerSecondMax) {
    overRateUntilUs_ = 0;
    calls_ = {callsRoom(), nowUs};
  }
  used(memoryBytes_, 0, nowUs);
}

void QuotaGauge::used(uint64_t memoryBytes, int64_t applyUs, int64_t nowUs) {
  memoryBytes_ = memoryBytes;
  uint64_t bytesMax = quotas_.memoryBytesMax;
  if (bytesMax != 0) {
    full_ = memoryBytes >= (full_ ? roomAgainBelow(bytesMax) : bytesMax);
  }
  if (quotas_.applyTimePercentMax == 0) return;
  tired_ = isTired(nowUs);
  time_.flow(quotas_.applyTimePercentMax, timeRoom(), nowUs);
  time_.left = std::max(time_.left - applyUs * 100, -timeRoom());
  if (time_.left <= 0) tired_ = true;
}

void QuotaGauge::Bucket::flow(int64_t share, int64_t room, int64_t nowUs) {
  int64_t elapsedUs = std::clamp<int64_t>(nowUs - flowedUs, 0, 2 * kWindowUs);
  flowedUs = nowUs;
  left = std::min(left + elapsedUs * share, room);
}

bool QuotaGauge::isTired(int64_t nowUs) const {
  if (!tired_) return false;
  Bucket now = time_;
  now.flow(quotas_.applyTimePercentMax, timeRoom(), nowUs);
  return now.left < tenthOf(timeRoom());
}

int64_t QuotaGauge::callsRoom() const {
  return std::max(kCallsWindowUs * quotas_.callsPerSecondMax, kCall);
}

bool QuotaGauge::takesCall(int64_t nowUs) {
  if (quotas_.callsPerSecondMax == 0) return true;
  calls_.flow(quotas_.callsPerSecondMax, callsRoom(), nowUs);
  if (calls_.left >= kCall) {
    calls_.left -= kCall;
    return true;
  }
  overRateUntilUs_ = nowUs + kWindowUs;
  return false;
}

std::string QuotaGauge::whyFull() const {
  uint64_t bytesMax = quotas_.memoryBytesMax;
  return "its machine holds " + sizeText(memoryBytes_) + ", and its quota memoryBytesMax is " +
         sizeText(bytesMax) + "; commands are refused until it holds less than " +
         sizeText(roomAgainBelow(bytesMax)) +
         ", but for those that free memory; see flotilla group set";
}

std::string QuotaGauge::whyTired() const {
  return "its machine has used more than " + std::to_string(quotas_.applyTimePercentMax) +
         " % of an apply thread, its quota applyTimePercentMax; try later";
}

std::string QuotaGauge::whyOverRate() const {
  return "more than " + std::to_string(quotas_.callsPerSecondMax) +
         " calls a second, its quota callsPerSecondMax; try later";
}

std::string QuotaGauge::refuses(int64_t nowUs) const {
  std::string text;
  if (full_) {
    text = "memory " + sizeText(memoryBytes_) + " of " + sizeText(quotas_.memoryBytesMax) +
           ": commands refused";
  }
  auto add = [&text](std::string what) {
    if (!text.empty()) text += "; ";
    text += what;
  };
  if (isTired(nowUs)) {
    add("apply time over " + std::to_string(quotas_.applyTimePercentMax) +
        " % of a thread: calls refused");
  }
  if (nowUs < overRateUntilUs_) {
    add("more than " + std::to_string(quotas_.callsPerSecondMax) + " calls a second: some refused");
  }
  return text;
}

}  // namespace flotilla::group
