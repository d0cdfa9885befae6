// Lanes go to the workers together within a span, and at once outside of one.
#include "host/runtime/ready_lanes.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace flotilla::runtime {
namespace {

class CountingLane final : public Lane {
public:
  void work() override { ++works; }
  std::atomic<int> works{0};
};

// A pool that nobody works in, as long as this lives.
struct Held {
  explicit Held(ApplyPool::Names names = {"apply", nullptr}) : pool(1, names) {
    hold(prompt, Hurry::some);
  }
  ~Held() { finish(); }
  void holdPatient() { hold(patient, Hurry::none); }
  void letPrompt() { open(prompt); }
  // All that was scheduled is done when this returns.
  void finish() {
    open(prompt);
    open(patient);
    CHECK(pool.stop(20'000'000));
  }

  struct Gate {
    std::atomic<bool> inside{false};
    std::atomic<bool> open{false};
  };
  class GateLane final : public Lane {
  public:
    explicit GateLane(std::shared_ptr<Gate> gate) : gate_(std::move(gate)) {}
    void work() override {
      gate_->inside = true;
      gate_->open.wait(false);
    }

  private:
    std::shared_ptr<Gate> gate_;
  };

  void hold(const std::shared_ptr<Gate>& gate, Hurry hurry) {
    pool.schedule(std::make_shared<GateLane>(gate), hurry);
    while (!gate->inside) std::this_thread::yield();
  }
  static void open(const std::shared_ptr<Gate>& gate) {
    gate->open = true;
    gate->open.notify_all();
  }

  std::shared_ptr<Gate> prompt = std::make_shared<Gate>();
  std::shared_ptr<Gate> patient = std::make_shared<Gate>();
  ApplyPool pool;
  ReadyLanes ready{pool};
};

}  // namespace

TEST_CASE("runtime/ready_lanes: outside of a span each goes at once") {
  Held held;
  held.ready.schedule(std::make_shared<CountingLane>());
  CHECK(held.pool.queued() == 1);
  held.ready.schedule(std::make_shared<CountingLane>());
  CHECK(held.pool.queued() == 2);
}

TEST_CASE("runtime/ready_lanes: within a span they go at its end, each once") {
  Held held;
  std::vector<std::shared_ptr<CountingLane>> lanes;
  for (int i = 0; i < 5; ++i) lanes.push_back(std::make_shared<CountingLane>());
  {
    ReadyLanes::Span outer(held.ready);
    {
      ReadyLanes::Span inner(held.ready);
      for (auto& lane : lanes) held.ready.schedule(lane);
      held.ready.schedule(lanes[0], Hurry::none);
    }
    CHECK(held.pool.queued() == 0);
  }
  CHECK(held.pool.queued() == lanes.size());
  held.finish();
  for (auto& lane : lanes) CHECK(lane->works == 1);
}

TEST_CASE("runtime/ready_lanes: many do not wait for the span's end") {
  Held held;
  ReadyLanes::Span span(held.ready);
  for (size_t i = 1; i <= 2 * ReadyLanes::kTogetherMax + 3; ++i) {
    held.ready.schedule(std::make_shared<CountingLane>());
    CHECK(held.pool.queued() == i / ReadyLanes::kTogetherMax * ReadyLanes::kTogetherMax);
  }
}

TEST_CASE("runtime/ready_lanes: a lane that is hurried takes along those gathered before") {
  Held held({"apply", "apply patient"});
  ReadyLanes::Span span(held.ready);
  auto lane = std::make_shared<CountingLane>();
  held.holdPatient();
  held.ready.schedule(lane, Hurry::none);
  held.ready.schedule(std::make_shared<CountingLane>(), Hurry::none);
  held.ready.hurry(lane);
  CHECK(held.pool.queued() == 2);
  // Its patient worker does not come back: a prompt one does what was hurried, and not the other.
  held.letPrompt();
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (lane->works == 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  CHECK(lane->works == 1);
  CHECK(held.pool.queued() == 1);
}

}  // namespace flotilla::runtime
