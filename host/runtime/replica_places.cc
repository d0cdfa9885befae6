// Where a replica's machine begins: a snapshot file, or the place on disk that it has kept.
#include <algorithm>
#include <string>
#include <vector>

#include "host/base/log.h"
#include "host/runtime/io_thread.h"
#include "host/runtime/machine_lane.h"
#include "host/runtime/replica.h"

namespace flotilla::runtime {

// The newest snapshot file that the log goes on from. The record of one lags behind its file, so
// the files are asked; whether its content is whole shows when it is loaded.
std::optional<raft::LogPoint> Replica::newestSnapshot(const raft::LogShape& shape) const {
  std::optional<raft::LogPoint> newest;
  auto files = room_.snapshots().list(record_->key);
  if (!files) return newest;
  for (const store::SnapshotFile& each : *files) {
    bool fits =
        each.point.index >= shape.base().index && shape.termAt(each.point.index) == each.point.term;
    if (fits && (!newest || each.point.index >= newest->index)) newest = each.point;
  }
  return newest;
}

// What a machine on disk has kept: the newest that the log goes on from, of which there is one,
// unless something was lost. Then the newest of all, and the group says what is wrong: a place
// beyond the log's end is one whose log has lost what it promised.
void Replica::findPlace(group::Recovered& state, LaneOrder& order) {
  const raft::LogShape& shape = state.state.shape;
  store::MachinePlaces& places = room_.machines();
  auto stop = [&](const Fault& why) {
    state.onDisk = true;
    state.machineAt = shape.base();
    std::string what =
        why.code == ErrorCode::diskFull
            ? "it goes on once there is room"
            : "if the disk is well, make this replica anew: " + record_->rebuildCommand();
    state.machineFault = Fault{why.code, why.text + "; " + what, ""};
    order.fault = state.machineFault;
  };
  auto generations = places.generations(record_->key);
  if (!generations && order.waits) return;
  if (!generations) return stop(generations.fault());
  if (generations->empty()) return;
  // A fresh place must not have the number of one that is here.
  state.state.generation = std::max(state.state.generation, generations->back());
  if (order.waits) return;
  std::vector<uint64_t> useless;
  std::optional<Fault> damage;
  uint64_t damaged = 0;
  bool follows = false;
  for (auto each = generations->rbegin(); each != generations->rend() && !follows; ++each) {
    auto store = places.find(record_->key, *each);
    if (!store) {
      useless.push_back(*each);
      if (store.fault().code == ErrorCode::unavailable) continue;
      if (damage) continue;
      damage = store.fault();
      damaged = *each;
      continue;
    }
    raft::LogPoint at = (*store)->kept().at;
    follows = at.index != 0 && at.index >= shape.base().index && shape.termAt(at.index) == at.term;
    if (at.index == 0 || (!follows && order.kept)) {
      useless.push_back(*each);
      continue;
    }
    if (order.kept) useless.push_back(*order.place);
    order.kept = std::move(*store);
    order.place = *each;
    state.machineAt = at;
  }
  state.onDisk = order.kept != nullptr;
  if (damage && (!order.kept || state.machineAt.index < shape.base().index)) {
    order.kept.reset();  // one of long ago
    order.place = damaged;
    stop(*damage);
  } else if (damage) {
    base::logWarn("group " + record_->name + ": " + damage->text + "; the one before it is whole");
  }
  if (state.onDisk) state.snapshot = newestSnapshot(shape).value_or(raft::LogPoint{});
  if (!follows || useless.empty()) return;
  around_.files.post([&places, key = record_->key, useless]() {
    for (uint64_t generation : useless) {
      if (auto removed = places.remove(key, generation); !removed) {
        base::logWarn("machines: " + removed.fault().text);
      }
    }
  });
}

// A place that another has followed stays until a crash would bring back the log that goes on from
// that one.
void Replica::sweepPlaces() {
  uint64_t place = lane_->place();
  bool settled = record_->soundness == group::Soundness::sound &&
                 group_->soundness() == group::Soundness::sound;
  if (place == MachineLane::kNoPlace || place <= sweptBelow_ || !settled) return;
  if (group_->generationOnDisk() < place) return;
  sweptBelow_ = place;
  around_.files.post([&places = room_.machines(), key = record_->key, place]() {
    if (auto removed = places.removeBelow(key, place); !removed) {
      base::logWarn("machines: " + removed.fault().text);
    }
  });
}

}  // namespace flotilla::runtime
