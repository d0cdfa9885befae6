// Lanes that have something to do, on their way to the workers.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "host/runtime/apply_pool.h"

namespace flotilla::runtime {

// One at a time, or within a Span together: a frame of a peer, or the end of a write, has work for
// dozens of lanes, and a worker that is woken for each is asleep again before the next.
//
// Owner:  Host's parts; outlives its replicas.
// Thread: their loop's.
// Errors: none.
class ReadyLanes {
public:
  static constexpr std::size_t kTogetherMax = 16;  // then they go, for cores may be idle

  explicit ReadyLanes(ApplyPool& pool) : pool_(pool) {}
  ReadyLanes(const ReadyLanes&) = delete;
  ReadyLanes& operator=(const ReadyLanes&) = delete;

  // What is scheduled while one lives goes at its end at the latest.
  class Span {
  public:
    explicit Span(ReadyLanes& lanes) : lanes_(lanes) { ++lanes_.spans_; }
    ~Span() {
      if (--lanes_.spans_ == 0) lanes_.give();
    }
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

  private:
    ReadyLanes& lanes_;
  };

  // As ApplyPool's.
  void schedule(std::shared_ptr<Lane> lane, Hurry hurry = Hurry::some) {
    lanes_.push_back({std::move(lane), hurry});
    if (spans_ == 0 || lanes_.size() == kTogetherMax) give();
  }
  void hurry(const std::shared_ptr<Lane>& lane) {
    give();
    pool_.hurry(lane);
  }
  ApplyPool& pool() { return pool_; }

private:
  void give() {
    if (!lanes_.empty()) pool_.schedule(lanes_);
    lanes_.clear();
  }

  ApplyPool& pool_;
  std::vector<ApplyPool::Ready> lanes_;
  std::size_t spans_ = 0;
};

}  // namespace flotilla::runtime
