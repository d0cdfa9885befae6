// What a host remembers reads back as it was written.
#include "host/runtime/records.h"

#include <doctest/doctest.h>

namespace flotilla::runtime {

TEST_CASE("runtime/records: a replica's record reads back whole") {
  StoredReplica record;
  record.key = {7, 3};
  record.incarnation = 42;
  record.name = "orders";
  record.tombstone = true;
  record.pluginSha256 = "abc";
  record.options = {{"electionTimeoutMs", "300"}};
  record.optionsVersion = 4;
  record.members = {{1, 11, "127.0.0.1:1"}, {3, 13, "127.0.0.1:3"}};
  record.initialVoters = {1, 3};
  record.preferredLeader = 3;
  auto back = decodeReplica(encode(record));
  REQUIRE(back.ok());
  CHECK(back->key == record.key);
  CHECK(back->incarnation == 42);
  CHECK(back->tombstone);
  CHECK(back->options == record.options);
  CHECK(back->optionsVersion == 4);
  CHECK(back->hostOf(3) == 13);
  CHECK(back->hostOf(2) == 0);
  CHECK(back->replicaOn(11) == 1);
  CHECK(back->initialVoters == record.initialVoters);
  CHECK(back->preferredLeader == 3);
}

TEST_CASE("runtime/records: a record that is cut short is a fault, not a crash") {
  std::string bytes = encode(StoredReplica{});
  auto back = decodeReplica(std::string_view(bytes).substr(0, 4));
  REQUIRE_FALSE(back.ok());
  CHECK(back.fault().code == ErrorCode::corrupt);
}

TEST_CASE(
    "runtime/records: a cluster's id follows from its founders' births, not their addresses") {
  FoundingRecord record{"demo", {{1, "a:1", "birth-1"}, {2, "b:1", "birth-2"}}};
  FoundingRecord moved = record;
  moved.hosts[0].address = "c:9";
  FoundingRecord wiped = record;
  wiped.hosts[0].birth = "birth-9";
  CHECK(record.clusterId() == moved.clusterId());
  CHECK(record.clusterId() != wiped.clusterId());
  auto back = decodeFounding(encode(record));
  REQUIRE(back.ok());
  CHECK(back->clusterId() == record.clusterId());
  CHECK(back->find(2)->address == "b:1");
  CHECK(back->find(3) == nullptr);
}

}  // namespace flotilla::runtime
