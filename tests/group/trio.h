// A few replicas of one group in one place: shipped Groups and Appliers over ports in memory.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/group/applier.h"
#include "host/group/group.h"
#include "tests/group/map_machine.h"

namespace flotilla::test {

class Trio;

// One host's part: everything that outlives a Group there.
struct Seat final : group::Disk, group::Outbox, group::Machines, group::Callers, group::Clock {
  Seat(Trio& all, raft::ReplicaId self) : trio(all), id(self) {}

  // Disk
  void write(group::ReplicaKey, group::DiskWrite write) override;
  void fetch(group::ReplicaKey, group::DiskFetch fetch) override;
  // Outbox
  void send(group::PeerMessage&& message) override;
  void sendSnapshot(group::ReplicaKey, raft::Message head) override;
  // Machines
  void apply(group::ApplyRequest request) override;
  void query(group::QueryRequest request) override;
  void snapshot(group::SnapshotRequest request) override;
  void sync(group::SyncRequest request) override;
  void install(group::InstallRequest request) override;
  void rest() override { applier->rest(); }
  void hurry() override { ++hurries; }
  // Callers
  void answer(group::CallId call, group::Outcome outcome) override;
  // Clock
  int64_t monotonicUs() const override;
  int64_t wallUs() const override;

  struct Stored {
    group::ReplicaState state;
    std::map<raft::Index, group::LogEntry> entries;
  };
  static void put(const group::DiskWrite& write, Stored& to);
  bool syncOnce();  // all that was written is safe now; false: there was nothing
  bool answerFetch();
  bool workOnce();    // one request of the machine
  bool asideOnce();   // one query that is asked beside
  bool recordOnce();  // what is known of its machine is kept; false: it was already

  Trio& trio;
  raft::ReplicaId id;
  std::unique_ptr<group::Group> group;
  std::unique_ptr<group::Applier> applier;

  Stored written;
  Stored safe;
  std::deque<group::DiskWrite> unsynced;
  bool syncs = true;  // false: writes wait
  std::deque<group::DiskFetch> fetches;
  size_t fetchCount = 0;
  std::optional<Fault> fetchFault;
  std::deque<std::function<void()>> work;
  group::ApplyRequest lastApply;  // without its entries
  group::SnapshotRequest lastSnapshot;
  int hurries = 0;
  std::deque<group::AsideQuery> asides;
  bool asidesMove = true;                                // false: they take their time
  group::Soundness soundness = group::Soundness::sound;  // as its record has it
  raft::Index unsoundAt = 0;
  std::string lacks;                         // a plugin whose file is not here
  bool saves = true;                         // false: there is no room for snapshots
  bool works = true;                         // false: the machine stands still
  ErrorCode refusesLoads = ErrorCode::none;  // of snapshots
  bool records = true;                       // false: what is begun to be recorded takes its time
  std::optional<raft::Index> kept;           // of its snapshots, once it is recorded
  std::map<raft::Index, std::string> files;  // snapshots
  std::map<group::CallId, group::Outcome> answers;
  std::map<group::CallId, int> answerCounts;
};

class Trio {
public:
  // The first `founders` replicas are its voters; `joining` more are not members yet.
  explicit Trio(size_t founders, group::GroupOptions options = {}, size_t joining = 0);

  void start(raft::ReplicaId id);
  void crash(raft::ReplicaId id);  // what was not synced is lost
  // Everything moves until nothing does.
  void settle();
  void tickAll(size_t times);  // and settles after each
  // Ticks until some replica that is not cut off leads.
  raft::ReplicaId elect();
  raft::ReplicaId leaderNow() const;  // 0: none
  void cut(raft::ReplicaId id) { cutOff[id] = true; }
  void mend(raft::ReplicaId id) { cutOff[id] = false; }

  Seat& at(raft::ReplicaId id) { return *seats.at(id - 1); }
  group::Group& groupAt(raft::ReplicaId id) { return *at(id).group; }
  MapMachine& machineAt(raft::ReplicaId id);

  group::CallId call();  // a new id
  // Proposes there and waits for the answer; fails the test where none comes.
  group::Outcome run(raft::ReplicaId id, group::Call call);
  group::Outcome ask(raft::ReplicaId id, group::Call call, group::Freshness freshness = {});

  group::GroupOptions options;
  group::TailRoom tails;  // as of one loop; outlives the groups
  std::vector<std::unique_ptr<Seat>> seats;
  std::map<raft::ReplicaId, bool> cutOff;
  std::deque<group::PeerMessage> wire;
  std::function<bool(const group::PeerMessage&)> lose;  // true: this message is lost
  std::function<void(group::PeerMessage&)> spoil;
  std::vector<group::PeerMessage> sent;  // every append with entries
  struct Stream {
    raft::ReplicaId from = 0;
    raft::Message head;
  };
  std::deque<Stream> streams;
  size_t streamCount = 0;
  bool streamsMove = true;  // false: snapshots stay on their way
  int64_t timeUs = 1'700'000'000'000'000;
  uint64_t ticks = 0;
  bool leavesTicksOut = false;  // where groups say that they can spare them
  size_t ticksLeftOut = 0;
  int64_t wallAheadUs = 0;  // of the other clock

private:
  bool deliver();
  bool stream();
  group::StepRoom steps_;  // as of one loop
  group::CallId lastCall_ = 0;
  uint64_t starts_ = 0;
};

}  // namespace flotilla::test
