// flotilla-sim: whole clusters of shipped code, by seed.
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/sim/run.h"
#include "tests/sim/workers.h"

namespace {

using flotilla::sim::Count;
using flotilla::sim::Report;
using flotilla::sim::SeedEnd;

constexpr const char* kHelp =
    "Usage: flotilla-sim [--seeds N] [--first-seed S] [--seed S] [--again FILE] [--jobs J]\n"
    "                    [--first-failure] [--trace] [--json]\n"
    "\n"
    "Runs whole clusters of hosts in one process, with simulated disks, networks and clocks, one\n"
    "history a seed, and checks what must hold at every step and at the end.\n"
    "\n"
    "  --seeds N        so many seeds; default $FLOTILLA_SIM_SEEDS, else 300\n"
    "  --first-seed S   from this one on; default 1\n"
    "  --seed S         this one alone\n"
    "  --again FILE     these first: a seed a line, the rest of the line is a remark\n"
    "  --jobs J         side by side; default: as many as there are cores\n"
    "  --first-failure  ends with the first seed that fails\n"
    "  --trace          prints what each seed expands to and all that happens in it; one job\n"
    "  --json           prints nothing but the last line, a JSON object\n"
    "\n"
    "Exit codes: 0 all held, 1 something did not, 2 the command line was wrong.\n";
constexpr uint64_t kSeedsDefault = 300;
constexpr size_t kViolationsShownMax = 20;

struct Line {
  std::optional<uint64_t> seeds;
  uint64_t first = 1;
  std::vector<uint64_t> again;
  uint32_t jobs = 0;
  bool firstFailure = false;
  bool trace = false;
  bool json = false;
};

[[noreturn]] void wrong(const std::string& text) {
  std::fprintf(stderr, "flotilla-sim: %s; see --help\n", text.c_str());
  std::exit(2);
}

uint64_t number(const std::string& option, const char* text) {
  if (text == nullptr) wrong(option + ": no number follows");
  char* rest = nullptr;
  uint64_t value = std::strtoull(text, &rest, 10);
  if (rest == text || *rest != '\0') wrong(option + ": \"" + text + "\" is no number");
  return value;
}

std::vector<uint64_t> readSeeds(const char* path) {
  if (path == nullptr) wrong("--again: no file follows");
  std::ifstream file(path);
  if (!file) wrong(std::string("--again ") + path + ": cannot be read");
  std::vector<uint64_t> seeds;
  std::string line;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    seeds.push_back(std::strtoull(line.c_str(), nullptr, 10));
  }
  return seeds;
}

Line parse(int argc, char** argv) {
  Line line;
  for (int i = 1; i < argc; ++i) {
    std::string option = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (option == "--help") {
      std::fputs(kHelp, stdout);
      std::exit(0);
    } else if (option == "--trace") {
      line.trace = true;
    } else if (option == "--first-failure") {
      line.firstFailure = true;
    } else if (option == "--json") {
      line.json = true;
    } else if (option == "--seeds") {
      line.seeds = number(option, value), ++i;
    } else if (option == "--first-seed") {
      line.first = number(option, value), ++i;
    } else if (option == "--seed") {
      line.first = number(option, value), ++i;
      line.seeds = 1;
    } else if (option == "--jobs") {
      line.jobs = static_cast<uint32_t>(number(option, value)), ++i;
    } else if (option == "--again") {
      line.again = readSeeds(value), ++i;
    } else {
      wrong("unknown option " + option);
    }
  }
  if (!line.seeds) {
    const char* wanted = std::getenv("FLOTILLA_SIM_SEEDS");
    line.seeds = wanted == nullptr ? kSeedsDefault : number("FLOTILLA_SIM_SEEDS", wanted);
  }
  if (line.jobs == 0) line.jobs = std::max(1U, std::thread::hardware_concurrency());
  return line;
}

// What many seeds must have seen at least, or they have shown nothing; empty: they have.
std::string idleness(const Report& all) {
  struct Least {
    Count count;
    uint64_t ofHundred;  // for each hundred seeds
  };
  constexpr Least kLeast[] = {{Count::commands, 10'000},   {Count::queries, 3000},
                              {Count::elections, 500},     {Count::crashes, 200},
                              {Count::lostWrites, 100},    {Count::cuts, 100},
                              {Count::pauses, 40},         {Count::stalls, 40},
                              {Count::syncErrors, 10},     {Count::fullDisks, 10},
                              {Count::machineFaults, 5},   {Count::snapshots, 300},
                              {Count::installs, 50},       {Count::membershipChanges, 100},
                              {Count::transfers, 40},      {Count::fetches, 100},
                              {Count::retries, 300},       {Count::judged, 10'000},
                              {Count::joints, 20},         {Count::leadersRemoved, 10},
                              {Count::shrinks, 5},         {Count::grows, 5},
                              {Count::disksLost, 10},      {Count::replaced, 10},
                              {Count::lostMessages, 1000}, {Count::sleeps, 300},
                              {Count::timersFired, 1000},  {Count::arrivalsBroken, 20},
                              {Count::chunksKept, 10},     {Count::chunksCopied, 3},
                              {Count::chunksDamaged, 5},   {Count::eventsHeard, 2000},
                              {Count::eventsMissed, 100},  {Count::alike, 100},
                              {Count::stayed, 1000},       {Count::ticksLeftOut, 1000}};
  uint64_t seeds = all[Count::seeds];
  if (seeds < 50) return "";
  for (const Least& least : kLeast) {
    if (all[least.count] * 100 >= least.ofHundred * seeds) continue;
    return std::string(flotilla::sim::kCountNames[static_cast<size_t>(least.count)]) + ": " +
           std::to_string(all[least.count]) + " in " + std::to_string(seeds) +
           " seeds, fewer than " + std::to_string(least.ofHundred) + " in a hundred";
  }
  return "";
}

// Owner:  main. Thread: one. Errors: none.
class Tally {
public:
  explicit Tally(const Line& line) : line_(line) {}

  void take(uint64_t seed, const SeedEnd& end) {
    all_.add(end.report);
    hash_ += end.traceHash * (2 * seed + 1);
    if (!end.violation) return;
    failed_.push_back(seed);
    if (failed_.size() > kViolationsShownMax) return;
    std::fprintf(stderr, "seed %" PRIu64 ": %s\nflotilla-sim --seed %" PRIu64 " --trace\n", seed,
                 end.violation->c_str(), seed);
  }

  int end() {
    std::string idle = idleness(all_);
    if (!idle.empty())
      std::fprintf(stderr, "flotilla-sim: too little happened: %s\n", idle.c_str());
    if (!failed_.empty() && line_.seeds != 1) {
      std::fprintf(stderr, "flotilla-sim --seed %" PRIu64 " --trace\n", failed_.front());
    }
    std::string json = "{";
    for (size_t i = 0; i < all_.counts.size(); ++i) {
      json += std::string("\"") + flotilla::sim::kCountNames[i] +
              "\":" + std::to_string(all_.counts[i]) + ",";
    }
    char hash[32];
    std::snprintf(hash, sizeof hash, "%016" PRIx64, hash_);
    json += std::string("\"traceHash\":\"") + hash + "\",\"failedSeeds\":[";
    for (size_t i = 0; i < failed_.size(); ++i) json += (i ? "," : "") + std::to_string(failed_[i]);
    std::printf("%s]}\n", json.c_str());
    return failed_.empty() && idle.empty() ? 0 : 1;
  }

private:
  const Line& line_;
  Report all_;
  uint64_t hash_ = 0;
  std::vector<uint64_t> failed_;
};

}  // namespace

int main(int argc, char** argv) {
  Line line = parse(argc, argv);
  std::vector<uint64_t> seeds = line.again;
  for (uint64_t i = 0; i < *line.seeds; ++i) seeds.push_back(line.first + i);
  Tally tally(line);
  if (line.trace) {
    for (uint64_t seed : seeds) {
      flotilla::sim::Options options = flotilla::sim::optionsOf(seed);
      std::printf("%s\n", describe(options).c_str());
      std::fflush(stdout);
      tally.take(seed, flotilla::sim::runSeed(options, true));
    }
    return tally.end();
  }
  if (!line.json) {
    std::printf("flotilla-sim: %zu seeds, %" PRIu64 " from %" PRIu64 ", jobs %u\n", seeds.size(),
                *line.seeds, line.first, line.jobs);
    if (seeds.size() == 1) {
      std::printf("%s\n", describe(flotilla::sim::optionsOf(seeds.front())).c_str());
    }
    std::fflush(stdout);
  }
  flotilla::sim::runSeeds(seeds, line.jobs, [&](uint64_t seed, const SeedEnd& end) {
    tally.take(seed, end);
    return !(line.firstFailure && end.violation);
  });
  return tally.end();
}
