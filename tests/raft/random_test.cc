// Small clusters of cores under loss, repeats, reordering and crashes, by seed.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "host/base/prng.h"
#include "host/raft/describe.h"
#include "host/raft/membership.h"
#include "host/raft/quorum.h"
#include "tests/raft/fleet.h"

namespace flotilla::test {

namespace {

using raft::Index;
using raft::ReplicaId;
using raft::Term;

constexpr ReplicaId kReplicas = 5;
constexpr size_t kPoolMax = 400;  // beyond it the network loses the oldest

// What happened and what must hold of it, whatever happened.
struct Witness {
  std::map<Term, ReplicaId> leaders;
  std::map<Index, Term> committed;
  std::map<std::pair<Index, Term>, raft::Configuration> configurations;
  std::map<ReplicaId, std::map<raft::ReadId, Index>> reads;  // what each must at least see
  size_t commands = 0;
  size_t readsDone = 0;
  size_t installs = 0;
  size_t changes = 0;
  size_t sleeps = 0;

  Index lastCommitted() const { return committed.empty() ? 0 : committed.rbegin()->first; }
};

// Owner:  a test, one a seed.
// Thread: one.
// Errors: a broken promise is a doctest failure that names the seed.
class RandomRun {
public:
  explicit RandomRun(uint64_t seed) : seed_(seed), prng_(seed) {
    raft::Configuration founders;
    ReplicaId voters = prng_.chance(500) ? 3 : 5;
    bool sleeps = prng_.chance(500);
    for (ReplicaId id = 1; id <= voters; ++id) founders.voters.push_back(id);
    for (ReplicaId id = 1; id <= kReplicas; ++id) {
      raft::CoreConfig config;
      config.self = id;
      config.seed = prng_.next();
      config.electionTicks = 5;
      config.appendEntriesMax = 4;
      config.inflightMax = 8;
      config.preVote = prng_.chance(800);
      config.checkQuorum = !config.preVote || prng_.chance(800);  // neither: anyone disrupts
      config.uncommittedBytesMax = 5000;
      config.sleepTicks =
          sleeps && !prng_.chance(50) ? 1 + static_cast<uint32_t>(prng_.below(3)) : 0;
      bool founds = id <= voters;
      fleet_.add(config, {}, founds ? raft::LogShape({}, founders) : raft::LogShape());
    }
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) stormStep();
    for (int i = 0; i < 300; ++i) calmRound();
    checkCalm();
  }
  const Witness& witness() const { return witness_; }

private:
  ReplicaId anyone() { return 1 + prng_.below(kReplicas); }

  void stormStep() {
    uint64_t dice = prng_.below(1000);
    if (dice < 560) return deliverOne();
    if (dice < 638) return take(anyone(), raft::Tick{prng_.chance(50)});
    if (dice < 640) return take(anyone(), raft::Wake{prng_.chance(500), prng_.chance(500)});
    if (dice < 800) return persistSome(anyone());
    if (dice < 880) return take(anyone(), raft::Propose{++proposal_, prng_.below(300)});
    if (dice < 910) return read(anyone());
    if (dice < 925) return crash(anyone());
    if (dice < 940) return fleet_.compact(anyone(), witness_.lastCommitted());
    if (dice < 955) return configure(anyone());
    if (dice < 960) return take(anyone(), raft::Transfer{prng_.below(kReplicas + 1)});
    if (dice < 970) return take(anyone(), raft::Unreachable{anyone()});
    if (dice < 975) return take(anyone(), raft::Campaign{});
    snapshots(anyone(), prng_.chance(700));
  }

  void deliverOne() {
    auto& pool = fleet_.pool();
    if (pool.empty()) return;
    size_t at = prng_.chance(700) ? 0 : prng_.below(pool.size());
    raft::Message message = pool[at];
    if (!prng_.chance(50)) pool.erase(pool.begin() + static_cast<std::ptrdiff_t>(at));
    if (prng_.chance(80) || pool.size() > kPoolMax) return;
    take(message.to, raft::Receive{message});
  }

  void persistSome(ReplicaId id) {
    auto& pending = fleet_.at(id).pending;
    if (pending.empty()) return;
    observe(id, fleet_.persist(id, pending[prng_.below(pending.size())].id));
  }

  void crash(ReplicaId id) {
    fleet_.crash(id, prng_.below(fleet_.at(id).pending.size() + 1));
    witness_.reads[id].clear();
    check(id);
  }

  void read(ReplicaId id) {
    witness_.reads[id][++proposal_] = witness_.lastCommitted();
    take(id, raft::Read{proposal_});
  }

  void configure(ReplicaId id) {
    raft::ProposeConfiguration propose{++proposal_, {}, {}};
    for (ReplicaId member = 1; member <= kReplicas; ++member) {
      if (prng_.chance(600)) {
        propose.voters.push_back(member);
      } else if (prng_.chance(300)) {
        propose.learners.push_back(member);
      }
    }
    take(id, propose);
  }

  void snapshots(ReplicaId id, bool ok) {
    FleetReplica& replica = fleet_.at(id);
    if (replica.installing) {
      raft::LogPoint point = replica.installing->point;
      replica.installing.reset();
      if (ok) ++witness_.installs;
      return take(id, raft::Installed{point, ok});
    }
    if (std::optional<raft::Message> message = fleet_.takeSnapshotMessage(id)) {
      if (ok) take(message->to, raft::Receive{*message});
      take(id, raft::SnapshotSent{message->to, message->after, ok});
    }
  }

  void calmRound() {
    for (ReplicaId id = 1; id <= kReplicas; ++id) {
      take(id, raft::Tick{});
      snapshots(id, true);
    }
    wakeTheForgotten();
    for (int i = 0; i < 2000; ++i) {
      bool quiet = true;
      for (ReplicaId id = 1; id <= kReplicas; ++id) {
        if (fleet_.at(id).pending.empty()) continue;
        observe(id, fleet_.persist(id));
        quiet = false;
      }
      auto& pool = fleet_.pool();
      if (!pool.empty()) {
        raft::Message message = pool.front();
        pool.erase(pool.begin());
        take(message.to, raft::Receive{message});
        quiet = false;
      }
      if (quiet) break;
    }
  }

  // What a host does that hears which groups the leader's host lets sleep.
  void wakeTheForgotten() {
    for (const auto& [id, replica] : fleet_.all()) {
      const raft::Core& core = *replica.core;
      if (!core.asleep() || core.leader() == id) continue;
      const raft::Core& leader = *fleet_.at(core.leader()).core;
      if (!leader.asleep() || !leader.leads(core.term())) take(id, raft::Wake{});
    }
  }

  // Faults are over: somebody leads, and what is proposed now is committed everywhere it should be.
  void checkCalm() {
    ReplicaId leader = 0;
    for (const auto& [id, replica] : fleet_.all()) {
      if (replica.core->role() == raft::Role::leader) leader = id;
    }
    std::string all;
    for (const auto& [id, replica] : fleet_.all()) {
      all += "\nn" + std::to_string(id) + " " + raft::describe(replica.core->role()) + " t" +
             std::to_string(replica.core->term()) + " " + raft::describe(replica.core->shape());
    }
    CAPTURE(all);
    REQUIRE_MESSAGE(leader != 0, "seed " << seed_ << ": nobody leads after the faults are over");
    raft::Effects effects = fleet_.step(leader, raft::Propose{++proposal_, 1});
    observe(leader, effects);
    REQUIRE(effects.accepted.size() == 1);
    for (int i = 0; i < 20; ++i) calmRound();
    Index index = effects.accepted[0].point.index;
    const raft::Core& core = *fleet_.at(leader).core;
    for (ReplicaId member : raft::membersOf(core.configuration())) {
      REQUIRE_MESSAGE(fleet_.at(member).applied >= index,
                      "seed " << seed_ << ": n" << member << " does not get entry " << index);
    }
    REQUIRE_MESSAGE(!core.configuration().joint(), "seed " << seed_ << ": still joint");
  }

  void take(ReplicaId id, const raft::Input& input) {
    if (trace_) std::printf("n%d %s\n", static_cast<int>(id), raft::describe(input).c_str());
    observe(id, fleet_.step(id, input));
  }

  void observe(ReplicaId id, const raft::Effects& effects) {
    if (trace_) std::printf("%s", raft::describe(effects).c_str());
    witness_.commands += effects.accepted.size();
    for (const raft::MadeEntry& made : effects.made) {
      if (made.kind == raft::MadeEntry::Kind::configuration) ++witness_.changes;
    }
    for (const raft::ReadReady& read : effects.reads) {
      auto& waiting = witness_.reads[id];
      REQUIRE_MESSAGE(waiting.count(read.read) == 1, "seed " << seed_ << ": read answered twice");
      Index least = waiting[read.read];
      waiting.erase(read.read);
      if (!read.ok) continue;
      ++witness_.readsDone;
      REQUIRE_MESSAGE(read.index >= least, "seed " << seed_ << ": stale read at n" << id << ": "
                                                   << read.index << " < " << least);
    }
    check(id);
  }

  void check(ReplicaId id) {
    FleetReplica& replica = fleet_.at(id);
    const raft::Core& core = *replica.core;
    const raft::LogShape& shape = core.shape();
    auto told = [&](const char* what) {
      return "seed " + std::to_string(seed_) + ": n" + std::to_string(id) + ": " + what;
    };
    if (core.role() == raft::Role::leader) {
      auto [at, fresh] = witness_.leaders.insert({core.term(), id});
      REQUIRE_MESSAGE(at->second == id, told("two leaders in a term"));
      if (fresh) {
        for (const auto& [index, term] : witness_.committed) {
          if (index <= shape.base().index) continue;
          REQUIRE_MESSAGE(shape.termAt(index) == term, told("leader lacks a committed entry"));
        }
      }
    }
    REQUIRE(core.commit() <= shape.lastIndex());
    REQUIRE(replica.applied <= core.commit());
    Seen& seen = seen_[id];
    if (core.asleep() && !seen.asleep) ++witness_.sleeps;
    if (core.asleep()) checkSleep(core);
    if (seen.core == replica.core.get()) {
      REQUIRE_MESSAGE(core.term() >= seen.term, told("term went back"));
      REQUIRE_MESSAGE(core.commit() >= seen.commit, told("commit went back"));
    }
    for (Index index = std::max(shape.firstIndex(), core.commit() < 40 ? 1 : core.commit() - 40);
         index <= core.commit(); ++index) {
      Term term = *shape.termAt(index);
      auto [at, fresh] = witness_.committed.insert({index, term});
      REQUIRE_MESSAGE(at->second == term, told("two entries committed at one index"));
      if (fresh) checkDurable(core, index, term);
    }
    seen = {replica.core.get(), core.term(), core.commit(), core.asleep()};
    for (const raft::ConfigurationAt& at : shape.configurations()) {
      if (at.index < shape.firstIndex()) continue;
      auto key = std::make_pair(at.index, *shape.termAt(at.index));
      auto [known, fresh] = witness_.configurations.insert({key, at.configuration});
      REQUIRE_MESSAGE(known->second == at.configuration, told("configurations differ"));
    }
    if (++checks_ % 64 == 0) checkLogsMatch();
  }

  // Who sleeps has all that is committed, and a leader that sleeps knows that all voters have it.
  void checkSleep(const raft::Core& core) {
    REQUIRE(core.commit() == core.shape().lastIndex());
    if (core.role() != raft::Role::leader) return;
    for (const raft::PeerProgress& peer : core.progress()) {
      if (!raft::isVoter(core.configuration(), peer.replica)) continue;
      REQUIRE_MESSAGE(peer.match == core.shape().lastIndex(),
                      "seed " << seed_ << ": the leader sleeps, n" << peer.replica << " lags");
    }
  }

  void checkDurable(const raft::Core& core, Index index, Term term) {
    auto holds = [&](ReplicaId member) {
      const DiskImage& disk = fleet_.at(member).disk;
      return disk.shape.base().index >= index || disk.shape.termAt(index) == term;
    };
    REQUIRE_MESSAGE(
        raft::quorumAgrees(core.configuration(), holds),
        "seed " << seed_ << ": entry " << index << " committed without a quorum's disks");
  }

  // Raft paper, figure 3: logs that agree at an index and term agree on everything before.
  void checkLogsMatch() {
    for (ReplicaId a = 1; a <= kReplicas; ++a) {
      for (ReplicaId b = a + 1; b <= kReplicas; ++b) {
        const raft::LogShape& one = fleet_.at(a).core->shape();
        const raft::LogShape& two = fleet_.at(b).core->shape();
        bool agreed = false;
        Index first = std::max(one.firstIndex(), two.firstIndex());
        for (Index at = std::min(one.lastIndex(), two.lastIndex()); at >= first; --at) {
          bool same = one.termAt(at) == two.termAt(at);
          REQUIRE_MESSAGE((same || !agreed), "seed " << seed_ << ": logs do not match at " << at);
          agreed = agreed || same;
        }
      }
    }
  }

  struct Seen {
    const raft::Core* core = nullptr;
    Term term = 0;
    Index commit = 0;
    bool asleep = false;
  };

  uint64_t seed_;
  bool trace_ = std::getenv("RAFT_TRACE") != nullptr;
  base::Prng prng_;
  Fleet fleet_;
  Witness witness_;
  std::map<ReplicaId, Seen> seen_;
  uint64_t proposal_ = 0;
  uint64_t checks_ = 0;
};

}  // namespace

// RAFT_SEED=N runs that seed alone, RAFT_SEEDS=N so many from 1, RAFT_TRACE=1 prints each step.
TEST_CASE("raft/core: no seed breaks a promise, and after the faults the group moves on") {
  const char* one = std::getenv("RAFT_SEED");
  const char* many = std::getenv("RAFT_SEEDS");
  uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : 1;
  uint64_t count = one != nullptr ? 1 : many != nullptr ? std::strtoull(many, nullptr, 10) : 60;
  Witness all;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    RandomRun run(seed);
    run.run(6000);
    all.commands += run.witness().commands;
    all.readsDone += run.witness().readsDone;
    all.installs += run.witness().installs;
    all.changes += run.witness().changes;
    all.sleeps += run.witness().sleeps;
    all.committed[all.committed.size()] = run.witness().lastCommitted();
  }
  MESSAGE("commands ", all.commands, ", reads ", all.readsDone, ", installs ", all.installs,
          ", changes ", all.changes, ", sleeps ", all.sleeps);
  // A run in which nothing happened shows nothing.
  CHECK(all.commands > 30 * count);
  CHECK(all.readsDone > 3 * count);
  if (one == nullptr) {
    CHECK(all.installs > count / 2);
    CHECK(all.changes > count);
    CHECK(all.sleeps > count);
  }
}

}  // namespace flotilla::test
