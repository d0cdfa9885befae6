// Log time: never back, and slowly towards wall time.
#include "host/group/log_time.h"

#include <doctest/doctest.h>

namespace flotilla::group {

constexpr int64_t kSecond = 1'000'000;

TEST_CASE("group/log_time: the first stamp of a group is wall time") {
  LogTime time;
  CHECK(time.stamp({5, 1000 * kSecond}) == 1000 * kSecond);
}

TEST_CASE("group/log_time: a term goes on from the newest stamp, not from the new leader's clock") {
  LogTime time;
  time.heard(1000 * kSecond, 50 * kSecond);
  // Ten seconds later, with a wall clock that is a year ahead: a tenth faster, no more.
  int64_t stamp = time.stamp({60 * kSecond, 32'000'000 * kSecond});
  CHECK(stamp == 1011 * kSecond);
  CHECK(time.aheadOfWallUs({60 * kSecond, 32'000'000 * kSecond}) < -31'000'000 * kSecond);
}

TEST_CASE("group/log_time: a wall clock that is behind slows it down and never turns it back") {
  LogTime time;
  time.heard(1000 * kSecond, 0);
  CHECK(time.stamp({10 * kSecond, 5 * kSecond}) == 1009 * kSecond);
  CHECK(time.stamp({10 * kSecond, 0}) == 1009 * kSecond);
  CHECK(time.stamp({20 * kSecond, 0}) == 1018 * kSecond);
}

TEST_CASE("group/log_time: it meets wall time and stays with it") {
  LogTime time;
  time.heard(1000 * kSecond, 0);
  CHECK(time.stamp({100 * kSecond, 1105 * kSecond}) == 1105 * kSecond);
  CHECK(time.stamp({101 * kSecond, 1106 * kSecond}) == 1106 * kSecond);
}

TEST_CASE("group/log_time: an old stamp that arrives late changes nothing") {
  LogTime time;
  time.heard(1000 * kSecond, 0);
  time.heard(900 * kSecond, 10 * kSecond);
  CHECK(time.stamp({10 * kSecond, 1010 * kSecond}) == 1010 * kSecond);
}

TEST_CASE("group/log_time: what a leader stamped that nobody followed counts no more") {
  LogTime time;
  // A clock that is ten hours ahead, and an entry that was never committed.
  CHECK(time.stamp({0, 36'000 * kSecond}) == 36'000 * kSecond);
  time.rewritten(1000 * kSecond, 5 * kSecond);
  CHECK(time.newestUs() == 1000 * kSecond);
  CHECK(time.stamp({15 * kSecond, 36'015 * kSecond}) == 1011 * kSecond);
  time.rewritten(0, 16 * kSecond);  // an entry without a stamp says nothing
  CHECK(time.newestUs() == 1011 * kSecond);
}

}  // namespace flotilla::group
