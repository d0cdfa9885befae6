// How long a group stays without a leader after its leader's end, by seed.
#include <algorithm>
#include <cstdint>
#include <map>

#include <doctest/doctest.h>

#include "tests/raft/fleet.h"

namespace flotilla::test {

namespace {

using raft::ReplicaId;

constexpr uint32_t kElectionTicks = 8;
constexpr ReplicaId kLast = 3;
constexpr uint64_t kSeeds = 400;

// How the survivors' clocks and disks go.
struct Pace {
  bool together = true;    // both tick before either hears the other
  uint32_t diskTicks = 0;  // a write takes so many
};

// Three replicas, of which 1 leads and ends.
//
// Owner:  a test, one a seed.
// Thread: one.
// Errors: a group without a leader for ever is a doctest failure.
class LeaderEnds {
public:
  LeaderEnds(uint64_t seed, Pace pace) : pace_(pace) {
    raft::Configuration founders{{1, 2, 3}, {}, {}, {}, false};
    for (ReplicaId id = 1; id <= kLast; ++id) {
      raft::CoreConfig config;
      config.self = id;
      config.seed = seed * kLast + id;
      config.electionTicks = kElectionTicks;
      fleet_.add(config, {}, raft::LogShape({}, founders));
    }
    fleet_.step(1, raft::Campaign{});
    for (int round = 0; round < 10; ++round) exchange(1, 0);
    REQUIRE(fleet_.at(1).core->role() == raft::Role::leader);
    fleet_.pool().clear();
  }

  // The ticks until another leads.
  uint64_t ticksWithoutLeader() {
    for (uint64_t tick = 1; tick <= 100 * kElectionTicks; ++tick) {
      for (ReplicaId id = 2; id <= kLast; ++id) {
        ++now_;
        fleet_.step(id, raft::Tick{});
        if (!pace_.together) settle();
      }
      settle();
      for (ReplicaId id = 2; id <= kLast; ++id) {
        if (fleet_.at(id).core->role() == raft::Role::leader) return tick;
      }
    }
    FAIL("nobody leads after 100 election timeouts");
    return 0;
  }
  raft::Term terms() { return std::max(fleet_.at(2).core->term(), fleet_.at(3).core->term()) - 1; }

private:
  void settle() {
    for (int round = 0; round < 10; ++round) exchange(2, pace_.diskTicks * (kLast - 1));
  }

  // What lies in the pool reaches those from `first` on; writes that are old enough end.
  void exchange(ReplicaId first, uint64_t diskTime) {
    for (ReplicaId id = first; id <= kLast; ++id) {
      if (fleet_.at(id).pending.empty()) {
        pendingSince_.erase(id);
      } else if (now_ - pendingSince_.insert({id, now_}).first->second >= diskTime) {
        pendingSince_.erase(id);
        fleet_.persist(id);
      }
    }
    std::vector<raft::Message> messages;
    messages.swap(fleet_.pool());
    for (const raft::Message& message : messages) {
      if (message.to >= first) fleet_.step(message.to, raft::Receive{message});
    }
  }

  Pace pace_;
  Fleet fleet_;
  uint64_t now_ = 0;  // ticks of either
  std::map<ReplicaId, uint64_t> pendingSince_;
};

}  // namespace

TEST_CASE("raft/core: two who stand at once cost no second election timeout") {
  for (Pace pace : {Pace{true, 0}, Pace{true, 1}, Pace{true, 2}, Pace{false, 0}, Pace{false, 1},
                    Pace{false, 2}}) {
    uint64_t longest = 0;
    uint64_t sum = 0;
    raft::Term terms = 0;
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      LeaderEnds run(seed, pace);
      uint64_t ticks = run.ticksWithoutLeader();
      longest = std::max(longest, ticks);
      sum += ticks;
      terms += run.terms();
    }
    MESSAGE("together ", pace.together, ", disk ", pace.diskTicks, ": mean ", double(sum) / kSeeds,
            " ticks, longest ", longest, ", terms ", terms, " in ", kSeeds);
    CHECK(longest <= 2 * kElectionTicks + 2 * pace.diskTicks);
    CHECK(terms == kSeeds);
  }
}

}  // namespace flotilla::test
