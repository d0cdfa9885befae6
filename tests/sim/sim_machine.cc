// The simulated machine, watched, and broken on demand.
#include "tests/sim/sim_machine.h"

#include <utility>
#include <vector>

#include "flotilla/abi.h"
#include "host/base/checksum.h"
#include "host/group/machine_store.h"
#include "host/plugin/machine.h"
#include "tests/sim/kv_calls.h"
#include "tests/sim/sim_kv.h"

namespace flotilla::sim {
namespace {

// Hands the machine's answers on, and the judge what was carried out.
//
// Owner:  one call of apply.
// Thread: one.
// Errors: the judge's.
class WatchedAnswers final : public group::Answers {
public:
  WatchedAnswers(const MachinePlace& place, const group::MachineCommand* commands,
                 group::Answers& answers)
      : place_(place), commands_(commands), answers_(answers) {}

  void result(size_t place, std::string_view segment) override {
    const group::MachineCommand& command = commands_[place];
    if (auto what = readCommand(command)) {
      auto answer = readAnswer(what->method, segment);
      place_.judge->ran(place_.replica, command, *what, answer && answer->set);
    }
    watchAlarm(command, true);
    answers_.result(place, segment);
  }
  void error(size_t place, std::string_view appCode, std::string_view text) override {
    watchAlarm(commands_[place], false);
    answers_.error(place, appCode, text);
  }
  bool wakeAt(size_t place, int64_t timeUs, uint64_t token) override {
    return answers_.wakeAt(place, timeUs, token);
  }
  bool emit(size_t place, std::string_view topic, std::string_view message) override {
    return answers_.emit(place, topic, message);
  }

private:
  void watchAlarm(const group::MachineCommand& command, bool done) {
    if (command.wakes) place_.judge->alarmRang(place_.replica, command, done);
    if (auto what = readAlarm(command)) {
      place_.judge->alarmSet(place_.replica, command, *what, done);
    }
  }

  const MachinePlace& place_;
  const group::MachineCommand* commands_;
  group::Answers& answers_;
};

class SimCapture final : public group::Capture {
public:
  SimCapture(uint64_t drift, std::unique_ptr<group::Capture> capture)
      : drift_(drift), capture_(std::move(capture)) {}
  Result<void> save(group::SnapshotSink& sink) const override {
    std::string_view drift(reinterpret_cast<const char*>(&drift_), sizeof drift_);
    if (auto written = sink.write(drift); !written) return written;
    return capture_->save(sink);
  }

private:
  uint64_t drift_;
  std::unique_ptr<group::Capture> capture_;
};

// Owner:  Applier.
// Thread: one.
// Errors: the faults that are asked for, beside the machine's own.
class SimMachine final : public group::Machine {
public:
  SimMachine(MachinePlace place, const std::string& sha256, std::unique_ptr<group::Machine> machine)
      : place_(std::move(place)),
        machine_(std::move(machine)),
        unwilling_(!sha256.empty() && sha256.front() == kUnwilling),
        version_(sha256.empty() ? 0 : base::checksum(sha256)) {}

  ApplyEnd apply(const group::MachineCommand* commands, size_t count,
                 group::Answers& answers) override {
    if (broken_) return {0, broken_};
    if (place_.straysNow()) {
      drift_ = place_.replica.replica ^ (commands[0].position.index << 8);
      place_.judge->strayed(place_.replica);
    }
    WatchedAnswers watched(place_, commands, answers);
    size_t sound = 0;
    std::string why;
    if (place_.breaksNow()) {
      why = "this host's machine breaks";
    } else {
      while (sound < count && !isPoison(commands[sound])) ++sound;
      if (sound < count) why = "poisoned";
    }
    ApplyEnd end{0, {}};
    if (sound > 0) end = machine_->apply(commands, sound, watched);
    if (end.fault || sound == count) return end;
    if (why == "poisoned") {
      place_.judge->facts(place_.replica.group).poisonedAt = commands[sound].position;
    }
    broken_ = Fault{ErrorCode::faulted, why, {}};
    return {sound, broken_};
  }
  Result<void> query(const group::MachineCommand& question, group::Answers& answers) override {
    return machine_->query(question, answers);
  }
  bool isLong(uint64_t interfaceId, uint16_t method) const override {
    return machine_->isLong(interfaceId, method);
  }
  Result<std::shared_ptr<const group::FrozenMachine>> freeze() override {
    return machine_->freeze();
  }
  Result<std::unique_ptr<group::Capture>> capture() override {
    auto captured = machine_->capture();
    if (!captured || onDisk()) return captured;  // there its drift is one of the rows
    return std::unique_ptr<group::Capture>(
        std::make_unique<SimCapture>(drift_, std::move(*captured)));
  }
  Result<void> load(group::SnapshotSource& source) override {
    if (unwilling_) return Fault{ErrorCode::faulted, "this version loads nothing", {}};
    if (onDisk()) {
      auto loaded = machine_->load(source);
      return loaded ? readDrift(*store()) : loaded;
    }
    uint64_t drift = 0;
    for (size_t filled = 0; filled < sizeof drift;) {
      auto got = source.read(reinterpret_cast<char*>(&drift) + filled, sizeof drift - filled);
      if (!got) return got.fault();
      if (*got == 0) return Fault{ErrorCode::corrupt, "its snapshot is too short", {}};
      filled += *got;
    }
    drift_ = drift;
    if (drift != 0) place_.judge->tookDrift(place_.replica);
    return machine_->load(source);
  }
  std::optional<uint64_t> digest() override {
    auto sound = soundDigest();
    return sound ? std::optional<uint64_t>(*sound ^ drift_) : sound;
  }
  uint64_t drift() const { return drift_; }
  std::optional<uint64_t> soundDigest() {
    auto digest = machine_->digest();
    return digest ? std::optional<uint64_t>(*digest ^ version_) : digest;
  }
  uint64_t memoryBytes() override { return machine_->memoryBytes(); }

  bool onDisk() const override { return machine_->onDisk(); }
  uint32_t stateVersion() const override { return machine_->stateVersion(); }
  std::shared_ptr<group::MachineStore> store() const override { return machine_->store(); }
  Result<void> open(std::shared_ptr<group::MachineStore> store) override {
    if (unwilling_) return Fault{ErrorCode::badRequest, "this version opens nothing", {}};
    if (auto read = readDrift(*store); !read) return read;
    return machine_->open(std::move(store));
  }
  Result<void> settle() override {
    if (drift_ != 0) store()->set(kDriftKey, std::to_string(drift_));
    return machine_->settle();
  }

  std::optional<MethodKind> kindOf(uint64_t interfaceId, uint16_t method) const override {
    return machine_->kindOf(interfaceId, method);
  }

private:
  static constexpr const char* kDriftKey = "z";  // behind all of the machine's own

  Result<void> readDrift(group::MachineStore& store) {
    std::string drift;
    auto found = store.get(kDriftKey, drift);
    if (!found) return found.fault();
    drift_ = *found ? std::stoull(drift) : 0;
    if (drift_ != 0) place_.judge->tookDrift(place_.replica);
    return {};
  }

  static bool isPoison(const group::MachineCommand& command) {
    auto what = readCommand(command);
    return what && what->key == kPoisonKey;
  }

  MachinePlace place_;
  std::unique_ptr<group::Machine> machine_;
  std::optional<Fault> broken_;
  bool unwilling_;
  uint64_t version_;
  uint64_t drift_ = 0;
};

}  // namespace

uint64_t driftOf(const group::Machine& machine) {
  return static_cast<const SimMachine&>(machine).drift();
}

std::optional<uint64_t> soundDigestOf(group::Machine& machine) {
  return static_cast<SimMachine&>(machine).soundDigest();
}

Result<std::unique_ptr<group::Machine>> makeSimMachine(MachinePlace place,
                                                       const std::string& sha256) {
  const flotilla_descriptor* descriptor = place.onDisk ? simDiskDescriptor() : simDescriptor();
  auto machine = plugin::makeMachine(descriptor, {}, nullptr, place.replica);
  if (!machine) return machine.fault();
  return std::unique_ptr<group::Machine>(
      std::make_unique<SimMachine>(std::move(place), sha256, std::move(*machine)));
}

}  // namespace flotilla::sim
