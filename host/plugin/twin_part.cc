// Carries calls out and tells of each.
#include "host/plugin/twin_part.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <malloc.h>
#include <memory>
#include <optional>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "flotilla/stored.h"
#include "host/base/prng.h"
#include "host/group/memory_keys.h"
#include "host/group/timers.h"
#include "host/plugin/library.h"
#include "host/plugin/workload.h"

namespace flotilla::plugin {
namespace {

constexpr const char* kWord = "--twin-part";
constexpr const char* kTimersEnding = ".timers";
constexpr uint64_t kRunMax = 40;
constexpr uint64_t kWakeEvery = 25;  // calls: timers fire between runs, so no run goes past these
constexpr size_t kTokensToldMax = 20;
constexpr size_t kToldBytesMax = 64 << 10;  // of one call's events, as they are told
constexpr int64_t kFirstTimeUs = 1'700'000'000'000'000;

// Records on what was stdout; the plugin's own words go nowhere.
//
// Thread: one. Errors: none: whoever does not listen is gone.
class Teller {
public:
  Teller() : fd_(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)) {
    int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int stream : {0, 1, 2}) ::dup2(null, stream);
  }
  Teller(const Teller&) = delete;
  Teller& operator=(const Teller&) = delete;

  void say(TwinWord word, uint64_t number, std::string text) {
    std::replace(text.begin(), text.end(), '\n', ' ');
    std::string line = static_cast<char>(word) + (" " + std::to_string(number)) + " " + text + "\n";
    std::string_view left = line;
    while (!left.empty()) {
      ssize_t written = ::write(fd_, left.data(), left.size());
      if (written <= 0) return;
      left.remove_prefix(static_cast<size_t>(written));
    }
  }

private:
  int fd_;
};

std::string hex(uint64_t number) {
  std::array<char, 20> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(number));
  return text.data();
}

// Chunks of many sizes freed in no order: what is allocated next no longer has rising addresses.
// The allocator fills what it gives and what it takes back.
void shuffleHeap() {
  constexpr size_t kChunks = 6000;
  constexpr int kFilling = 0x5a;
  mallopt(M_PERTURB, kFilling);
  base::Prng prng(reinterpret_cast<uintptr_t>(&prng));
  std::vector<void*> chunks;
  for (size_t i = 0; i < kChunks; ++i) chunks.push_back(std::malloc(16 + prng.below(600)));
  for (size_t i = chunks.size(); i > 1; --i) std::swap(chunks[i - 1], chunks[prng.below(i)]);
  for (size_t i = 0; i < chunks.size() * 2 / 3; ++i) std::free(chunks[i]);
}

// What lies below on the stack when a machine is called.
[[gnu::noinline]] void soilStack(int filling) {
  volatile char below[32 * 1024];
  for (volatile char& byte : below) byte = static_cast<char>(filling);
}

class FileSink final : public group::SnapshotSink {
public:
  explicit FileSink(const std::string& path) : file_(path, std::ios::binary) {}
  Result<void> write(std::string_view piece) override {
    file_.write(piece.data(), static_cast<std::streamsize>(piece.size()));
    file_.flush();
    if (file_) return {};
    return Fault{ErrorCode::io, "a snapshot's file cannot be written", {}};
  }

private:
  std::ofstream file_;
};

class FileSource final : public group::SnapshotSource {
public:
  explicit FileSource(const std::string& path) : file_(path, std::ios::binary) {}
  Result<size_t> read(char* to, size_t size) override {
    file_.read(to, static_cast<std::streamsize>(size));
    return static_cast<size_t>(file_.gcount());
  }

private:
  std::ifstream file_;
};

// Timers that commands want, kept once they have gone well, as the host's applier does it.
//
// Thread: one. Errors: none.
class KeepsTimers : public group::Answers {
public:
  explicit KeepsTimers(group::Timers& timers) : timers_(timers) {}

  void result(size_t, std::string_view) override {
    for (const group::Timers::Timer& timer : wanted_) timers_.set(timer);
    wanted_.clear();
  }
  void error(size_t, std::string_view, std::string_view) override { wanted_.clear(); }
  bool wakeAt(size_t, int64_t timeUs, uint64_t token) override {
    if (timers_.size() + wanted_.size() >= group::kTimersMax) return false;
    wanted_.push_back({timeUs, token});
    return true;
  }

  bool emit(size_t, std::string_view, std::string_view) override { return true; }

private:
  group::Timers& timers_;
  std::vector<group::Timers::Timer> wanted_;
};

// Answers of one run, told as those of calls.
//
// Thread: one. Errors: none.
class Told final : public KeepsTimers {
public:
  Told(group::Timers& timers, Teller& teller, Workload& workload,
       const std::vector<WorkloadCall>& calls, uint64_t first)
      : KeepsTimers(timers), teller_(teller), workload_(workload), calls_(calls), first_(first) {}

  void result(size_t place, std::string_view segment) override {
    KeepsTimers::result(place, segment);
    std::string text = workload_.answerText(calls_[place], segment) + told_;
    tell(place, mixed(hashOf(segment), hashOf(std::exchange(told_, {}))), text);
  }
  void error(size_t place, std::string_view code, std::string_view text) override {
    KeepsTimers::error(place, code, text);
    told_.clear();
    std::string said = "error " + std::string(code) + ": " + std::string(text);
    tell(place, hashOf(said), said);
  }

  bool emit(size_t, std::string_view topic, std::string_view message) override {
    told_ += ", telling " + std::string(topic) + " " + hex(hashOf(message));
    return told_.size() < kToldBytesMax;
  }

private:
  void tell(size_t place, uint64_t hash, const std::string& text) {
    teller_.say(kTwinAnswer, first_ + place, hex(hash) + " " + text);
  }

  Teller& teller_;
  Workload& workload_;
  const std::vector<WorkloadCall>& calls_;
  uint64_t first_;
  std::string told_;  // by the call that is answered next
};

// Owner: playTwinPart. Thread: one. Errors: said by the teller; then a call answers false.
class Player {
public:
  Player(const TwinPart& part, const flotilla_descriptor& descriptor, Teller& teller)
      : part_(part), descriptor_(descriptor), workload_(descriptor, part.seed), teller_(teller) {}

  bool play() {
    auto machine = makeMachine(&descriptor_, part_.settings, nullptr, {});
    if (!machine) return problem(machine.fault());
    machine_ = std::move(*machine);
    if (auto opened = group::openInMemory(*machine_); !opened) return problem(opened.fault());
    if (!part_.loadFrom.empty()) {
      FileSource from(part_.loadFrom);
      Result<void> loaded = machine_->load(from);
      if (!loaded) return problem(loaded.fault());
      loadTimers();
      sayDigest(part_.first - 1);
    }
    base::Prng prng(part_.first + 1);
    for (uint64_t next = part_.first; next < part_.limit;) {
      if (next % kWakeEvery == 0 && !wake(next)) return false;
      uint64_t most = std::min(part_.limit - next, part_.shuffled ? 1 + prng.below(kRunMax) : 1);
      most = std::min(most, kWakeEvery - next % kWakeEvery);
      std::vector<WorkloadCall> calls = runFrom(next, most);
      bool went = calls[0].query ? query(calls, next) : apply(calls, next);
      if (!went) return false;
      next += calls.size();
      sayDigest(next - 1);
    }
    return save();
  }

private:
  bool problem(const Fault& fault) {
    teller_.say(kTwinProblem, part_.first, fault.text);
    return false;
  }

  // Commands up to the next query, or one query.
  std::vector<WorkloadCall> runFrom(uint64_t first, uint64_t most) {
    std::vector<WorkloadCall> calls;
    while (calls.size() < most) {
      WorkloadCall call = workload_.call(first + calls.size());
      bool alone = call.query;
      if (alone && !calls.empty()) break;
      calls.push_back(std::move(call));
      if (alone) break;
    }
    return calls;
  }

  static int64_t timeUsOf(uint64_t number) {
    return kFirstTimeUs + static_cast<int64_t>(number * 700'001);
  }

  // Fires what is due by the time of that call, behind the call before it.
  bool wake(uint64_t number) {
    timers_.takeDue(timeUsOf(number), due_);
    if (due_.empty()) return true;
    std::vector<group::MachineCommand> commands;
    std::string tokens;
    for (const group::Timers::Timer& timer : due_) {
      group::MachineCommand command;
      command.position = {number, static_cast<uint32_t>(commands.size() + 1)};
      command.term = 1 + number / 500;
      command.timeUs = timeUsOf(number);
      command.seed = mixed(mixed(part_.seed, number), commands.size() + 1);
      command.wakes = true;
      command.token = timer.token;
      if (commands.size() < kTokensToldMax) tokens += " " + std::to_string(timer.token);
      commands.push_back(command);
    }
    if (due_.size() > kTokensToldMax) tokens += " …";
    teller_.say(kTwinWake, number, std::to_string(due_.size()) + " timers:" + tokens);
    KeepsTimers answers(timers_);
    soilStack(part_.shuffled ? 0x77 : 0);
    group::Machine::ApplyEnd end = machine_->apply(commands.data(), commands.size(), answers);
    if (!end.fault) return true;
    uint64_t token = commands[std::min(end.applied, commands.size() - 1)].token;
    teller_.say(kTwinFault, number, "wake(" + std::to_string(token) + "): " + end.fault->text);
    return false;
  }

  group::MachineCommand commandOf(const WorkloadCall& call, uint64_t number) const {
    group::MachineCommand command;
    command.position = {number + 1, 0};
    command.term = 1 + number / 500;
    command.timeUs = timeUsOf(number);
    command.seed = mixed(part_.seed, number + 1);
    command.session = number % 3;
    command.interfaceId = call.interfaceId;
    command.method = call.method;
    command.params = call.params.view();
    return command;
  }

  bool apply(const std::vector<WorkloadCall>& calls, uint64_t first) {
    std::vector<group::MachineCommand> commands;
    for (const WorkloadCall& call : calls) {
      teller_.say(kTwinCall, first + commands.size(), call.text);
      commands.push_back(commandOf(call, first + commands.size()));
    }
    Told told(timers_, teller_, workload_, calls, first);
    soilStack(part_.shuffled ? 0x77 : 0);
    group::Machine::ApplyEnd end = machine_->apply(commands.data(), commands.size(), told);
    if (end.fault) teller_.say(kTwinFault, first + end.applied, end.fault->text);
    return !end.fault;
  }

  bool query(const std::vector<WorkloadCall>& calls, uint64_t number) {
    teller_.say(kTwinCall, number, calls[0].text);
    group::MachineCommand question = commandOf(calls[0], number);
    Told told(timers_, teller_, workload_, calls, number);
    soilStack(part_.shuffled ? 0x77 : 0);
    Result<void> answered = machine_->query(question, told);
    if (!answered) teller_.say(kTwinFault, number, answered.fault().text);
    return answered.ok();
  }

  void sayDigest(uint64_t number) {
    if (std::optional<uint64_t> digest = machine_->digest()) {
      teller_.say(kTwinDigest, number, hex(*digest));
    }
  }

  bool save() {
    if (part_.saveTo.empty()) return true;
    auto capture = machine_->capture();
    if (!capture) return problem(capture.fault());
    FileSink to(part_.saveTo);
    Result<void> saved = (*capture)->save(to);
    if (!saved) return problem(saved.fault());
    std::ofstream timers(part_.saveTo + kTimersEnding);
    for (const group::Timers::Timer& timer : timers_.inOrder()) {
      timers << timer.timeUs << ' ' << timer.token << '\n';
    }
    if (timers.flush()) return true;
    return problem({ErrorCode::io, "a snapshot's timers cannot be written", {}});
  }

  void loadTimers() {
    std::ifstream file(part_.loadFrom + kTimersEnding);
    group::Timers::Timer timer;
    while (file >> timer.timeUs >> timer.token) timers_.set(timer);
  }

  const TwinPart& part_;
  const flotilla_descriptor& descriptor_;
  Workload workload_;
  Teller& teller_;
  std::unique_ptr<group::Machine> machine_;
  group::Timers timers_;
  std::vector<group::Timers::Timer> due_;
};

}  // namespace

std::vector<std::string> wordsOf(const TwinPart& part) {
  std::vector<std::string> words{kWord,
                                 part.file,
                                 std::to_string(part.seed),
                                 std::to_string(part.first),
                                 std::to_string(part.limit),
                                 part.loadFrom,
                                 part.saveTo,
                                 part.shuffled ? "shuffled" : "fresh"};
  for (const auto& [key, value] : part.settings) {
    words.push_back(key);
    words.push_back(value);
  }
  return words;
}

bool isTwinPart(const std::vector<std::string>& words) {
  return words.size() >= 8 && words[0] == kWord;
}

TwinPart twinPartFrom(const std::vector<std::string>& words) {
  auto number = [](const std::string& word) { return std::strtoull(word.c_str(), nullptr, 10); };
  TwinPart part;
  part.file = words[1];
  part.seed = number(words[2]);
  part.first = number(words[3]);
  part.limit = number(words[4]);
  part.loadFrom = words[5];
  part.saveTo = words[6];
  part.shuffled = words[7] == "shuffled";
  for (size_t i = 8; i + 1 < words.size(); i += 2) {
    part.settings.emplace_back(words[i], words[i + 1]);
  }
  return part;
}

int playTwinPart(const TwinPart& part) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  Teller teller;
  if (part.shuffled) shuffleHeap();
  Result<Library> library = Library::open(part.file);
  if (!library) {
    teller.say(kTwinProblem, part.first, library.fault().text);
    return 0;
  }
  Player player(part, *library->descriptor(), teller);
  if (player.play()) teller.say(kTwinEnd, part.limit, "");
  ::_exit(0);  // statics of the plugin are not asked to end well
}

}  // namespace flotilla::plugin
