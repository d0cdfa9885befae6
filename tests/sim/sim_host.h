// One host of a simulated world: its disk and clocks, its process, the replicas in it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "host/group/group.h"
#include "host/group/sleepers.h"
#include "host/group/tick_calendar.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_lane.h"

namespace flotilla::sim {

class World;

// What a host's meta/ knows of a replica, whether its process runs or not.
struct ReplicaRecord {
  group::ReplicaKey key;
  raft::Configuration initial;  // no voters: it joins a group that exists
  group::Soundness soundness = group::Soundness::sound;
  raft::Index unsoundAt = 0;
};

// Owner:  World.
// Thread: one.
// Errors: none; what its disk fails at stops its process.
class SimHost final : private DiskListener, private group::Outbox, private group::Callers {
public:
  using Answer = std::function<void(const group::Outcome&)>;

  SimHost(World& world, uint64_t id, uint32_t ratePermille, int64_t wallUs);
  ~SimHost() override;

  uint64_t id() const { return id_; }
  bool up() const { return up_; }
  bool paused() const { return paused_; }
  SimDisk& disk() { return disk_; }
  SimClock& clock() { return clock_; }

  void create(ReplicaRecord record);
  void wipe(group::ReplicaKey key);
  const std::map<group::ReplicaKey, ReplicaRecord>& records() const { return records_; }
  // The replica of that group here, or of that key; null where there is none or the host is down.
  group::Group* find(uint64_t group);
  group::Group* find(group::ReplicaKey key);
  SimLane* lane(group::ReplicaKey key);

  void start();
  void crash();
  void loseDisk();  // with the process: what comes back knows of no replica
  void pause();
  void resume();  // all ticks that are due, then what has gathered
  void receive(group::PeerMessage message);
  // A snapshot's file begins to arrive, or goes on. True once it has arrived whole.
  bool takeSnapshot(group::ReplicaKey key, const raft::Message& head, const SimDisk::File& file);
  void peerDown(uint64_t host);
  void peerBack(uint64_t host);
  void heardBeat(uint64_t host, group::Beat beat);

  // Runs on the group's loop as soon as the process runs; never, if it ends before.
  void post(int64_t delayUs, Events::Act act);
  void onGroup(uint64_t group, const std::function<void(group::Group&)>& act);
  // A caller here: how it ends is told once, unless the process ends.
  group::CallId expect(Answer answer);
  size_t callsWaiting() const { return calls_.size(); }

private:
  static constexpr size_t kBacklogMax = 20'000;  // while paused; beyond it things are lost

  struct Replica {
    ReplicaRecord record;
    std::unique_ptr<SimLane> lane;
    std::unique_ptr<group::Group> group;
    group::TickPlace tickPlace;
    bool marked = false;
    bool slept = false;  // at the end of its last turn
    bool recording = false;
  };

  // DiskListener
  void persisted(group::ReplicaKey replica, raft::WriteId write) override;
  void fetched(group::ReplicaKey replica, group::Fetched fetched) override;
  void volumeFull(bool full) override;
  void diskFailed() override;
  // Outbox
  void send(group::PeerMessage&& message) override;
  void sendSnapshot(group::ReplicaKey from, raft::Message head) override;
  // Callers
  void answer(group::CallId call, group::Outcome outcome) override;

  Replica* at(group::ReplicaKey key);
  group::Sleeper sleeperOf(const Replica& replica) const;
  void open(const ReplicaRecord& record);
  void touch(Replica& replica);
  void flush();
  void recordSoundness(Replica& replica);
  std::optional<uint64_t> findPlace(group::ReplicaKey key, group::Recovered& recovered);
  void sweepPlaces(const Replica& replica);
  void forgetPlacesBelow(group::ReplicaKey key, uint64_t place);
  void tickLater();
  void tickAll();
  void tick(Replica& replica);
  void planTick(Replica& replica);
  void tickSleepers();
  bool isFirst(uint64_t group) const;
  struct Sending;
  void sendFile(std::shared_ptr<Sending> sending);
  void snapshotEnded(group::ReplicaKey from, raft::SnapshotSent sent);

  World& world_;
  uint64_t id_;
  SimClock clock_;
  group::StepRoom steps_;  // of this host's groups, as on a loop
  group::TailRoom tails_;
  SimDisk disk_;
  // What groups write passes the judge on its way to the disk.
  class JudgedDisk;
  std::unique_ptr<JudgedDisk> judgedDisk_;
  std::map<group::ReplicaKey, ReplicaRecord> records_;

  bool up_ = false;
  bool paused_ = false;
  uint64_t boot_ = 0;
  std::map<group::ReplicaKey, Replica> replicas_;
  std::vector<group::ReplicaKey> marked_;
  bool flushDue_ = false;
  uint32_t ticksDue_ = 0;
  uint64_t ticks_ = 0;
  group::TickCalendar<Replica*> calendar_;  // where ticks are left out
  group::Sleepers sleepers_;
  std::deque<Events::Act> backlog_;
  std::map<group::CallId, Answer> calls_;
};

}  // namespace flotilla::sim
