// What clients saw of one key, and whether one order of events explains it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/kv_calls.h"

namespace flotilla::sim {

constexpr uint64_t kNever = UINT64_MAX;

// A call between its beginning and its end, which are places in one order of all of a world's
// moments. A write that never ended may have happened, or may yet happen; a read that never ended
// is left out.
struct Operation {
  KvMethod method = KvMethod::put;
  uint64_t begun = 0;
  uint64_t ended = kNever;
  ValueId value = 0;     // written; get: seen, 0 where there was none
  ValueId expected = 0;  // compareAndSet
  bool set = false;      // compareAndSet that ended: it did
  ValueId current = 0;   // compareAndSet that ended and did not set: what was there
};

constexpr size_t kOperationsMax = 320;  // of one key

enum class Verdict { linearizable, notLinearizable, undecided };

// Wing and Gong's search with Lowe's memory of states seen. Undecided past `statesMax` states.
Verdict judgeHistory(const std::vector<Operation>& operations, size_t statesMax = 2'000'000);
std::string describe(const std::vector<Operation>& operations);  // a line each

}  // namespace flotilla::sim
