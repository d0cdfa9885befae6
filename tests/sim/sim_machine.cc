// The simulated machine, watched, and broken on demand.
#include "tests/sim/sim_machine.h"

#include <utility>
#include <vector>

#include "flotilla/abi.h"
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

// Owner:  Applier.
// Thread: one.
// Errors: the faults that are asked for, beside the machine's own.
class SimMachine final : public group::Machine {
public:
  SimMachine(MachinePlace place, std::unique_ptr<group::Machine> machine)
      : place_(std::move(place)), machine_(std::move(machine)) {}

  ApplyEnd apply(const group::MachineCommand* commands, size_t count,
                 group::Answers& answers) override {
    if (broken_) return {0, broken_};
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
  Result<std::unique_ptr<group::Capture>> capture() override { return machine_->capture(); }
  Result<void> load(group::SnapshotSource& source) override { return machine_->load(source); }
  std::optional<uint64_t> digest() override { return machine_->digest(); }
  uint64_t memoryBytes() override { return machine_->memoryBytes(); }
  std::optional<MethodKind> kindOf(uint64_t interfaceId, uint16_t method) const override {
    return machine_->kindOf(interfaceId, method);
  }

private:
  static bool isPoison(const group::MachineCommand& command) {
    auto what = readCommand(command);
    return what && what->key == kPoisonKey;
  }

  MachinePlace place_;
  std::unique_ptr<group::Machine> machine_;
  std::optional<Fault> broken_;
};

}  // namespace

Result<std::unique_ptr<group::Machine>> makeSimMachine(MachinePlace place) {
  auto machine = plugin::makeMachine(simDescriptor(), {}, nullptr, place.replica);
  if (!machine) return machine.fault();
  return std::unique_ptr<group::Machine>(
      std::make_unique<SimMachine>(std::move(place), std::move(*machine)));
}

}  // namespace flotilla::sim
