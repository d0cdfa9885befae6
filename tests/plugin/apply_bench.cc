// What a put costs through the boundary, and a Table's write beside std::map's. Not a test: prints.
#include <cstdio>
#include <ctime>
#include <map>

#include "flotilla/table.h"
#include "host/base/prng.h"
#include "tests/plugin/kv_calls.h"

namespace flotilla::test {
namespace {

constexpr size_t kRun = 1000;
constexpr size_t kValueBytes = 128;

class Counting final : public group::Answers {
public:
  void result(size_t, std::string_view segment) override { bytes += segment.size(); }
  void error(size_t, std::string_view, std::string_view) override { ++errors; }
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
  std::string value(128, 'v');
  for (uint64_t keys : {10'000ULL, 1'000'000ULL}) {
    std::map<std::string, std::string> map;
    test::compare("std::map", keys, [&](const std::string& key) { map[key] = value; });
    flotilla::Table<std::string, std::string> table;
    test::compare("Table", keys, [&](const std::string& key) { table.set(key, value); });
  }
  return 0;
}
