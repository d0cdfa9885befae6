// Which place a start goes on from: whole ones, unfinished ones, damaged ones, and those of a log
// that was lost.
#include "host/group/place_search.h"

#include <doctest/doctest.h>

namespace flotilla::group {
namespace {

// Entries 11 to 20 of term 3, behind entry 10 of term 2.
raft::LogShape logOf(raft::Index base = 10) {
  raft::LogShape shape({base, base == 0 ? 0U : 2U}, {{1, 2, 3}, {}, {}, {}, false});
  shape.append(20, 3);
  return shape;
}

const Fault kDamage{ErrorCode::corrupt, "spoilt", {}};
const Fault kBegun{ErrorCode::unavailable, "never finished", {}};

struct Place {
  uint64_t generation;
  Result<raft::LogPoint> at;
};

PlaceSearch searched(const raft::LogShape& shape, const std::vector<Place>& newestFirst) {
  PlaceSearch search(shape);
  for (const Place& each : newestFirst) {
    if (search.ended()) break;
    search.look(each.generation, each.at);
  }
  return search;
}

using At = raft::LogPoint;

}  // namespace

TEST_CASE("group/place_search: the newest that the log goes on from, and no older one is opened") {
  raft::LogShape shape = logOf();
  PlaceSearch search = searched(shape, {{7, At{15, 3}}, {4, kDamage}});
  CHECK(search.found() == 7);
  CHECK(search.at() == At{15, 3});
  CHECK(search.useless().empty());
  CHECK(search.stops() == nullptr);
  CHECK(searched(shape, {{7, At{10, 2}}}).ended());  // where the log begins
}

TEST_CASE("group/place_search: one whose log never became safe is passed over") {
  raft::LogShape shape = logOf();
  for (At ahead : {At{30, 3}, At{15, 4}, At{0, 0}}) {
    PlaceSearch search = searched(shape, {{7, ahead}, {4, At{12, 3}}});
    CHECK(search.found() == 4);
    CHECK(search.at() == At{12, 3});
    CHECK(search.useless() == std::vector<uint64_t>{7});
  }
  CHECK(searched(shape, {{9, kBegun}, {7, At{30, 3}}, {4, At{12, 3}}}).useless() ==
        std::vector<uint64_t>{9, 7});
}

TEST_CASE(
    "group/place_search: without one the newest of all says what is wrong, and nothing goes") {
  raft::LogShape shape = logOf();
  PlaceSearch lost = searched(shape, {{7, At{30, 3}}, {4, At{25, 3}}});
  CHECK(lost.found() == 7);
  CHECK(!lost.ended());
  CHECK(lost.useless().empty());
  PlaceSearch old = searched(shape, {{7, At{5, 2}}});
  CHECK(old.found() == 7);
  CHECK(old.at() == At{5, 2});
  PlaceSearch none = searched(shape, {{7, At{0, 0}}, {6, kBegun}});
  CHECK(!none.found());
  CHECK(none.stops() == nullptr);
  CHECK(none.useless().empty());
}

TEST_CASE("group/place_search: what cannot be read stops it, unless there is one that will do") {
  raft::LogShape shape = logOf();
  PlaceSearch alone = searched(shape, {{7, kDamage}});
  REQUIRE(alone.stops() != nullptr);
  CHECK(alone.stops()->text == "spoilt");
  CHECK(alone.damaged() == 7);
  PlaceSearch behind = searched(shape, {{7, kDamage}, {4, At{5, 2}}});
  CHECK(behind.stops() != nullptr);
  CHECK(behind.damaged() == 7);
  PlaceSearch before = searched(shape, {{7, kDamage}, {4, At{12, 3}}});
  CHECK(before.stops() == nullptr);
  REQUIRE(before.passedOver() != nullptr);
  CHECK(before.found() == 4);
  CHECK(before.useless() == std::vector<uint64_t>{7});
  // A log from its first entry on would do without, but what was promised here may be more.
  raft::LogShape whole = logOf(0);
  CHECK(searched(whole, {{7, kDamage}}).stops() != nullptr);
}

}  // namespace flotilla::group
