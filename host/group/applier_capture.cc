// What a snapshot is made of: the group state and the machine's capture, at one boundary.
#include <memory>
#include <string>
#include <utility>

#include "host/base/assert.h"
#include "host/group/applier.h"

namespace flotilla::group {

Result<uint64_t> StateCapture::save(SnapshotSink& file) const {
  SnapshotWriter writer(file);
  if (auto begun = writer.begin(head_, groupSection_); !begun) return begun.fault();
  if (auto saved = machine_->save(writer); !saved) return saved.fault();
  return writer.finish();
}

Result<std::unique_ptr<StateCapture>> Applier::capture(const raft::LogShape& shape,
                                                       bool runsKnown) {
  knowRuns(runsKnown);
  if (fault_ && durable()) return captureKept(shape);
  if (fault_) return *fault_;
  if (machine_ == nullptr || state_.at.index == 0) {
    return Fault{ErrorCode::unavailable, "snapshot: nothing has been applied yet", {}};
  }
  if (!within(shape, state_.at)) {
    ASSERT(machine_->onDisk());  // whose place and log may have been damaged apart
    return Fault{ErrorCode::unavailable,
                 "snapshot: the machine stands at " + std::to_string(state_.at.index) +
                     ", where the log here has nothing",
                 {}};
  }
  if (auto known = learnMembers(shape, state_); !known) return known.fault();
  if (machine_->onDisk()) {
    if (auto synced = sync(); !synced) return synced.fault();
  }
  auto machine = machine_->capture();
  if (!machine) {
    stopAt({state_.at.index + 1, 0}, machine.fault());
    return machine.fault();
  }
  return captureOf(state_, std::move(*machine));
}

// A log that begins with a snapshot has forgotten which entry brought its configuration, and equal
// states are to give equal files: what was applied knows better, where it knows.
Result<void> Applier::learnMembers(const raft::LogShape& shape, GroupState& state) {
  const raft::ConfigurationAt& inForce = shape.configurationAt(state.at.index);
  if (state.configuration.configuration != inForce.configuration) state.configuration = inForce;
  // One who joined and reads the log from its first entry learns who the members are only on the
  // way; nobody could begin with a snapshot that does not say.
  if (!inForce.configuration.voters.empty()) return {};
  return Fault{ErrorCode::unavailable, "snapshot: the members there are not known yet", {}};
}

std::unique_ptr<StateCapture> Applier::captureOf(const GroupState& state,
                                                 std::unique_ptr<Capture> machine) const {
  SnapshotHead head{key_.group, state.at, state.configuration.configuration, 0};
  return std::make_unique<StateCapture>(std::move(head), state.encode(form_), std::move(machine));
}

// A machine that stopped has still kept what it was before, and the log is cut off behind that: one
// who joins must not wait until it is mended.
Result<std::unique_ptr<StateCapture>> Applier::captureKept(const raft::LogShape& shape) const {
  const Kept& kept = machine_->store()->kept();
  if (kept.at.index == 0 || !within(shape, kept.at)) return *fault_;
  GroupState state;
  if (auto decoded = state.decode(kept.groupState); !decoded) return decoded.fault();
  if (auto known = learnMembers(shape, state); !known) return known.fault();
  return captureOf(state, machine_->store()->capture(machine_->stateVersion()));
}

}  // namespace flotilla::group
