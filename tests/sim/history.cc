// What clients saw of one key.
#include "tests/sim/history.h"

#include <algorithm>
#include <bitset>
#include <unordered_set>

#include "host/base/assert.h"

namespace flotilla::sim {
namespace {

using Done = std::bitset<kOperationsMax>;

struct State {
  Done done;
  ValueId value = 0;
  bool operator==(const State&) const = default;
};
struct StateHash {
  size_t operator()(const State& state) const {
    return std::hash<Done>()(state.done) ^ (state.value * 0x9e3779b97f4a7c15ULL);
  }
};

// What the key holds after the operation; nothing where it cannot have gone so.
std::optional<ValueId> after(const Operation& it, ValueId held) {
  switch (it.method) {
    case KvMethod::put:
      return it.value;
    case KvMethod::get:
      return it.value == held ? std::optional(held) : std::nullopt;
    case KvMethod::compareAndSet: {
      bool sets = held == it.expected;
      if (it.ended != kNever && (it.set != sets || (!sets && it.current != held))) {
        return std::nullopt;
      }
      return sets ? it.value : held;
    }
  }
  return std::nullopt;
}

// Owner:  judgeHistory. Thread: one. Errors: none.
class Search {
public:
  Search(const std::vector<Operation>& operations, size_t statesMax)
      : operations_(operations), statesMax_(statesMax) {
    std::sort(operations_.begin(), operations_.end(),
              [](const Operation& one, const Operation& two) { return one.begun < two.begun; });
    ended_ =
        static_cast<size_t>(std::count_if(operations_.begin(), operations_.end(),
                                          [](const Operation& it) { return it.ended != kNever; }));
  }

  Verdict run() {
    struct Step {
      size_t operation;
      ValueId before;
    };
    std::vector<Step> path;
    State state;
    size_t endedDone = 0;
    size_t from = 0;
    while (endedDone < ended_) {
      if (seen_.size() > statesMax_) return Verdict::undecided;
      bool moved = false;
      // Nobody can come after the end of one that has not been placed yet.
      uint64_t limit = earliestEnd(state.done);
      for (size_t i = from; i < operations_.size() && operations_[i].begun < limit; ++i) {
        if (state.done[i]) continue;
        std::optional<ValueId> held = after(operations_[i], state.value);
        if (!held) continue;
        State next = state;
        next.done.set(i);
        next.value = *held;
        if (!seen_.insert(next).second) continue;
        path.push_back({i, state.value});
        state = next;
        if (operations_[i].ended != kNever) ++endedDone;
        from = 0;
        moved = true;
        break;
      }
      if (moved) continue;
      if (path.empty()) return Verdict::notLinearizable;
      Step last = path.back();
      path.pop_back();
      state.done.reset(last.operation);
      state.value = last.before;
      if (operations_[last.operation].ended != kNever) --endedDone;
      from = last.operation + 1;
    }
    return Verdict::linearizable;
  }

private:
  uint64_t earliestEnd(const Done& done) const {
    uint64_t earliest = kNever;
    for (size_t i = 0; i < operations_.size(); ++i) {
      if (operations_[i].begun >= earliest) break;
      if (!done[i]) earliest = std::min(earliest, operations_[i].ended);
    }
    return earliest;
  }

  std::vector<Operation> operations_;
  size_t statesMax_;
  size_t ended_ = 0;
  std::unordered_set<State, StateHash> seen_;
};

}  // namespace

Verdict judgeHistory(const std::vector<Operation>& operations, size_t statesMax) {
  ASSERT(operations.size() <= kOperationsMax);
  return Search(operations, statesMax).run();
}

std::string describe(const std::vector<Operation>& operations) {
  std::string lines;
  for (const Operation& it : operations) {
    lines += "  [" + std::to_string(it.begun) + ", " +
             (it.ended == kNever ? std::string("never") : std::to_string(it.ended)) + "] ";
    if (it.method == KvMethod::put) {
      lines += "put " + std::to_string(it.value);
    } else if (it.method == KvMethod::get) {
      lines += "get → " + std::to_string(it.value);
    } else {
      lines += "compareAndSet " + std::to_string(it.expected) + " → " + std::to_string(it.value) +
               (it.ended == kNever ? ""
                : it.set           ? ": set"
                                   : ": was " + std::to_string(it.current));
    }
    lines += "\n";
  }
  return lines;
}

}  // namespace flotilla::sim
