// Raft options as operators write them.
#include "host/catalog/options.h"

#include <doctest/doctest.h>

namespace flotilla::catalog {

TEST_CASE("catalog/options: nothing set gives the defaults") {
  Result<GroupOptions> options = readOptions({});
  REQUIRE(options);
  CHECK(*options == GroupOptions());
  CHECK(options->electionTimeoutMs == 1000);
  CHECK(options->heartbeatMs == 100);
}

TEST_CASE("catalog/options: every option that is described can be set") {
  Result<GroupOptions> options = readOptions({{"electionTimeoutMs", "300"},
                                              {"heartbeatMs", "30"},
                                              {"appendEntriesMax", "7"},
                                              {"appendBytesMax", "8192"},
                                              {"inflightMax", "5"},
                                              {"uncommittedBytesMax", "100000"},
                                              {"snapshotEveryBytes", "5000"},
                                              {"keepEntries", "0"},
                                              {"preVote", "false"},
                                              {"checkQuorum", "true"},
                                              {"leaseReads", "true"},
                                              {"durability", "async"},
                                              {"volume", "nvme"},
                                              {"applyTimeoutMs", "20"},
                                              {"sleepAfterMs", "0"},
                                              {"digestEveryEntries", "9"},
                                              {"digestEveryMs", "11"},
                                              {"memoryBytesMax", "13"},
                                              {"applyTimePercentMax", "14"},
                                              {"callsPerSecondMax", "15"},
                                              {"keepEvents", "12"},
                                              {"keepEventBytes", "5000"}});
  REQUIRE(options);
  GroupOptions wanted{300,  30,     7,  8192, 5, 100000, 5000, 0,  false, true, true,
                      true, "nvme", 20, 0,    9, 11,     13,   14, 15,    12,   5000};
  CHECK(*options == wanted);
}

TEST_CASE("catalog/options: what cannot be is refused with what can") {
  auto text = [](std::vector<OptionText> options) {
    Result<GroupOptions> read = readOptions(options);
    REQUIRE_FALSE(read);
    CHECK(read.fault().code == ErrorCode::badRequest);
    return read.fault().text;
  };
  CHECK(text({{"heartbeatMs", "0"}}) ==
        "option heartbeatMs: found \"0\"; give a whole number from 1 to 60000");
  CHECK(text({{"heartbeatMs", "12ms"}}) ==
        "option heartbeatMs: found \"12ms\"; give a whole number from 1 to 60000");
  CHECK(text({{"heartbeatMs", ""}}) ==
        "option heartbeatMs: found \"\"; give a whole number from 1 to 60000");
  CHECK(text({{"keepEntries", "99999999999999999999999"}}) ==
        "option keepEntries: found \"99999999999999999999999\"; give a whole number from 0 to "
        "1000000000");
  CHECK(text({{"preVote", "yes"}}) == "option preVote: found \"yes\"; give false or true");
  CHECK(text({{"durability", "none"}}) == "option durability: found \"none\"; give sync or async");
  CHECK(text({{"preVote", "true"}, {"preVote", "true"}}) ==
        "option preVote: given twice; give it once");
  CHECK(text({{"heartbeatMs", "600"}}) ==
        "option heartbeatMs: found 600 with electionTimeoutMs 1000; an election timeout must be at "
        "least twice the heartbeat");
  CHECK(text({{"leaseReads", "true"}, {"checkQuorum", "false"}}) ==
        "option leaseReads: found true with checkQuorum false; a lease needs checkQuorum");
  CHECK(text({{"speed", "1"}})
            .starts_with("option \"speed\": not known; there are electionTimeoutMs"));
}

TEST_CASE("catalog/options: quotas alone may be set of a group that is there") {
  CHECK(checkSettable("memoryBytesMax"));
  CHECK(checkSettable("applyTimePercentMax"));
  CHECK(checkSettable("callsPerSecondMax"));
  CHECK_FALSE(checkSettable("durability"));
  CHECK(versionFor({{"durability", "sync"}}) == 0);
  CHECK(versionFor({{"durability", "sync"}, {"memoryBytesMax", "1"}}) == 3);
  CHECK(versionFor({{"callsPerSecondMax", "1"}, {"memoryBytesMax", "1"}}) == 4);
  CHECK(versionFor({{"keepEvents", "5"}}) == 3);  // older hosts would refuse what others create
  CHECK(versionFor({{"keepEventBytes", "5000"}}) == 3);
}

TEST_CASE("catalog/options: names are a-z 0-9 . _ - and begin with a letter or digit") {
  for (const char* good : {"a", "101", "orders-2026.q1_x"}) CHECK(goodName(good));
  for (const char* bad : {"", "-a", ".a", "A", "a b", "\xc3\xa4", "a/b"})
    CHECK_FALSE(goodName(bad));
  CHECK(goodName(std::string(63, 'a')));
  CHECK_FALSE(goodName(std::string(64, 'a')));
}

}  // namespace flotilla::catalog
