// The load: calls that are begun, timed and judged.
#include "tests/bench/load.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <utility>

#include <kj/debug.h>

namespace flotilla::bench {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr uint32_t kOpenLoopMax = 1'000'000;    // calls under way in an open loop
constexpr int64_t kPassNs = 500'000;            // of an open loop, then answers are read
constexpr int64_t kBehindNsMax = kNsPerSecond;  // a call that is later is not made
constexpr uint32_t kMadeALook = 16;             // calls between two looks at the clock
constexpr uint32_t kSampleMax = 2'000;          // keys that are read back

int64_t nowNs(clockid_t clock = CLOCK_MONOTONIC) {
  timespec time{};
  clock_gettime(clock, &time);
  return time.tv_sec * kNsPerSecond + time.tv_nsec;
}

int64_t nsOf(double seconds) {
  return static_cast<int64_t>(seconds * static_cast<double>(kNsPerSecond));
}

// In no order that groups or keys have, so that each road carries some calls of each.
uint64_t roadOf(uint64_t number) {
  return (number * 0x9e3779b97f4a7c15ULL) >> 32;
}

// "key-0000123", without a memory of its own.
class KeyText {
public:
  explicit KeyText(uint32_t key) {
    std::array<char, 12> digits{};
    auto end = std::to_chars(digits.begin(), digits.end(), key).ptr;
    auto count = static_cast<size_t>(end - digits.begin());
    size_t zeros = count < kDigits ? kDigits - count : 0;
    std::fill_n(text_.begin() + 4, zeros, '0');
    std::copy(digits.begin(), end, text_.begin() + 4 + zeros);
    size_ = 4 + zeros + count;
  }
  std::string_view view() const { return {text_.data(), size_}; }

private:
  static constexpr size_t kDigits = 7;
  std::array<char, 24> text_{'k', 'e', 'y', '-'};  // ends with a zero, as Text does
  size_t size_ = 0;
};

}  // namespace

Load::Load(const Options& options, kj::Timer& timer)
    : options_(options),
      timer_(timer),
      mixed_(options.op == "mixed"),
      puts_(options.op == "put"),
      written_(std::max(1U, options.keys / kSampleMax)),
      value_(options.valueBytes, 0) {}

Load::~Load() noexcept(false) = default;

// Half of the calls of a mixed load, in an order that no pattern of keys meets.
bool Load::nextIsPut() {
  if (!mixed_) return puts_;
  random_ = random_ * 6364136223846793005ULL + 1442695040888963407ULL;
  return (random_ >> 63) == 0;
}

void Load::begin(int64_t dueNs) {
  uint64_t number = begun_++;
  Call call{.dueNs = dueNs, .key = {}, .put = 0};
  if (phase_ == Phase::verifying) {
    call.key = toVerify_[number];
  } else {
    call.key = nextKey(number);
    if (phase_ == Phase::filling || nextIsPut()) call.put = ++lastPut_;
  }
  ++underway_;
  start(call, *roads_[roadOf(number) % roads_.size()]);
}

KeyId Load::nextKey(uint64_t number) {
  KeyId key;
  key.group = static_cast<uint32_t>(number % options_.groups);
  uint64_t turn = number / options_.groups;
  if (phase_ == Phase::loading && options_.stay) {
    key.group = staysWith_.value_or(key.group);
    turn = had_[key.group]++;
  }
  key.key = static_cast<uint32_t>(turn % options_.keysEach());
  return key;
}

void Load::start(const Call& call, Road& road) {
  KeyText key(call.key.key);
  if (call.put == 0) return road.get(call, key.view());
  fillValue(call.key, call.put, value_.data(), value_.size());
  written_.began(call.key, call.put);
  road.put(call, key.view(), value_);
}

void Load::ended(const Call& call, const Ended& end) {
  KJ_ASSERT(underway_ != 0, "more calls ended than were begun");
  int64_t now = nowNs();
  if (phase_ == Phase::verifying) {
    judge(call, end);
  } else {
    account(call, end, now);
  }
  --underway_;
  staysWith_ = call.key.group;
  beginMore(now);
  staysWith_.reset();
  if (ending_ && underway_ == 0 && drained_.get() != nullptr) drained_->fulfill();
}

void Load::account(const Call& call, const Ended& end, int64_t now) {
  if (call.put != 0 && end.fault == nullptr) written_.answered(call.key, call.put);
  bool measured = phase_ == Phase::filling || (call.dueNs >= fromNs_ && call.dueNs < untilNs_);
  bool other = call.put == 0 && (!end.found || end.value.size() != options_.valueBytes);
  if (end.fault != nullptr || other) {
    if (!measured) return;
    std::string code = end.fault == nullptr ? "otherValue" : std::string(nameOf(end.fault->code));
    ++seen_.errors[code];
    ++second_.errors[code];
    return;
  }
  if (now >= fromNs_ && now < untilNs_) {
    ++seen_.done;
    ++second_.done;
  }
  if (!measured) return;
  auto us = static_cast<uint64_t>(std::max<int64_t>(now - call.dueNs, 0) / 1000);
  seen_.latency.add(us);
  second_.latency.add(us);
}

void Load::judge(const Call& call, const Ended& end) {
  ++verdict_.read;
  bool right = end.fault == nullptr && end.found && end.value.size() == options_.valueBytes &&
               written_.mayBe(call.key, end.value);
  if (right) return;
  if (verdict_.wrong++ == 0) {
    verdict_.example = options_.groupName(call.key.group) + " " +
                       std::string(KeyText(call.key.key).view()) + ": " +
                       (end.fault != nullptr ? end.fault->text
                        : !end.found         ? "lost"
                                             : "holds what was not written last");
  }
}

// Closed loop: as many as there may be, for as long as there are any, due now.
void Load::beginMore(int64_t now) {
  while (underway_ < options_.inFlight && !ending_) {
    switch (phase_) {
      case Phase::idle:
        return;
      case Phase::filling:
        if (begun_ == uint64_t{options_.keysEach()} * options_.groups) ending_ = true;
        break;
      case Phase::verifying:
        if (begun_ == toVerify_.size()) ending_ = true;
        break;
      case Phase::loading:
        if (options_.rate != 0) return;
        break;
    }
    if (!ending_) begin(now);
  }
}

kj::Promise<void> Load::drained() {
  ending_ = true;
  if (underway_ == 0) return kj::READY_NOW;
  auto pair = kj::newPromiseAndFulfiller<void>();
  drained_ = kj::mv(pair.fulfiller);
  return kj::mv(pair.promise);
}

kj::Promise<void> Load::fill() {
  phase_ = Phase::filling;
  ending_ = false;
  begun_ = 0;
  auto pair = kj::newPromiseAndFulfiller<void>();
  drained_ = kj::mv(pair.fulfiller);
  beginMore(nowNs());
  return kj::mv(pair.promise);
}

kj::Promise<void> Load::run(std::function<void(const Seen&)> everySecond) {
  everySecond_ = std::move(everySecond);
  phase_ = Phase::loading;
  ending_ = false;
  begun_ = 0;
  had_.assign(options_.groups, 0);
  seen_ = Seen{};
  fromNs_ = nowNs() + nsOf(options_.warmupSeconds);
  untilNs_ = fromNs_ + nsOf(options_.seconds);
  beginMore(nowNs());
  auto measured = timer_.afterDelay(nsOf(options_.warmupSeconds) * kj::NANOSECONDS)
                      .then([this]() {
                        seen_.cpuSeconds = -static_cast<double>(nowNs(CLOCK_PROCESS_CPUTIME_ID));
                        return timer_.afterDelay((untilNs_ - nowNs()) * kj::NANOSECONDS);
                      })
                      .then([this]() {
                        seen_.cpuSeconds += static_cast<double>(nowNs(CLOCK_PROCESS_CPUTIME_ID));
                        seen_.cpuSeconds /= static_cast<double>(kNsPerSecond);
                        seen_.seconds = options_.seconds;
                      });
  if (options_.rate != 0) measured = measured.exclusiveJoin(pace());
  return measured.exclusiveJoin(tellEverySecond()).then([this]() {
    // What became of the last calls belongs to what was measured.
    return drained();
  });
}

// Begins what is due. Timers are late by up to some milliseconds; a call's time is not. A pass is
// short, so that answers are read between two of them; what this process cannot make in time is
// not made at all, and not forgotten.
kj::Promise<void> Load::pace() {
  int64_t origin = fromNs_ - nsOf(options_.warmupSeconds);
  auto rate = static_cast<double>(options_.rate);
  auto dueOf = [&](uint64_t number) { return origin + nsOf(static_cast<double>(number) / rate); };
  int64_t passBegan = nowNs();
  int64_t now = std::min(passBegan, untilNs_);
  auto behind =
      static_cast<double>(now - kBehindNsMax - origin) / static_cast<double>(kNsPerSecond);
  auto tooLate = static_cast<uint64_t>(std::max(behind * rate, 0.0));
  if (tooLate > begun_) notMade(tooLate - begun_);
  for (uint32_t made = 0; dueOf(begun_) <= now; ++made) {
    if (made % kMadeALook == 0 && nowNs() - passBegan > kPassNs) break;
    if (underway_ < kOpenLoopMax) {
      begin(dueOf(begun_));
    } else {
      notMade(1);
    }
  }
  return timer_.afterDelay(1 * kj::MILLISECONDS).then([this]() { return pace(); });
}

void Load::notMade(uint64_t count) {
  begun_ += count;
  seen_.errors["notMade"] += count;
  second_.errors["notMade"] += count;
}

kj::Promise<void> Load::tellEverySecond() {
  return timer_.afterDelay(1 * kj::SECONDS).then([this]() {
    if (nowNs() > fromNs_ && everySecond_) everySecond_(second_);
    second_ = Seen{};
    return tellEverySecond();
  });
}

kj::Promise<Load::Verdict> Load::verify() {
  toVerify_ = written_.keys();
  phase_ = Phase::verifying;
  ending_ = false;
  begun_ = 0;
  verdict_ = {};
  auto pair = kj::newPromiseAndFulfiller<void>();
  drained_ = kj::mv(pair.fulfiller);
  beginMore(nowNs());
  if (underway_ == 0) drained_->fulfill();
  return pair.promise.then([this]() { return verdict_; });
}

}  // namespace flotilla::bench
