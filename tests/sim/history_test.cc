// The judge of histories is judged.
#include "tests/sim/history.h"

#include <doctest/doctest.h>

#include "host/base/prng.h"

namespace flotilla::sim {
namespace {

Operation put(uint64_t begun, uint64_t ended, ValueId value) {
  return {KvMethod::put, begun, ended, value, 0, false, 0};
}
Operation get(uint64_t begun, uint64_t ended, ValueId value) {
  return {KvMethod::get, begun, ended, value, 0, false, 0};
}
Operation swap(uint64_t begun, uint64_t ended, ValueId expected, ValueId value, bool set,
               ValueId current = 0) {
  return {KvMethod::compareAndSet, begun, ended, value, expected, set, current};
}
bool fits(const std::vector<Operation>& operations) {
  return judgeHistory(operations) == Verdict::linearizable;
}

}  // namespace

TEST_CASE("sim/history: what happened one after the other is read so") {
  CHECK(fits({}));
  CHECK(fits({get(1, 2, 0), put(3, 4, 7), get(5, 6, 7)}));
  CHECK(!fits({put(1, 2, 7), get(3, 4, 0)}));
  CHECK(!fits({put(1, 2, 7), put(3, 4, 8), get(5, 6, 7)}));
}

TEST_CASE("sim/history: what overlaps may have gone either way, but one way for all") {
  CHECK(fits({put(1, 6, 7), get(2, 3, 0), get(4, 5, 7)}));
  CHECK(!fits({put(1, 6, 7), get(2, 3, 7), get(4, 5, 0)}));
  CHECK(fits({put(1, 4, 7), put(2, 3, 8), get(5, 6, 7)}));
  CHECK(fits({put(1, 4, 7), put(2, 3, 8), get(5, 6, 8)}));
  CHECK(!fits({put(1, 4, 7), put(2, 3, 8), get(5, 6, 7), get(7, 8, 8)}));
}

TEST_CASE("sim/history: an unknown write may have happened, or happens later, or never") {
  CHECK(fits({put(1, kNever, 7), get(2, 3, 0), get(4, 5, 7)}));
  CHECK(fits({put(1, kNever, 7), get(2, 3, 0), get(4, 5, 0)}));
  CHECK(!fits({put(1, kNever, 7), get(2, 3, 7), get(4, 5, 0)}));
  CHECK(!fits({get(1, 2, 7), put(3, kNever, 7)}));
}

TEST_CASE("sim/history: a compareAndSet says what it found") {
  CHECK(fits(
      {swap(1, 2, 0, 7, true), swap(3, 4, 0, 8, false, 7), swap(5, 6, 7, 9, true), get(7, 8, 9)}));
  CHECK(!fits({swap(1, 4, 0, 7, true), swap(2, 3, 0, 8, true)}));
  CHECK(!fits({put(1, 2, 7), swap(3, 4, 0, 8, false, 9)}));
  CHECK(fits({swap(1, kNever, 0, 7, false), swap(2, 3, 0, 8, false, 7)}));
}

// Histories made by carrying operations out at a moment between their ends fit; with one read
// changed to what was never there, they do not.
TEST_CASE("sim/history: long histories are judged") {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    base::Prng dice(seed);
    std::vector<Operation> operations;
    ValueId held = 0;
    uint64_t moment = 100;
    for (ValueId value = 1; value <= 250; ++value) {
      moment += 10;
      uint64_t begun = moment - dice.below(60);
      uint64_t ended = moment + 1 + dice.below(60);  // a call takes time
      if (dice.chance(500)) {
        operations.push_back(get(begun * 1000 + value, ended * 1000 + value, held));
      } else {
        operations.push_back(put(begun * 1000 + value, ended * 1000 + value, value));
        held = value;
      }
    }
    CHECK(fits(operations));
    for (Operation& it : operations) {
      if (it.method != KvMethod::get) continue;
      it.value = 1'000'000;
      break;
    }
    CHECK(judgeHistory(operations) == Verdict::notLinearizable);
  }
}

}  // namespace flotilla::sim
