// Seeds run side by side, each worker a child, so that a seed that aborts takes only itself along.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/sim/run.h"

namespace flotilla::sim {

// How a seed went. False: enough was seen.
using SeedEnded = std::function<bool(uint64_t seed, const SeedEnd& end)>;

// Runs each seed in one of `jobs` children and hands over its end as it comes. A child that dies is
// a violation of the seed it was at; another takes its place.
void runSeeds(const std::vector<uint64_t>& seeds, uint32_t jobs, const SeedEnded& ended);

}  // namespace flotilla::sim
