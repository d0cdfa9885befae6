// How fast snapshots are saved: slowly enough for those who wait for the same disk and processor.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "host/group/ports.h"

namespace flotilla::runtime {

// Shared by all lanes of a host.
//
// Owner:  Host's parts; outlives the thread that saves.
// Thread: any.
// Errors: none.
struct SavePace {
  explicit SavePace(uint64_t rate) : bytesPerSecond(rate) {}

  const uint64_t bytesPerSecond;   // 0: as fast as it goes
  std::atomic<bool> hurry{false};  // the host stops: as fast as it goes
};

// Waits a little between pieces of what keeps the disk busy; false once the host stops.
inline bool rest(const SavePace& pace) {
  constexpr std::chrono::milliseconds kPause(25);
  if (!pace.hurry.load()) std::this_thread::sleep_for(kPause);
  return !pace.hurry.load();
}

// Passes on to `file`, and sleeps where it is ahead of its time.
//
// Owner:  one save.
// Thread: the one that saves.
// Errors: the file's; `unavailable` once nobody wants it any more.
// Time:   the real clock.
class PacedSink final : public group::SnapshotSink {
public:
  PacedSink(group::SnapshotSink& file, const SavePace& pace, const std::atomic<bool>& unwanted)
      : file_(file), pace_(pace), unwanted_(unwanted), freeAt_(Clock::now()) {}

  Result<void> write(std::string_view piece) override {
    while (!unwanted_.load() && !pace_.hurry.load() && Clock::now() < freeAt_) {
      std::this_thread::sleep_for(std::min<Clock::duration>(freeAt_ - Clock::now(), kLook));
    }
    if (unwanted_.load()) {
      return Fault{ErrorCode::unavailable, "snapshot: its replica is closed", ""};
    }
    if (pace_.bytesPerSecond != 0) {
      auto takes = std::chrono::duration<double>(static_cast<double>(piece.size()) /
                                                 static_cast<double>(pace_.bytesPerSecond));
      freeAt_ = std::max(freeAt_, Clock::now() - kBehindMax) +
                std::chrono::duration_cast<Clock::duration>(takes);
    }
    return file_.write(piece);
  }

private:
  using Clock = std::chrono::steady_clock;
  static constexpr Clock::duration kLook = std::chrono::milliseconds(20);
  static constexpr Clock::duration kBehindMax = std::chrono::milliseconds(20);  // made up for

  group::SnapshotSink& file_;
  const SavePace& pace_;
  const std::atomic<bool>& unwanted_;
  Clock::time_point freeAt_;
};

}  // namespace flotilla::runtime
