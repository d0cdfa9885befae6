// Where a replica's machine begins: a snapshot file, or the place on disk that it has kept.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "host/base/log.h"
#include "host/group/place_search.h"
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

// What a machine on disk has kept.
void Replica::findPlace(group::Recovered& state, LaneOrder& order) {
  store::MachinePlaces& places = room_.machines();
  auto generations = places.generations(record_->key);
  if (!generations) {
    if (!order.waits) stopForPlace(generations.fault(), state, order);
    return;
  }
  if (generations->empty()) return;
  // A fresh place must not have the number of one that is here.
  state.state.generation = std::max(state.state.generation, generations->back());
  if (order.waits) return;
  group::PlaceSearch search(state.state.shape);
  for (auto each = generations->rbegin(); each != generations->rend() && !search.ended(); ++each) {
    auto store = places.find(record_->key, *each);
    search.look(*each, store ? Result<raft::LogPoint>((*store)->kept().at) : store.fault());
    if (search.found() == *each) order.kept = std::move(*store);
  }
  order.place = search.found();
  state.machineAt = search.at();
  state.onDisk = order.kept != nullptr;
  if (const Fault* damage = search.stops()) {
    order.kept.reset();  // one of long ago
    order.place = search.damaged();
    stopForPlace(*damage, state, order);
  } else if (const Fault* passed = search.passedOver()) {
    base::logWarn("group " + record_->name + ": " + passed->text +
                  "; it goes on from another one, at " + std::to_string(state.machineAt.index));
  }
  if (state.onDisk) {
    state.snapshot = newestSnapshot(state.state.shape).value_or(raft::LogPoint{});
  }
  forgetPlaces(search.useless());
}

// It begins with a machine that has stopped, and says what to do.
void Replica::stopForPlace(const Fault& why, group::Recovered& state, LaneOrder& order) const {
  state.onDisk = true;
  state.machineAt = state.state.shape.base();
  state.machineFault = record_->advised(why);
  order.fault = state.machineFault;
}

void Replica::forgetPlaces(std::vector<uint64_t> generations) {
  if (generations.empty()) return;
  around_.files.post(
      [&places = room_.machines(), key = record_->key, generations = std::move(generations)]() {
        for (uint64_t generation : generations) {
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

// A snapshot of a machine that another has followed may still be on its way to the disk. Where it
// is to be removed with the others, that waits until it is there.
bool Replica::formerSavesEnded() {
  uint64_t generation = group_->generationOnDisk();
  if (savesEndedFor_ == generation) return true;
  if (std::exchange(savesAskedFor_, generation) == generation) return false;
  around_.saves.post([&inbox = around_.inbox, self = weak_from_this(), generation]() {
    inbox.post([self, generation]() {
      auto here = self.lock();
      if (!here) return;
      here->savesEndedFor_ = generation;
      here->touch();
    });
  });
  return false;
}

}  // namespace flotilla::runtime
