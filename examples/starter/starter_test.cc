// The plugin starter in memory: what its methods answer, and that a restart forgets nothing.
#include "starter.cc"

#include <flotilla/harness.h>

using flotilla::testing::expect;
using flotilla::testing::Harness;

int main() {
  Harness<StarterMachine> machine({FLOTILLA_HANDLERS(StarterMachine, add, read)});
  auto add = [&](const char* name, int64_t by) {
    return machine.call<&StarterMachine::add>([&](auto in) {
      in.setName(name);
      in.setBy(by);
    });
  };
  auto read = [&](const char* name) {
    return machine.call<&StarterMachine::read>([&](auto in) { in.setName(name); });
  };

  expect(add("apples", 3).result().getValue() == 3);
  expect(add("apples", -1).result().getValue() == 2);
  expect(add("", 1).code() == "emptyName");

  machine.restart();  // into a new machine, through a snapshot
  expect(read("apples").result().getValue() == 2);
  expect(read("pears").result().getValue() == 0);
}
