// A simulated host's snapshot files: sent, received, and let go of once a replica was rebuilt.
#include <utility>

#include "host/group/snapshot.h"
#include "tests/sim/sim_arrival.h"
#include "tests/sim/sim_host.h"
#include "tests/sim/world.h"
#include "tests/support/memory_file.h"

namespace flotilla::sim {
namespace {

constexpr uint32_t kSnapshotTries = 6;

}  // namespace

// A file on its way, with what is left of the sender's patience.
struct SimHost::Sending {
  group::ReplicaKey from;
  uint64_t to = 0;  // host
  raft::Message head;
  SimDisk::File file;
  uint32_t tries = 0;
};

// The file is opened here at once; what has arrived over there stays there, whatever breaks.
void SimHost::sendSnapshot(group::ReplicaKey from, raft::Message head) {
  world_.judge.sendsSnapshot(from, head);
  uint64_t to = world_.hostOf({from.group, head.to});
  SimDisk::Shelf& shelf = disk_.shelf(from);
  auto file = shelf.find(head.after.index);
  bool there = file != shelf.end() && file->second.point == head.after;
  if (to == 0 || !there) {
    raft::SnapshotSent sent{head.to, head.after, false};
    post(0, [this, from, sent]() { snapshotEnded(from, sent); });
    return;
  }
  auto sending = std::make_shared<Sending>();
  *sending = {from, to, std::move(head), file->second, kSnapshotTries};
  sendFile(std::move(sending));
}

void SimHost::sendFile(std::shared_ptr<Sending> sending) {
  int64_t us = 5 * world_.network.delayUs();
  bool breaks =
      !world_.network.passes(id_, sending->to) || !world_.network.passes(id_, sending->to);
  world_.events.in(us, [this, sending = std::move(sending), breaks, boot = boot_]() mutable {
    SimHost& receiver = world_.host(sending->to);
    bool reached = !breaks && boot == boot_ && !world_.network.isCut(id_, sending->to) &&
                   receiver.up() && !receiver.disk().isFull() && !receiver.disk().failed();
    raft::SnapshotSent sent{sending->head.to, sending->head.after, false};
    sent.ok = reached && receiver.takeSnapshot({sending->from.group, sending->head.to},
                                               sending->head, sending->file);
    if (boot != boot_) return;
    if (!sent.ok && sending->tries-- > 0) return sendFile(std::move(sending));
    post(world_.network.delayUs(),
         [this, from = sending->from, sent]() { snapshotEnded(from, sent); });
  });
}

void SimHost::snapshotEnded(group::ReplicaKey from, raft::SnapshotSent sent) {
  Replica* replica = at(from);
  if (replica == nullptr) return;
  replica->group->snapshotSent(sent);
  touch(*replica);
}

bool SimHost::takeSnapshot(group::ReplicaKey key, const raft::Message& head,
                           const SimDisk::File& file) {
  Replica* receiver = at(key);
  if (receiver == nullptr || !(head.force || receiver->group->takesSnapshots())) return false;
  ArrivalRisks risks{world_.dice.below(300), world_.dice.chance(200) ? 200U : 0U};
  ArrivalEnd end = arrive(disk_, key, file, risks, world_.dice, world_.report);
  if (end == ArrivalEnd::refused) {
    world_.judge.fail(nameOf(key), "refuses a snapshot that is sound");
    return false;
  }
  if (end == ArrivalEnd::broke) return false;
  SimDisk::Part& part = disk_.part(key);
  auto bytes = std::make_shared<const std::string>(std::exchange(part.bytes, {}));
  test::MemorySource source(*bytes);
  auto verified = group::verifySnapshot(source);
  if (!verified || verified->point != head.after) {
    world_.judge.fail(nameOf(key), "receives a snapshot that does not verify");
    return false;
  }
  disk_.shelf(key).insert_or_assign(head.after.index,
                                    SimDisk::File{file.point, std::move(bytes), file.astray});
  post(static_cast<int64_t>(world_.dice.below(500)), [this, key, head]() {
    Replica* replica = at(key);
    if (replica == nullptr) return;
    replica->group->snapshotReceived(head);
    touch(*replica);
  });
  return true;
}

// As runtime's Replica::recordChanges: synced some time later, and the files with it.
void SimHost::recordSoundness(Replica& replica) {
  const group::Group& its = *replica.group;
  bool rebuilt = its.isRebuilt();
  if (replica.recording || (its.soundness() == replica.record.soundness && !rebuilt)) return;
  replica.recording = true;
  ReplicaRecord next = replica.record;
  next.soundness = rebuilt ? group::Soundness::sound : its.soundness();
  next.unsoundAt = rebuilt ? 0 : std::max(its.quarantinedAt(), its.rebuildFrom());
  raft::Index kept = its.status().snapshotIndex;
  auto place = replica.lane->place();
  int64_t us = 100 + static_cast<int64_t>(world_.dice.below(5'000));
  world_.events.in(us, [this, next, rebuilt, kept, place, boot = boot_]() {
    if (boot != boot_ || !records_.contains(next.key)) return;
    if (rebuilt && place) forgetPlacesBelow(next.key, *place);
    if (rebuilt) {
      SimDisk::Shelf& shelf = disk_.shelf(next.key);
      std::erase_if(shelf, [kept](const auto& file) { return file.first != kept; });
      const Stored* safe = disk_.safe(next.key);
      // Without one it is the log from its beginning that it was built from.
      bool wholeLog = kept == 0 && (safe == nullptr || safe->state.shape.base().index == 0);
      bool follows = wholeLog || (safe != nullptr && shelf.contains(kept) &&
                                  safe->state.shape.termAt(kept) == shelf.at(kept).point.term);
      if (!follows && !place) {  // else it is its place that the log goes on from
        world_.judge.fail(nameOf(next.key),
                          "forgets its former snapshots, and its log on the disk "
                          "does not go on from the new one");
      }
    }
    records_[next.key] = next;
    post(0, [this, next, rebuilt]() {
      Replica* here = at(next.key);
      if (here == nullptr) return;
      here->recording = false;
      here->record = next;
      if (rebuilt) here->group->forgotten();
      if (rebuilt && here->group->soundness() == group::Soundness::sound) {
        ++world_.report[Count::rebuilds];
      }
      touch(*here);
    });
  });
}

}  // namespace flotilla::sim
