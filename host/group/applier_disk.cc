// A machine on disk: where it begins, and when what it has changed is written.
#include <algorithm>
#include <string>
#include <utility>

#include "host/base/assert.h"
#include "host/group/applier.h"

namespace flotilla::group {

Result<void> Applier::openFresh(Machine& machine) {
  if (!machine.onDisk()) return {};
  if (!makeStore_)
    return Fault{ErrorCode::unavailable, "there is no place for a machine on disk", {}};
  auto store = makeStore_();
  if (!store) return store.fault();
  return machine.open(std::move(*store));
}

// The group state is that of the machine's own write, so both stand at one boundary. Should it not
// come so far, the machine before stands over rows that are older than it is.
Result<void> Applier::resume(std::shared_ptr<MachineStore> store) {
  if (machine_ != nullptr) {
    stop(Fault{ErrorCode::faulted, "machine: has not gone back to what it has kept", {}},
         {state_.at.index + 1, 0});
  }
  if (auto reverted = store->revert(); !reverted) return reverted;
  Kept kept = store->kept();
  GroupState fresh;
  if (auto decoded = fresh.decode(kept.groupState); !decoded) return decoded.fault();
  if (fresh.at != kept.at) {
    return Fault{ErrorCode::corrupt,
                 "machine: its place on disk stands at " + std::to_string(kept.at.index) +
                     ", its group state at " + std::to_string(fresh.at.index),
                 {}};
  }
  auto machine = makeMachine_(fresh.plugin);
  if (!machine) return machine.fault();
  if (!(*machine)->onDisk()) {
    return Fault{ErrorCode::corrupt, "machine: is one in memory, and its state lies on disk", {}};
  }
  if (auto opened = (*machine)->open(std::move(store)); !opened) return opened;
  takeOver(std::move(*machine), std::move(fresh));
  return {};
}

std::optional<raft::LogPoint> Applier::durable() const {
  if (machine_ == nullptr || !machine_->onDisk()) return std::nullopt;
  return machine_->store()->kept().at;
}

Result<void> Applier::sync() {
  if (fault_) return *fault_;
  ASSERT(machine_ != nullptr);
  auto store = machine_->store();
  if (store == nullptr) return {};
  // A write that found no room may have come through: what it left gathered is written again.
  if (store->kept().at == state_.at && store->gatheredBytes() == 0) return {};
  Result<void> synced = machine_->settle();
  if (synced) synced = store->sync(state_.at, state_.encode(form_));
  if (synced) return {};
  uint64_t room = store->isCrowded() ? kSyncCrowdedBytes : kUnsyncedBytesMax;
  if (synced.fault().code == ErrorCode::diskFull && store->gatheredBytes() < room) return synced;
  stopAt({state_.at.index + 1, 0}, synced.fault());
  store->forget();
  return synced;
}

// The group state goes with each write, and with it the history of events, so a long one is to be
// worth it. A full disk is no reason to stop while there is memory: the log's own volume says so to
// callers.
void Applier::syncIfMuch() {
  if (machine_ == nullptr || !machine_->onDisk()) return;
  std::shared_ptr<MachineStore> store = machine_->store();
  uint64_t least = store->isCrowded() ? kSyncCrowdedBytes : kSyncBytes;
  uint64_t worth = std::clamp<uint64_t>(store->kept().groupState.size(), least, kSyncBytesMax);
  if (store->gatheredBytes() >= worth) static_cast<void>(sync());
}

}  // namespace flotilla::group
