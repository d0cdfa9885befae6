// A seed is a history, the same each time; and each history has something in it.
#include "tests/sim/run.h"

#include <doctest/doctest.h>

namespace flotilla::sim {
namespace {

// Without faults, and with time for much.
Options goodDays() {
  Options options;
  options.seed = 1;
  options.stormUs = 3'000'000;
  options.calmUsMax = 10'000'000;
  return options;
}

}  // namespace

TEST_CASE("sim/run: a seed gives the same history each time, another seed another") {
  uint64_t before = 0;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SeedEnd one = runSeed(optionsOf(seed), false);
    SeedEnd again = runSeed(optionsOf(seed), false);
    CHECK(one.traceHash == again.traceHash);
    CHECK(one.report.counts == again.report.counts);
    CHECK(one.traceHash != before);
    before = one.traceHash;
  }
}

TEST_CASE("sim/run: on good days nothing goes wrong, and much is done") {
  Options options = goodDays();
  options.snapshotEveryEntries = 50;
  SeedEnd end = runSeed(options, false);
  CHECK_MESSAGE(!end.violation, end.violation.value_or(""));
  CHECK(end.report[Count::commands] > 200);
  CHECK(end.report[Count::queries] > 100);
  CHECK(end.report[Count::elections] == 1);
  CHECK(end.report[Count::faults] == 0);
  CHECK(end.report[Count::unknowns] == 0);
  CHECK(end.report[Count::snapshots] > 3);
}

TEST_CASE("sim/run: what gives way is put off, and hurried where somebody waits") {
  Options options = goodDays();
  options.giveWayUsMax = 400'000;
  options.staleReads = 200;
  SeedEnd end = runSeed(options, false);
  CHECK_MESSAGE(!end.violation, end.violation.value_or(""));
  CHECK(end.report[Count::commands] > 200);
  CHECK(end.report[Count::putOff] > 50);
  CHECK(end.report[Count::hurried] > 10);
}

TEST_CASE("sim/run: what cannot come to rest is a violation") {
  Options options;
  options.seed = 1;
  options.stormUs = 500'000;
  options.calmUsMax = 0;
  options.thinkUsMax = 60'000'000;  // nobody has asked anything by then
  SeedEnd end = runSeed(options, false);
  REQUIRE(end.violation.has_value());
  CHECK(end.violation->find("calm for 0 s") != std::string::npos);
}

TEST_CASE("sim/options: seeds differ in all that matters, and say so in one line") {
  bool large = false;
  bool crashes = false;
  bool leases = false;
  bool drifting = false;
  bool lossless = false;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    Options options = optionsOf(seed);
    large = large || (options.hosts == 7 && options.groups > 1);
    crashes = crashes || options.everyCrash != 0;
    leases = leases || options.leaseReads;
    drifting = drifting || options.rateMax == 2000;
    lossless = lossless || options.loss == 0;
    // A lease is worth nothing beyond the clocks' stated bound.
    if (options.leaseReads) CHECK(options.rateMax * 10 < options.rateMin * 11);
    std::string line = describe(options);
    CHECK(line.find("seed=" + std::to_string(seed) + " ") == 0);
    CHECK(line.find('\n') == std::string::npos);
  }
  CHECK(large);
  CHECK(crashes);
  CHECK(leases);
  CHECK(drifting);
  CHECK(lossless);
}

}  // namespace flotilla::sim
