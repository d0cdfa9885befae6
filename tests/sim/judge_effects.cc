// What commands did, and what clients were told of it.
#include <algorithm>

#include "host/base/checksum.h"
#include "tests/sim/judge.h"
#include "tests/sim/sim_machine.h"

namespace flotilla::sim {
namespace {

std::string at(group::Position position) {
  return std::to_string(position.index) + "." + std::to_string(position.ordinal);
}

}  // namespace

void Judge::applies(group::ReplicaKey replica, const group::ApplyRequest& request) {
  GroupFacts& known = facts(replica.group);
  for (const group::LogEntry& entry : request.entries) {
    if (entry.index > known.committed.size()) {
      return fail(nameOf(replica),
                  "applies entry " + std::to_string(entry.index) + ", which is not committed");
    }
    GroupFacts::Committed& committed = known.committed[entry.index - 1];
    uint64_t checksum = base::checksum(entry.payload.view(), entry.term) | 1;
    if (committed.checksum == 0) committed.checksum = checksum;
    if (committed.term != entry.term || committed.checksum != checksum) {
      return fail(nameOf(replica),
                  "applies another entry " + std::to_string(entry.index) + " than other replicas");
    }
  }
}

void Judge::applied(group::ReplicaKey replica, group::Applier& applier) {
  if (applier.fault() || applier.machine() == nullptr) return;
  GroupFacts& known = facts(replica.group);
  raft::Index index = applier.at().index;
  std::optional<uint64_t> digest = soundDigestOf(*applier.machine());
  if (!digest) return fail(nameOf(replica), "its machine keeps no digest");
  auto [same, fresh] = known.digests.insert({index, *digest});
  if (same->second != *digest) {
    return fail(nameOf(replica), "its machine differs at " + std::to_string(index));
  }
  if (index % 8 != 0) return;
  // Sessions, log time, membership: the configuration is kept as of the last snapshot only, so it
  // is compared by way of snapshot files.
  group::GroupState state;
  Bytes runs = applier.state().encode(group::Sessions::Form::runs);
  if (runs.size() < applier.state().encode(group::Sessions::Form::each).size()) {
    ++report_[Count::alike];
  }
  if (auto copied = state.decode(runs); !copied) {
    return fail(nameOf(replica), "its group state cannot be read back: " + copied.fault().text);
  }
  if (state.digest() != applier.state().digest()) {
    return fail(nameOf(replica), "its group state is another one once it is read back");
  }
  state.configuration = {};
  uint64_t checksum = base::checksum(state.encode(group::Sessions::Form::each).view());
  auto [equal, first] = known.states.insert({index, checksum});
  if (equal->second != checksum) {
    fail(nameOf(replica), "its sessions or its log time differ at " + std::to_string(index));
  }
}

void Judge::faulted(group::ReplicaKey replica, const group::Applied& applied) {
  GroupFacts& known = facts(replica.group);
  if (!known.poisonedAt || *known.poisonedAt == applied.faultAt) return;
  if (applied.faultAt < *known.poisonedAt) return;  // this host's own fault came first
  fail(nameOf(replica), "goes past " + at(*known.poisonedAt) + ", where others had to stop");
}

void Judge::ran(group::ReplicaKey replica, const group::MachineCommand& command,
                const KvCommand& what, bool set) {
  GroupFacts& known = facts(replica.group);
  auto [one, fresh] = known.ran.insert({what.value, command.position});
  if (one->second != command.position) {
    return fail(nameOf(replica), "command " + std::to_string(what.value) + " is carried out at " +
                                     at(one->second) + " and again at " + at(command.position));
  }
  known.ranAt.insert({command.position, what.value});
  if (!fresh || !set) return;
  std::vector<GroupFacts::Effect>& values = known.values[what.key];
  if (!values.empty() && values.back().position >= command.position) {
    return fail(nameOf(replica), "command at " + at(command.position) + " was left out elsewhere");
  }
  values.push_back({command.position, what.value});
}

void Judge::saved(group::ReplicaKey replica, raft::LogPoint point, bool runs,
                  std::string_view file) {
  ++report_[Count::snapshots];
  uint64_t checksum = base::checksum(file, point.term);
  auto [same, fresh] = facts(replica.group).snapshots.insert({{point.index, runs}, checksum});
  if (same->second != checksum) {
    fail(nameOf(replica),
         "its snapshot at " + std::to_string(point.index) + " differs from another replica's");
  }
}

void Judge::strayed(group::ReplicaKey replica) {
  ++report_[Count::strays];
  facts(replica.group).strays.insert(replica.replica);
}

void Judge::tookDrift(group::ReplicaKey replica) {
  facts(replica.group).strays.insert(replica.replica);
}

void Judge::acknowledged(uint64_t group, ValueId value, const group::Outcome& outcome) {
  const GroupFacts& known = facts(group);
  std::string who = "g" + std::to_string(group) + " command " + std::to_string(value);
  auto ran = known.ran.find(value);
  if (ran == known.ran.end()) return fail(who, "is acknowledged and was never carried out");
  if (ran->second != outcome.position) {
    fail(who,
         "was carried out at " + at(ran->second) + ", its answer says " + at(outcome.position));
  }
}

void Judge::refused(uint64_t group, ValueId value, ErrorCode code) {
  const GroupFacts& known = facts(group);
  auto ran = known.ran.find(value);
  if (ran == known.ran.end()) return;
  fail("g" + std::to_string(group) + " command " + std::to_string(value),
       "is refused with " + std::string(flotilla::nameOf(code)) + " and was carried out at " +
           at(ran->second));
}

// What a query saw must be what the key held when `at` had been applied.
void Judge::sawValue(uint64_t group, const std::string& key, ValueId value, raft::Index index) {
  ValueId held = 0;
  auto found = facts(group).values.find(key);
  if (found != facts(group).values.end()) {
    for (const GroupFacts::Effect& effect : found->second) {
      if (effect.position.index > index) break;
      held = effect.value;
    }
  }
  if (held == value) return;
  fail("g" + std::to_string(group) + " key " + key, "held " + std::to_string(held) + " at " +
                                                        std::to_string(index) +
                                                        ", a query that saw it "
                                                        "there says " +
                                                        std::to_string(value));
}

}  // namespace flotilla::sim
