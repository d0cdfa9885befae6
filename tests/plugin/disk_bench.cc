// What a state on disk costs beside one in memory: puts, a restart, memory. Not a test: prints.
//
//   bin/flotilla-disk-bench PLUGIN.so MIB DIRECTORY [overwrites]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <malloc.h>
#include <memory>

#include "host/base/prng.h"
#include "host/group/applier.h"
#include "host/group/entry.h"
#include "host/store/machine_places.h"
#include "host/store/snapshot_files.h"
#include "tests/plugin/kv_calls.h"

namespace flotilla::test {
namespace {

constexpr size_t kEntryPuts = 500;
constexpr size_t kValueBytes = 128;
constexpr group::ReplicaKey kReplica{1, 1};

double seconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

double residentMiB() {
  std::ifstream file("/proc/self/statm");
  double all = 0;
  double resident = 0;
  file >> all >> resident;
  return resident * 4096 / (1 << 20);
}

[[noreturn]] void die(const Fault& fault) {
  std::printf("%s\n", fault.text.c_str());
  std::exit(1);
}

class DiskBench {
public:
  DiskBench(const flotilla_descriptor* descriptor, const std::string& directory)
      : descriptor_(descriptor),
        places_(directory + "/machines"),
        snapshots_(directory + "/snapshots") {
    if (auto opened = places_.open(); !opened) die(opened.fault());
    if (auto opened = snapshots_.open(); !opened) die(opened.fault());
    begin();
    if (auto begun = applier_->begin(); !begun) die(begun.fault());
  }

  void put(const char* what, uint64_t puts, uint64_t keys, bool inOrder) {
    base::Prng prng(7);
    std::string value(kValueBytes, 'v');
    double wall = 0;
    double cpu = 0;
    for (uint64_t done = 0; done < puts; done += kEntryPuts) {
      std::vector<group::Call> calls;
      for (size_t i = 0; i < kEntryPuts; ++i) {
        uint64_t number = inOrder ? done + i : prng.below(keys);
        // Spread over the whole range, as names are.
        number = (number * 0x9e3779b97f4a7c15ULL) >> 20;
        group::Call& call = calls.emplace_back();
        std::snprintf(value.data(), 20, "%llu", static_cast<unsigned long long>(++written_));
        call.params = putParams("key-" + std::to_string(number), value);
        call.interfaceId = capnp::typeId<Kv>();
      }
      Bytes payload = group::encodeCommands(static_cast<int64_t>(index_ + 1), calls);
      double start = seconds(CLOCK_MONOTONIC);
      double startCpu = seconds(CLOCK_THREAD_CPUTIME_ID);
      auto applied = applier_->apply({0, {{++index_, 1, std::move(payload)}}, false});
      wall += seconds(CLOCK_MONOTONIC) - start;
      cpu += seconds(CLOCK_THREAD_CPUTIME_ID) - startCpu;
      if (applied.fault) die(*applied.fault);
    }
    std::printf(
        "%-12s %9llu puts  %8.0f puts/s  %6.2f us cpu/put  resident %6.0f MiB  machine %6.0f MiB\n",
        what, static_cast<unsigned long long>(puts), static_cast<double>(puts) / wall,
        cpu * 1e6 / static_cast<double>(puts), residentMiB(),
        static_cast<double>(applier_->machine()->memoryBytes()) / (1 << 20));
  }

  // All that a start of the host does before the first command.
  void restart() {
    raft::LogPoint at = applier_->at();
    bool onDisk = applier_->durable().has_value();
    uint64_t digest = applier_->machine()->digest().value_or(0);
    double start = seconds(CLOCK_MONOTONIC);
    if (onDisk) {
      if (auto synced = applier_->sync(); !synced) die(synced.fault());
    } else {
      raft::LogShape shape({}, {{1}, {}, {}, {}, false});
      shape.append(index_, 1);
      auto capture = applier_->capture(shape);
      if (!capture) die(capture.fault());
      auto file = snapshots_.begin(kReplica, at);
      if (!file) die(file.fault());
      if (auto saved = (*capture)->save(**file); !saved) die(saved.fault());
      if (auto finished = (*file)->finish(); !finished) die(finished.fault());
    }
    double saved = seconds(CLOCK_MONOTONIC) - start;
    applier_.reset();
    ::malloc_trim(0);
    double before = residentMiB();
    start = seconds(CLOCK_MONOTONIC);
    begin();
    if (onDisk) {
      auto store = places_.find(kReplica, 0);
      if (!store) die(store.fault());
      if (auto resumed = applier_->resume(*store); !resumed) die(resumed.fault());
    } else {
      auto reader = snapshots_.read(kReplica, at);
      if (!reader) die(reader.fault());
      if (auto installed = applier_->install(**reader, at); !installed) die(installed.fault());
    }
    double opened = seconds(CLOCK_MONOTONIC) - start;
    bool same = applier_->machine()->digest() == digest;
    std::printf(
        "restart      %s in %.3f s, before it saved in %.3f s; resident %.0f -> %.0f MiB%s\n",
        onDisk ? "opened" : "loaded", opened, saved, before, residentMiB(),
        same ? "" : "; DIGESTS DIFFER");
  }

private:
  void begin() {
    applier_ = std::make_unique<group::Applier>(
        kReplica,
        [this](const std::string&) {
          return plugin::makeMachine(descriptor_, {}, nullptr, kReplica);
        },
        [this]() { return places_.make(kReplica, 0); });
  }

  const flotilla_descriptor* descriptor_;
  store::MachinePlaces places_;
  store::SnapshotFiles snapshots_;
  std::unique_ptr<group::Applier> applier_;
  raft::Index index_ = 0;
  uint64_t written_ = 0;
};

}  // namespace
}  // namespace flotilla::test

int main(int argc, char** argv) {
  using namespace flotilla;
  if (argc < 4) {
    std::printf("give a plugin with kv's interface, the MiB of state, and an empty directory\n");
    return 2;
  }
  auto library = plugin::Library::open(argv[1]);
  if (!library) test::die(library.fault());
  uint64_t keys = std::strtoull(argv[2], nullptr, 10) * (1 << 20) / 150;
  uint64_t more = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : keys / 4;
  test::DiskBench bench(library->descriptor(), argv[3]);
  bench.put("insert", keys, keys, true);
  bench.put("overwrite", more, keys, false);
  bench.restart();
  bench.put("and on", more, keys, false);
  return 0;
}
