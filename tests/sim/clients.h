// Clients of simulated groups: what they ask, whom, how often, and what they were told.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/history.h"
#include "tests/sim/kv_calls.h"
#include "tests/sim/world.h"

namespace flotilla::sim {

// Each client has a session and some lanes, each of which has one call on its way at a time.
// Stamped commands are repeated, at one host after the other, until they are answered; others are
// asked once, and are unknown where no answer comes.
//
// Owner:  a run of one seed; outlived by the World.
// Thread: one.
// Errors: the judge's verdict.
class Clients {
public:
  explicit Clients(World& world);
  void begin();

  // Faults are over, and each lane has since begun a call that was answered.
  bool areDone() const;
  std::string whoWaits() const;
  // All histories, at the end.
  void judge();

private:
  static constexpr uint64_t kOperationsOfKeyMax = 250;  // then another key; some are under way yet
  static constexpr uint64_t kUnknownOfKeyMax = 3;       // the same
  static constexpr size_t kKeys = 2;                    // of a group at a time

  struct Ask {
    KvMethod method = KvMethod::put;
    size_t slot = 0;
    std::string key;
    ValueId value = 0;
    ValueId expected = 0;
    bool stamped = false;
    uint64_t sequence = 0;
    group::Freshness freshness;
    uint64_t begun = 0;
    uint64_t attempt = 0;
    bool inCalm = false;
  };
  struct Lane {
    std::optional<Ask> ask;
    bool doneInCalm = false;
    bool waitsForSession = false;
  };
  struct Client {
    uint64_t group = 0;
    uint64_t session = 0;
    uint64_t opening = 0;  // the attempt that opens the session; 0: none
    uint64_t nextSequence = 1;
    std::set<uint64_t> outstanding;
    raft::ReplicaId prefers = 0;  // whom the last answer named
    std::vector<Lane> lanes;
  };
  struct Key {
    std::string name;
    uint64_t operations = 0;
    uint64_t unknowns = 0;
    ValueId seen = 0;
  };
  struct Place {
    size_t client = 0;
    size_t lane = 0;
  };

  int64_t patienceUs() const;
  bool isPoisoned(uint64_t group) const;
  void next(Place place);
  void nextLater(Place place);
  void openSession(size_t client);
  void sessionEnded(size_t client, uint64_t attempt, uint64_t session);
  Ask drawAsk(Client& client);
  size_t drawKey(uint64_t group);
  void attempt(Place place);
  SimHost& chooseHost(Client& client);
  void arrive(Place place, SimHost& host, const Ask& ask, group::Stamp stamp);
  void check(Place place, const Ask& ask, const group::Outcome& outcome);
  void reply(Events::Act act);
  bool isCurrent(Place place, const Ask& ask) const;
  void answered(Place place, const Ask& ask, const group::Outcome& outcome);
  void retry(Place place);
  void timeOut(Place place, const Ask& ask);
  void finish(Place place, const std::optional<KvAnswer>& answer, bool known);
  void poison();
  void stray(Client& client, SimHost& host);

  World& world_;
  std::vector<Client> clients_;
  std::map<uint64_t, std::vector<Key>> keys_;
  std::map<std::pair<uint64_t, std::string>, std::vector<Operation>> histories_;
  std::vector<std::pair<uint64_t, ValueId>> refused_;  // said not to have happened
  ValueId lastValue_ = 0;
  uint64_t lastKey_ = 0;
  uint64_t lastAttempt_ = 0;
  uint64_t moment_ = 0;
};

}  // namespace flotilla::sim
