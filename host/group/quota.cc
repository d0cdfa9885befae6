// What a group may take of its host, and what it takes.
#include "host/group/quota.h"

#include <algorithm>
#include <array>

namespace flotilla::group {
namespace {

constexpr uint64_t kTenths = 10;

// Below this a group that was full takes commands again.
uint64_t roomAgainBelow(uint64_t bytesMax) {
  return bytesMax / kTenths * (kTenths - 1);
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
  if (quotas == quotas_) return;
  quotas_ = quotas;
  full_ = false;
  tired_ = false;
  left_ = room();
  flowedUs_ = nowUs;
  used(memoryBytes_, 0, nowUs);
}

void QuotaGauge::used(uint64_t memoryBytes, int64_t applyUs, int64_t nowUs) {
  memoryBytes_ = memoryBytes;
  uint64_t bytesMax = quotas_.memoryBytesMax;
  if (bytesMax != 0) {
    full_ = memoryBytes >= (full_ ? roomAgainBelow(bytesMax) : bytesMax);
  }
  if (quotas_.applyTimePercentMax == 0) return;
  flow(nowUs);
  left_ = std::max(left_ - applyUs * 100, -room());
  if (left_ <= 0) tired_ = true;
}

void QuotaGauge::flow(int64_t nowUs) {
  int64_t elapsedUs = std::clamp<int64_t>(nowUs - flowedUs_, 0, 2 * kWindowUs);
  flowedUs_ = nowUs;
  left_ = std::min(left_ + elapsedUs * quotas_.applyTimePercentMax, room());
}

bool QuotaGauge::isTired(int64_t nowUs) {
  if (!tired_) return false;
  flow(nowUs);
  tired_ = left_ < room() / static_cast<int64_t>(kTenths);
  return tired_;
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

std::string QuotaGauge::refuses() const {
  std::string text;
  if (full_) {
    text = "memory " + sizeText(memoryBytes_) + " of " + sizeText(quotas_.memoryBytesMax) +
           ": commands refused";
  }
  if (!tired_) return text;
  if (!text.empty()) text += "; ";
  return text + "apply time over " + std::to_string(quotas_.applyTimePercentMax) +
         " % of a thread: calls refused";
}

}  // namespace flotilla::group
