// What a call's end holds, and what a copy of it does.
#include "sdk/client/outcome.h"

#include <utility>

#include <doctest/doctest.h>

using namespace flotilla;  // NOLINT(google-build-using-namespace)
using client::HostAddress;
using client::Outcome;

TEST_CASE("client/outcome: a fault and a leader are copied with it, and go with a move") {
  Outcome failed = Outcome::failed({ErrorCode::notLeader, "elsewhere", ""});
  failed.leader = HostAddress{3, "h3:7000"};
  Outcome copy = failed;
  CHECK(copy.fault->text == "elsewhere");
  CHECK(copy.leader->address == "h3:7000");
  copy.fault->text = "another";
  CHECK(failed.fault->text == "elsewhere");

  Outcome moved = std::move(copy);
  CHECK(moved.fault->text == "another");
  moved = failed;
  CHECK(moved.fault->text == "elsewhere");
  moved = Outcome{};
  CHECK(moved.ok());
  CHECK(!moved.leader.has_value());
}

TEST_CASE("client/outcome: one that is well fits a line of the cache") {
  CHECK(sizeof(Outcome) <= 64);
  CHECK(Outcome{}.ok());
}
