// What a put costs through the boundary, and a Table's write beside std::map's. Not a test: prints.
#include <cstdio>
#include <ctime>
#include <map>

#include "flotilla/table.h"
#include "host/base/prng.h"
#include "host/group/applier.h"
#include "host/group/entry.h"
#include "tests/plugin/kv_calls.h"

namespace flotilla::test {
namespace {

constexpr size_t kRun = 1000;
constexpr size_t kValueBytes = 128;

class Counting final : public group::Answers {
public:
  void result(size_t, std::string_view segment) override { bytes += segment.size(); }
  void error(size_t, std::string_view, std::string_view) override { ++errors; }
  bool wakeAt(size_t, int64_t, uint64_t) override { return false; }
  bool emit(size_t, std::string_view, std::string_view) override { return false; }
  uint64_t bytes = 0;
  uint64_t errors = 0;
};

// Of this thread's own processor time: the machine may be busy with other things.
double now() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

void putThrough(group::Machine& machine, uint64_t keys, size_t runs, const char* what) {
  base::Prng prng(7);
  std::string value(kValueBytes, 'v');
  double spent = 0;
  Counting counting;
  for (size_t run = 0; run < runs; ++run) {
    std::vector<Bytes> params;
    std::vector<group::MachineCommand> commands;
    for (size_t i = 0; i < kRun; ++i) {
      params.push_back(putParams("key-" + std::to_string(prng.below(keys)), value));
    }
    for (size_t i = 0; i < kRun; ++i) {
      commands.push_back(commandAt(run + 1, static_cast<uint32_t>(i), 0, params[i]));
    }
    double start = now();
    auto end = machine.apply(commands.data(), commands.size(), counting);
    spent += (now() - start);
    if (end.fault) std::printf("%s\n", end.fault->text.c_str());
  }
  std::printf("%-40s %8llu keys  %6.3f us/put  errors %llu\n", what,
              static_cast<unsigned long long>(keys), spent * 1e6 / static_cast<double>(runs * kRun),
              static_cast<unsigned long long>(counting.errors));
}

// The whole of what a replica does with committed entries: decoding, sessions, the machine,
// answers.
void putThroughApplier(const flotilla_descriptor* descriptor, uint64_t keys, bool answers) {
  group::Applier applier({1, 1}, [descriptor](const std::string&) {
    return plugin::makeMachine(descriptor, {}, nullptr, {1, 1});
  });
  if (auto begun = applier.begin(); !begun) std::printf("%s\n", begun.fault().text.c_str());
  applier.apply({0, {{1, 1, group::encodeOpenSession(1, 1)}}, false});
  base::Prng prng(7);
  std::string value(kValueBytes, 'v');
  double spent = 0;
  uint64_t sequence = 0;
  constexpr size_t kEntries = 2000;
  for (raft::Index index = 2; index < kEntries + 2; ++index) {
    std::vector<group::Call> calls;
    for (size_t i = 0; i < kRun / 2; ++i) {
      group::Call& call = calls.emplace_back();
      call.stamp = {1, ++sequence, sequence > 2 * kRun ? sequence - 2 * kRun : 0};
      call.params = putParams("key-" + std::to_string(prng.below(keys)), value);
      call.interfaceId = capnp::typeId<Kv>();
    }
    Bytes payload = group::encodeCommands(static_cast<int64_t>(index), calls);
    double start = now();
    auto applied = applier.apply({0, {{index, 1, std::move(payload)}}, answers});
    spent += now() - start;
    if (applied.fault) std::printf("%s\n", applied.fault->text.c_str());
  }
  std::printf("%-40s %8llu keys  %6.3f us/put\n",
              answers ? "applier, stamped, answers wanted" : "applier, stamped",
              static_cast<unsigned long long>(keys), spent * 1e6 / kEntries / (kRun / 2));
}

template <typename Write>
void compare(const char* what, uint64_t keys, Write&& write) {
  base::Prng prng(9);
  std::vector<std::string> names;
  for (size_t i = 0; i < 1'000'000; ++i) names.push_back("key-" + std::to_string(prng.below(keys)));
  for (const char* pass : {"insert", "overwrite"}) {
    double start = now();
    for (const std::string& name : names) write(name);
    std::printf("%-20s %-10s %8llu keys  %6.3f us/write\n", what, pass,
                static_cast<unsigned long long>(keys), (now() - start));
  }
}

}  // namespace
}  // namespace flotilla::test

int main(int argc, char** argv) {
  using namespace flotilla;
  if (argc < 2) return 2;
  auto library = plugin::Library::open(argv[1]);
  if (!library) {
    std::printf("%s\n", library.fault().text.c_str());
    return 1;
  }
  for (uint64_t keys : {10'000ULL, 100'000ULL, 1'000'000ULL}) {
    auto machine = plugin::makeMachine(library->descriptor(), {}, nullptr, {1, 1});
    test::putThrough(**machine, keys, 1000, "kv apply, first million");
    test::putThrough(**machine, keys, 1000, "kv apply, second million");
  }
  for (bool answers : {true, false}) {
    test::putThroughApplier(library->descriptor(), 100'000, answers);
  }
  std::string value(128, 'v');
  for (uint64_t keys : {10'000ULL, 1'000'000ULL}) {
    std::map<std::string, std::string> map;
    test::compare("std::map", keys, [&](const std::string& key) { map[key] = value; });
    flotilla::Table<std::string, std::string> table;
    test::compare("Table", keys, [&](const std::string& key) { table.set(key, value); });
  }
  return 0;
}
