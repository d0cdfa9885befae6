// The threads on which machines run.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

namespace flotilla::runtime {

// Whether somebody waits for what a lane is to do.
enum class Hurry : uint8_t { none, some };

// One replica's row of work: at most one worker is in it at a time.
//
// Owner:  shared by its replica, by ReadyLanes and the pool until it works, and by the worker that
//         is in it, or was.
// Thread: work() on a worker; the rest is the pool's.
// Errors: work() does not throw.
class Lane {
public:
  virtual ~Lane() = default;

  // Does what is there to do, and returns.
  virtual void work() = 0;
  // It is about to work: asks for memory that it will need.
  virtual void prefetch() const {}

private:
  friend class ApplyPool;
  enum class State : uint8_t { idle, queued, working, workingAndQueued };
  // Under the pool's mutex:
  State state_ = State::idle;
  Hurry hurry_ = Hurry::none;  // of the work that is queued
  int64_t sinceUs_ = 0;        // when the worker went in
  bool patiently_ = false;     // it is a patient one
};

// A few workers that take lanes in turn, and as many patient ones for lanes that nobody waits for:
// they leave the cores to all that somebody does wait for. What comes with hurry while a patient
// worker is in the lane waits for the end of its stay. A machine that does not return holds its
// worker; the pool then grows by another of its kind, up to kWorkersMax of each, so that the other
// lanes go on.
//
// Owner:  Host's parts.
// Thread: schedule from any; the rest on the loop.
// Errors: stop() answers false where a worker did not come back: its thread is abandoned, and only
//         the end of the process ends it.
class ApplyPool {
public:
  static constexpr std::size_t kWorkersMax = 8;
  // Of lanes that wait for a patient worker. Where there are more, so much is to be applied that to
  // put it off would only make logs longer and snapshots more frequent.
  static constexpr std::size_t kPatientLanesMax = 16;

  // What its threads are called; a pool without patient ones has no name for them.
  struct Names {
    const char* prompt;
    const char* patient;
  };
  explicit ApplyPool(std::size_t workers, Names names = {"apply", "apply patient"});
  ~ApplyPool();
  ApplyPool(const ApplyPool&) = delete;
  ApplyPool& operator=(const ApplyPool&) = delete;

  // work() will run once more: soon, or, without hurry and while few such lanes wait, when others
  // leave a core. A lane that is queued without hurry can be scheduled again with some.
  void schedule(std::shared_ptr<Lane> lane, Hurry hurry = Hurry::some);
  struct Ready {
    std::shared_ptr<Lane> lane;
    Hurry hurry = Hurry::some;
  };
  void schedule(std::span<Ready> lanes);  // in that order; takes them

  // Whatever it is to do is waited for now.
  void hurry(const std::shared_ptr<Lane>& lane);

  // For how long a worker has been in this lane; 0: none is. Here and below a patient one's time is
  // a tenth of the clock's, for it has a tenth of what the others have.
  int64_t busyUs(const Lane& lane) const;

  // Grows past workers that have been in one lane for longer than `stuckUs`.
  void relieve(int64_t stuckUs);
  // How many workers have been in one lane for longer than that.
  std::size_t stuck(int64_t stuckUs) const;

  // Lanes that wait for a worker.
  std::size_t queued() const;

  // Waits until every worker is home, at most this long.
  bool stop(int64_t waitUs);

private:
  // Shared with the workers, for an abandoned one may outlive the pool.
  struct Shared;
  struct Row;
  struct Idle;
  static int64_t heldUs(const Lane& lane, int64_t now);
  static void workerLoop(std::shared_ptr<Shared> shared, Hurry kind, const char* name);
  const char* nameOf(Hurry kind) const;
  void addWorker(Hurry kind);

  std::shared_ptr<Shared> shared_;
  std::size_t wanted_;
  Names names_;
  std::vector<std::thread> threads_;
};

}  // namespace flotilla::runtime
