// From one plugin's machine to another's, at one entry.
#include <deque>
#include <string>
#include <utility>

#include "host/group/applier.h"

namespace flotilla::group {

// The machine's section of a snapshot on its way from one machine to the next.
//
// Owner:  one call.
// Thread: one.
// Errors: none.
class Applier::Passage final : public SnapshotSink, public SnapshotSource {
public:
  Result<void> write(std::string_view piece) override {
    if (!piece.empty()) pieces_.emplace_back(piece);
    return {};
  }
  Result<size_t> read(char* to, size_t size) override {
    if (pieces_.empty()) return size_t{0};
    std::string_view left = std::string_view(pieces_.front()).substr(taken_);
    size_t given = left.copy(to, size);
    taken_ += given;
    if (given == left.size()) {
      pieces_.pop_front();
      taken_ = 0;
    }
    return given;
  }

private:
  std::deque<std::string> pieces_;
  size_t taken_ = 0;  // of the first
};

// From here on another plugin's machine applies, made of what this one holds. What it refuses it
// refuses on every replica: then this one goes on. Where the reason is this host's own, this
// replica must not go on while others do.
bool Applier::applySwitch(Position position, Applied& applied) {
  if (!applyRun(applied)) return false;
  size_t answer = addAnswer(position, applied);
  Outcome outcome;
  outcome.position = position;
  if (entry_.sha256 != state_.plugin) {
    auto next = makeMachine_(entry_.sha256);
    if (!next && next.fault().code != ErrorCode::badRequest) return stopAt(position, next.fault());
    Result<void> moved = next ? moveTo(**next) : Result<void>(next.fault());
    if (moved) {
      machine_ = std::move(*next);
      ++machineNumber_;
      state_.plugin = entry_.sha256;
      state_.switchedAt = position.index;
      state_.unchecked += kCheckNow;
    } else if (machine_->onDisk() && moved.fault().code != ErrorCode::badRequest) {
      return stopAt(position, moved.fault());  // this host's disk
    } else {
      outcome.code = ErrorCode::badRequest;
      outcome.body = Bytes::copyOf("the plugin before goes on: " + moved.fault().text);
    }
  }
  if (answer != kNoAnswer) applied.answers[answer].outcome = std::move(outcome);
  return true;
}

// The rows stay where they are, and the other machine goes on over them; with the next sync the
// group state on disk says whose they are. Nothing could take back what a machine of another layout
// had changed there before it refused.
Result<void> Applier::moveOnDisk(Machine& next) {
  if (auto fit = fits(next.onDisk(), next.stateVersion()); !fit) return fit;
  if (auto settled = machine_->settle(); !settled) return settled;
  return next.open(machine_->store());
}

Result<void> Applier::fits(bool onDisk, uint32_t stateVersion) const {
  if (machine_->onDisk() != onDisk) {
    return Fault{ErrorCode::badRequest,
                 "one keeps its state on disk and the other in memory; make a new group",
                 {}};
  }
  if (onDisk && machine_->stateVersion() != stateVersion) {
    return Fault{ErrorCode::badRequest,
                 "its state version is " + std::to_string(stateVersion) +
                     ", the state on disk has " + std::to_string(machine_->stateVersion()) +
                     "; what is on disk is not migrated",
                 {}};
  }
  return {};
}

Result<void> Applier::moveTo(Machine& next) {
  if (state_.timers.size() != 0 && !next.wakes()) {
    return Fault{ErrorCode::badRequest, std::string(kTimersPending), {}};
  }
  if (machine_->onDisk() || next.onDisk()) return moveOnDisk(next);
  auto capture = machine_->capture();
  if (!capture) return capture.fault();
  Passage passage;
  if (auto saved = (*capture)->save(passage); !saved) return saved;
  capture->reset();
  return next.load(passage);
}

}  // namespace flotilla::group
