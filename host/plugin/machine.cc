// Calls a plugin's functions, and believes nothing of what they do.
#include "host/plugin/machine.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "host/base/log.h"
#include "host/plugin/capture.h"
#include "host/plugin/descriptor.h"
#include "host/plugin/guard.h"
#include "host/plugin/plugin.h"
#include "host/plugin/questioned.h"
#include "host/plugin/storage.h"

namespace flotilla::plugin {
namespace {

// See machine.h.
//
// Owner:  group::Applier.
// Thread: one apply worker at a time.
// Errors: once the boundary has been broken, every call is the same Fault.
class PluginMachine final : public group::Machine {
public:
  static constexpr size_t kChunk = 64;  // commands handed over at once

  PluginMachine(std::shared_ptr<const Plugin> plugin, void* machine, CrashMarks* marks,
                group::ReplicaKey replica)
      : plugin_(std::move(plugin)), machine_(machine), marks_(marks), replica_(replica) {}
  ~PluginMachine() override {
    std::string left = guarded([&] { plugin_->descriptor->destroy(machine_); });
    if (!left.empty()) base::logError(plugin_->name + ": while it was destroyed: " + left);
  }
  PluginMachine(const PluginMachine&) = delete;
  PluginMachine& operator=(const PluginMachine&) = delete;

  ApplyEnd apply(const group::MachineCommand* commands, size_t count,
                 group::Answers& answers) override {
    size_t applied = 0;
    while (applied < count) {
      size_t size = std::min(kChunk, count - applied);
      ApplyEnd end = applyChunk({commands + applied, size}, applied, answers);
      applied += end.applied;
      if (end.fault) return {applied, std::move(end.fault)};
    }
    return {applied, std::nullopt};
  }

  Result<void> query(const group::MachineCommand& question, group::Answers& answers) override {
    if (broken_) return *broken_;
    if (lacksStorage()) return breakWith(kNoStorage);
    std::string broke;
    Result<void> asked;
    {
      PluginStorage::Use use(storage_.get(), PluginStorage::Use::May::read);
      asked = Questioned{*plugin_, machine_, marks_, replica_}.ask(question, answers, broke);
    }
    if (storageFault()) return breakAsStorage();
    if (!broke.empty()) return breakWith(broke);
    return asked;
  }

  bool isLong(uint64_t interfaceId, uint16_t method) const override {
    const RowIndex::Row* row = plugin_->rows.find(interfaceId, method);
    return row != nullptr && row->isLong;
  }

  Result<std::shared_ptr<const group::FrozenMachine>> freeze() override {
    if (broken_) return *broken_;
    Reason reason;
    CrashMarks::Scope scope(marks_, replica_, false, 0);
    void* frozen = nullptr;
    std::string left =
        guarded([&] { frozen = freezeOf(*plugin_->descriptor)(machine_, reason.callback()); });
    if (!left.empty()) return breakWith(left);
    if (frozen == nullptr)
      return plugin_->fault("freeze: " + reason.text() +
                            "; every state must be one that can be asked of");
    return std::shared_ptr<const group::FrozenMachine>(
        std::make_shared<FrozenPlugin>(plugin_, frozen, marks_, replica_));
  }

  Result<std::unique_ptr<group::Capture>> capture() override {
    if (broken_) return *broken_;
    if (onDisk()) return captureRows();
    Reason reason;
    CrashMarks::Scope scope(marks_, replica_, false, 0);
    void* capture = nullptr;
    std::string left =
        guarded([&] { capture = plugin_->descriptor->capture(machine_, reason.callback()); });
    if (!left.empty()) return breakWith(left);
    if (capture == nullptr)
      return plugin_->fault("capture: " + reason.text() +
                            "; every state must be one that can be captured");
    return std::unique_ptr<group::Capture>(
        std::make_unique<PluginCapture>(plugin_, capture, marks_, replica_));
  }

  Result<void> load(group::SnapshotSource& source) override {
    if (onDisk()) return loadRows(source);
    struct Reading {
      group::SnapshotSource& source;
      std::optional<Fault> fault;
    } reading{source, std::nullopt};
    flotilla_reader reader{sizeof reader, &reading,
                           [](void* context, void* to, uint64_t room) noexcept -> int64_t {
                             auto& from = *static_cast<Reading*>(context);
                             if (from.fault) return -1;
                             Result<size_t> got = from.source.read(static_cast<char*>(to), room);
                             if (got) return static_cast<int64_t>(*got);
                             from.fault = got.fault();
                             return -1;
                           }};
    Reason reason;
    CrashMarks::Scope scope(marks_, replica_, false, 0);
    int code = 1;
    std::string left =
        guarded([&] { code = plugin_->descriptor->load(machine_, &reader, reason.callback()); });
    if (!left.empty()) return breakWith(left);
    if (reading.fault) return breakWith(reading.fault->text);
    if (code != 0) return breakWith("load: " + reason.text());
    return {};
  }

  std::optional<uint64_t> digest() override {
    if (broken_ || (plugin_->descriptor->abilities & FLOTILLA_DIGEST) == 0) return std::nullopt;
    uint64_t digest = 0;
    std::string left = guarded([&] { digest = plugin_->descriptor->digest(machine_); });
    if (left.empty()) return digest;
    breakWith(left);
    return std::nullopt;
  }

  uint64_t memoryBytes() override {
    if (broken_ || plugin_->descriptor->memory == nullptr) return 0;
    uint64_t bytes = 0;
    std::string left = guarded([&] { bytes = plugin_->descriptor->memory(machine_); });
    if (!left.empty()) breakWith(left);
    return bytes;
  }

  // ---- on disk

  bool onDisk() const override { return isOnDisk(*plugin_->descriptor); }
  uint32_t stateVersion() const override { return plugin_->descriptor->stateVersion; }
  std::shared_ptr<group::MachineStore> store() const override {
    return storage_ == nullptr ? nullptr : storage_->store();
  }

  Result<void> open(std::shared_ptr<group::MachineStore> store) override {
    storage_ = std::make_unique<PluginStorage>(std::move(store));
    return openStorage();
  }

  Result<void> settle() override {
    if (broken_) return *broken_;
    if (!onDisk()) return {};
    if (lacksStorage()) return breakWith(kNoStorage);
    Reason reason;
    CrashMarks::Scope scope(marks_, replica_, false, 0);
    int code = 1;
    std::string left = guarded([&] {
      PluginStorage::Use use(storage_.get(), PluginStorage::Use::May::write);
      code = plugin_->descriptor->sync(machine_, reason.callback());
    });
    if (storageFault()) return breakAsStorage();
    if (!left.empty()) return breakWith(left);
    if (code != 0) return breakWith("sync: " + reason.text());
    return {};
  }

  bool wakes() const override { return setsTimers(); }

  std::optional<MethodKind> kindOf(uint64_t interfaceId, uint16_t method) const override {
    const RowIndex::Row* row = plugin_->rows.find(interfaceId, method);
    if (row == nullptr) return std::nullopt;
    return row->query ? MethodKind::query : MethodKind::command;
  }

private:
  bool setsTimers() const { return (plugin_->descriptor->abilities & FLOTILLA_TIMERS) != 0; }
  std::optional<uint32_t> rowOf(const group::MachineCommand& command) const {
    if (command.wakes) return setsTimers() ? std::optional(FLOTILLA_WAKE) : std::nullopt;
    const RowIndex::Row* row = plugin_->rows.find(command.interfaceId, command.method);
    return row == nullptr || row->query ? std::nullopt : std::optional(row->row);
  }
  static std::string noSuchCommand(const group::MachineCommand& command) {
    if (!command.wakes) return noSuchMethod(command, "command");
    return "has a timer pending and no wake to be called; another version of it set the timer";
  }
  static constexpr const char* kNoStorage = "its state lies on disk, and it was given no storage";

  bool lacksStorage() const { return onDisk() && storage_ == nullptr; }
  const std::optional<Fault>* storageFault() const {
    return storage_ != nullptr && storage_->fault() ? &storage_->fault() : nullptr;
  }
  // The host's own words, whatever the plugin made of it.
  Fault breakAsStorage() {
    const Fault& why = **storageFault();
    broken_ = Fault{why.code, plugin_->name + ": " + why.text, {}};
    return *broken_;
  }

  Result<void> openStorage() {
    Reason reason;
    CrashMarks::Scope scope(marks_, replica_, false, 0);
    int code = 1;
    std::string left = guarded([&] {
      PluginStorage::Use use(storage_.get(), PluginStorage::Use::May::read);
      code = plugin_->descriptor->open(machine_, storage_->table(), reason.callback());
    });
    if (storageFault()) return breakAsStorage();
    if (left.empty() && code == 0) return {};
    Fault fault = breakWith(left.empty() ? "open: " + reason.text() : left);
    fault.code = ErrorCode::badRequest;  // the same everywhere: what it was given is
    return fault;
  }

  // The applier has synced it. Where there is none, and so no group state to be written along, what
  // the machine holds in memory goes to the store by itself: a check captures what it likes.
  Result<std::unique_ptr<group::Capture>> captureRows() {
    if (lacksStorage()) return breakWith(kNoStorage);
    group::MachineStore& store = *storage_->store();
    if (store.kept().at.index == 0) {
      if (auto settled = settle(); !settled) return settled.fault();
      if (auto kept = store.sync({}, {}); !kept) return kept.fault();
    }
    if (store.gatheredBytes() != 0) return plugin_->fault("captured before it was synced");
    return store.capture(stateVersion());
  }

  Result<void> loadRows(group::SnapshotSource& source) {
    if (lacksStorage()) return breakWith(kNoStorage);
    auto loaded = storage_->store()->load(source, stateVersion());
    if (!loaded) {
      broken_ = loaded.fault();
      return loaded;
    }
    return openStorage();
  }

  // At most kChunk commands; `first` is the place of the first within the caller's run.
  ApplyEnd applyChunk(std::span<const group::MachineCommand> run, size_t first,
                      group::Answers& answers) {
    if (broken_) return {0, broken_};
    if (lacksStorage()) return {0, breakWith(kNoStorage)};
    std::array<flotilla_command, kChunk> commands;
    std::vector<Bytes> aligned;
    size_t known = 0;
    for (; known < run.size(); ++known) {
      std::optional<uint32_t> row = rowOf(run[known]);
      if (!row) break;
      writeCommand(run[known], *row, aligned, commands[known]);
    }
    uint64_t applied = 0;
    if (known > 0) {
      AnswerCheck check(answers, first, known,
                        {.timers = setsTimers(),
                         .events = true,
                         .stopped = storage_ == nullptr ? nullptr : &storage_->fault()});
      CrashMarks::Scope scope(marks_, replica_, false, run[0].position.index);
      std::string left = guarded([&] {
        PluginStorage::Use use(storage_.get(), PluginStorage::Use::May::write);
        applied = plugin_->descriptor->apply(machine_, commands.data(), known, check.callback(),
                                             scope.cursor());
      });
      if (storageFault()) return {check.answered(), breakAsStorage()};
      std::string problem = left.empty() ? check.problem(applied) : left;
      if (!problem.empty()) return {check.answered(), breakWith(problem)};
      if (applied < known) return {applied, plugin_->fault(check.fault())};
    }
    if (known == run.size()) return {known, std::nullopt};
    return {known, plugin_->fault(noSuchCommand(run[known]))};
  }

  Fault breakWith(std::string_view text) {
    broken_ = plugin_->fault(text);
    return *broken_;
  }

  std::shared_ptr<const Plugin> plugin_;
  std::unique_ptr<PluginStorage> storage_;  // of a machine on disk, once it is opened; outlives it
  void* machine_;
  CrashMarks* marks_;
  group::ReplicaKey replica_;
  std::optional<Fault> broken_;
};

const flotilla_host kHost{sizeof(flotilla_host), nullptr, [](void*, flotilla_bytes line) noexcept {
                            base::logInfo("plugin: " + std::string(viewOf(line)));
                          }};

}  // namespace

Result<std::unique_ptr<group::Machine>> makeMachine(const flotilla_descriptor* descriptor,
                                                    const Settings& settings, CrashMarks* marks,
                                                    group::ReplicaKey replica) {
  auto plugin = pluginOf(descriptor);
  std::vector<flotilla_setting> given;
  for (const auto& [key, value] : settings) {
    given.push_back({sizeof(flotilla_setting), bytesOf(key), bytesOf(value)});
  }
  Reason reason;
  CrashMarks::Scope scope(marks, replica, false, 0);
  void* machine = nullptr;
  std::string left = guarded(
      [&] { machine = descriptor->create(&kHost, given.data(), given.size(), reason.callback()); });
  if (machine != nullptr && left.empty()) {
    return std::unique_ptr<group::Machine>(
        std::make_unique<PluginMachine>(std::move(plugin), machine, marks, replica));
  }
  std::string why = left.empty() ? reason.text() : left;
  if (left.empty() && !reason.coded()) why += "; settings that it refuses are a flotilla::Error";
  return Fault{ErrorCode::badRequest, plugin->name + ": cannot be made: " + why, {}};
}

}  // namespace flotilla::plugin
