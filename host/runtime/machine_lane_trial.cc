// Whether another plugin's machine could take over from a replica's, as it is now.
#include <string>
#include <utility>

#include "host/plugin/descriptor.h"
#include "host/runtime/inbox.h"
#include "host/runtime/io_thread.h"
#include "host/runtime/machine_lane.h"
#include "host/runtime/plugin_room.h"
#include "host/runtime/records.h"
#include "host/runtime/replica.h"

namespace flotilla::runtime {
namespace {

// Of a machine on disk: so much another plugin is shown before it takes over.
constexpr uint64_t kTriedRowsBytes = 64 << 20;

}  // namespace

void MachineLane::tryPlugin(std::string sha256, std::function<void(Result<void>)> done) {
  push(Trial{std::move(sha256), std::move(done)});
}

// Captures here; saves, and tries, on the file thread.
void MachineLane::carryOutTrial(Trial& trial, Answers& answers) {
  auto say = [&inbox = around_.inbox, replica = replica_,
              done = std::move(trial.done)](Result<void> tried) {
    inbox.post([replica, done, tried = std::move(tried)]() {
      if (replica.lock()) done(tried);
    });
  };
  group::Machine* machine = dead_ || applier_->fault() ? nullptr : applier_->machine();
  if (machine == nullptr) {
    return say(Fault{ErrorCode::faulted, "its machine is not well; mend that first", ""});
  }
  auto next = descriptorOf(trial.sha256);
  if (!next) return say(next.fault());
  bool wakes = ((*next)->abilities & FLOTILLA_TIMERS) != 0;
  if (applier_->state().timers.size() != 0 && !wakes) {
    return say(Fault{ErrorCode::badRequest, std::string(group::kTimersPending), ""});
  }
  bool nextOnDisk = plugin::isOnDisk(**next);
  if (auto fits = applier_->fits(nextOnDisk, (*next)->stateVersion); !fits) {
    return say(fits.fault());
  }
  if (nextOnDisk) {
    Result<void> synced = applier_->sync();
    sayIfStopped(answers);
    if (!synced) return say(synced);
    std::shared_ptr<group::Capture> rows =
        machine->store()->capture(machine->stateVersion(), kTriedRowsBytes);
    around_.saves.post([this, self = shared_from_this(), say = std::move(say),
                        sha256 = trial.sha256, rows = std::move(rows)]() mutable {
      say(tryRows(sha256, *std::exchange(rows, nullptr)));
    });
    return;
  }
  auto captured = machine->capture();
  if (!captured) return say(captured.fault());
  around_.saves.post([this, self = shared_from_this(), say = std::move(say), sha256 = trial.sha256,
                      capture = std::move(*captured)]() mutable {
    say(around_.plugins.tryState(sha256, order_.record->config, *capture));
    capture.reset();
  });
}

// At the switch the rows stay where they are. A copy of part of them would be a state that never
// was, so it is all of them, or, where they are many, none.
Result<void> MachineLane::tryRows(const std::string& sha256, const group::Capture& rows) const {
  auto tried = around_.plugins.tryState(sha256, order_.record->config, rows);
  if (tried || tried.fault().code != ErrorCode::tooLarge) return tried;
  return around_.plugins.trySettings(sha256, order_.record->config);
}

}  // namespace flotilla::runtime
