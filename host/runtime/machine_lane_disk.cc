// A replica's machine on disk: its place, and going back to what that has kept.
#include <string>
#include <utility>

#include "host/plugin/descriptor.h"
#include "host/runtime/machine_lane.h"
#include "host/runtime/records.h"
#include "host/store/machine_places.h"

namespace flotilla::runtime {

// A machine on disk that has no place here any more is not one whose snapshot is missing.
Fault MachineLane::lacking(Fault fault) const {
  if (order_.place || order_.machineAt.index == 0) return fault;
  auto descriptor = descriptorOf({});
  if (!descriptor || !plugin::isOnDisk(**descriptor)) return fault;
  const group::ReplicaKey& key = order_.record->key;
  fault.text = "nothing is left of its machine on disk, in machines/" + std::to_string(key.group) +
               "-" + std::to_string(key.replica) + ", and its log begins after entry " +
               std::to_string(order_.machineAt.index) + " (" + fault.text +
               "); make this replica anew: " + order_.record->rebuildCommand();
  return fault;
}

void MachineLane::carryOutSync(const group::SyncRequest& request, Answers& answers) {
  group::Synced synced;
  synced.generation = request.generation;
  Result<void> done = dead_ ? Result<void>(*dead_) : applier_->sync();
  if (done) {
    synced.point = applier_->durable().value_or(raft::LogPoint{});
  } else {
    synced.fault = done.fault();
  }
  answers.synced.push_back(std::move(synced));
  sayIfStopped(answers);
}

Result<std::shared_ptr<group::MachineStore>> MachineLane::makePlace() {
  auto made = around_.machines.make(order_.record->key, fresh_);
  if (!made) return order_.record->advised(made.fault());
  freshMade_ = true;
  return made;
}

// To what the machine on disk has kept, wherever it has gone wrong since.
Result<void> MachineLane::goBack() {
  group::Machine* machine = applier_->machine();
  std::shared_ptr<group::MachineStore> store =
      machine == nullptr ? std::exchange(order_.kept, nullptr) : machine->store();
  if (store != nullptr) return applier_->resume(std::move(store));
  if (place() == kNoPlace) return Fault{ErrorCode::unavailable, "nothing is kept on disk", ""};
  auto found = around_.machines.find(order_.record->key, place());
  if (!found) return order_.record->advised(found.fault());
  return applier_->resume(std::move(*found));
}

}  // namespace flotilla::runtime
