// The counter example, as its author would test it.
#include <doctest/doctest.h>

#define FLOTILLA_PLUGIN_NAME "counter"
#include "examples/counter/counter.cc"
#include "flotilla/harness.h"

using flotilla::testing::Harness;

TEST_CASE("sdk/harness: counters count, refuse what has no name, and survive a restart") {
  Harness<Counters> counter({FLOTILLA_HANDLERS(Counters, add, read)});
  auto add = [&](const char* name, int64_t by) {
    return counter.call<&Counters::add>([&](auto in) {
      in.setName(name);
      in.setBy(by);
    });
  };
  auto read = [&](const char* name) {
    return counter.call<&Counters::read>([&](auto in) { in.setName(name); }).result().getValue();
  };
  CHECK(add("ships", 3).result().getValue() == 3);
  CHECK(add("ships", -1).result().getValue() == 2);
  CHECK(add("", 1).code() == "emptyName");
  CHECK(add("", 1).text() == "a counter needs a name");
  CHECK_THROWS(add("", 1).result());
  uint64_t digest = counter.digest();
  counter.restart();
  CHECK(counter.digest() == digest);
  CHECK(read("ships") == 2);
  CHECK(read("boats") == 0);
  CHECK(add("ships", INT64_MAX).result().getValue() == INT64_MIN + 1);
}
