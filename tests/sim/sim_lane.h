// A replica's machine at work in a simulated world: one request after another, with latency.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "host/base/prng.h"
#include "host/group/applier.h"
#include "host/group/group.h"
#include "host/runtime/late_applied.h"
#include "tests/sim/events.h"
#include "tests/sim/judge.h"
#include "tests/sim/options.h"
#include "tests/sim/sim_disk.h"

namespace flotilla::sim {

// Does what runtime's MachineLane does: loads the newest snapshot, carries requests out in order,
// saves captures beside later applies. Answers reach the group some time after the work was done.
//
// Owner:  its host's replica; gone with the process.
// Thread: one.
// Errors: a machine that cannot be loaded is an Applied with a fault.
class SimLane final : public group::Machines {
public:
  // Runs an act on the group's loop after so long, if the replica is still there.
  using Post = std::function<void(int64_t delayUs, std::function<void(group::Group&)>)>;

  struct Around {
    Events& events;
    base::Prng& dice;
    const Options& options;
    Judge& judge;
    Report& report;
    SimDisk& disk;
    Post post;
    std::function<bool()> breaksNow;
    std::function<bool()> straysNow;
  };

  // Where it begins. `waits`: for a peer's snapshot, so that no machine is made before it. `place`:
  // the generation of what a machine on disk has kept.
  struct Begins {
    raft::LogPoint machineAt;
    uint64_t generation = 0;
    bool waits = false;
    std::optional<uint64_t> place;
  };
  SimLane(group::ReplicaKey key, Begins begins, Around around);
  SimLane(const SimLane&) = delete;
  SimLane& operator=(const SimLane&) = delete;

  void apply(group::ApplyRequest request) override;
  void query(group::QueryRequest request) override { push(std::move(request)); }
  void snapshot(group::SnapshotRequest request) override { push(std::move(request)); }
  void sync(group::SyncRequest request) override { push(request); }
  void install(group::InstallRequest request) override { push(std::move(request)); }
  void rest() override;
  void hurry() override;

  // As runtime's Replica::takeLate, before the group is given anything.
  void giveLate(group::Group& group);

  group::Applier& applier() { return applier_; }
  bool dead() const { return dead_.has_value(); }
  std::optional<uint64_t> place() const { return place_; }

private:
  struct Begin {};
  using Job = std::variant<Begin, group::ApplyRequest, group::QueryRequest, group::SnapshotRequest,
                           group::SyncRequest, group::InstallRequest>;

  void push(Job job, bool patient = false);
  void workLater();
  void work(const Job& job);
  void doBegin();
  void doApply(const group::ApplyRequest& request);
  void doQuery(const group::QueryRequest& request);
  std::optional<group::AsideQuery> asideOf(const group::QueryRequest& request);
  void askBeside(group::AsideQuery query);
  void doSnapshot(const group::SnapshotRequest& request);
  void doSync(const group::SyncRequest& request);
  Result<std::shared_ptr<group::MachineStore>> makePlace();
  Result<void> resume();
  Result<void> goBack();
  void sayIfStopped();
  void doInstall(const group::InstallRequest& request);
  Result<void> loadFrom(raft::LogPoint point);
  void answer(std::function<void(group::Group&)> act);
  void answerApplied(const group::Applied& applied, bool wanted);
  void answerDead();
  int64_t some(int64_t usMax);

  group::ReplicaKey key_;
  raft::LogPoint machineAt_;
  uint64_t generation_;
  Around around_;
  group::Applier applier_;
  std::optional<uint64_t> place_;
  uint64_t fresh_ = 0;  // generation of the next place
  bool freshMade_ = false;
  std::deque<Job> jobs_;
  bool busy_ = false;     // the first job has its turn at a certain time
  bool patient_ = false;  // which others may put off: all jobs give way
  uint64_t turn_ = 0;
  int64_t lastAnswerUs_ = 0;
  runtime::LateApplied late_;
  std::optional<Fault> dead_;
  group::Position deadAt_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace flotilla::sim
