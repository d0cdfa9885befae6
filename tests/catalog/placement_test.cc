// How replicas and leaders spread.
#include <algorithm>

#include <doctest/doctest.h>

#include "tests/catalog/catalog_fixture.h"

namespace flotilla::catalog {

TEST_CASE("catalog/placement: replicas and leaders spread evenly over hosts") {
  CatalogFixture catalog(5);
  for (int i = 0; i < 50; ++i) catalog.create("g" + std::to_string(i));
  std::map<uint64_t, int> replicas;
  std::map<uint64_t, int> leaders;
  for (const GroupPointer& group : catalog.view().groupsAfter("", 100)) {
    for (const ReplicaRecord& replica : group->replicas) ++replicas[replica.host];
    ++leaders[group->replicas.front().host];
  }
  REQUIRE(replicas.size() == 5);
  for (const auto& [host, count] : replicas) CHECK(count == 30);
  for (const auto& [host, count] : leaders) CHECK(std::abs(count - 10) <= 2);
}

TEST_CASE("catalog/placement: removed groups weigh nothing") {
  CatalogFixture catalog(2);
  auto onOne = [](auto spec) { spec.initOn(1).set(0, 1); };
  for (const char* name : {"a", "b", "c"}) catalog.create(name, onOne);
  for (const char* name : {"a", "b", "c"}) catalog.remove(name);
  catalog.create("d", [](auto spec) { spec.initOn(1).set(0, 2); });
  catalog.create("e", [](auto spec) { spec.setReplicas(1); });
  CHECK(catalog.view().group("e")->replicas.front().host == 1);
}

TEST_CASE("catalog/placement: learners come after voters, on hosts of their own") {
  CatalogFixture catalog(4);
  catalog.create("g", [](auto spec) { spec.initLearners(1).set(0, 1); });
  GroupRecord group = *catalog.view().group("g");
  REQUIRE(group.replicas.size() == 4);
  CHECK_FALSE(group.replicas.back().voter);
  CHECK(group.replicas.back().host == 1);
  std::vector<uint64_t> ids;
  for (const ReplicaRecord& replica : group.replicas) ids.push_back(replica.id);
  CHECK(ids == std::vector<uint64_t>{1, 2, 3, 4});
}

TEST_CASE("catalog/placement: where no count is asked for, three, or as many as there are hosts") {
  CatalogFixture two(2);
  two.create("g");
  CHECK(two.view().group("g")->replicas.size() == 2);
  CatalogFixture five(5);
  five.create("g");
  CHECK(five.view().group("g")->replicas.size() == 3);
  CatalogFixture none(0);
  none.create("g", nullptr, "kv");
  CHECK(none.said == "group g: plugin kv is not known; push it first");
}

}  // namespace flotilla::catalog
