// Several cores in one process.
#include "tests/raft/fleet.h"

#include <utility>

#include <doctest/doctest.h>

#include "host/raft/describe.h"

namespace flotilla::test {

namespace {

// Changes what the write names and nothing else, so that a wrong range shows.
void change(std::map<raft::Index, raft::Term>& entries, const raft::Write& write,
            const raft::LogShape& shape) {
  if (write.reset) entries.clear();
  entries.erase(entries.lower_bound(write.first), entries.end());
  for (raft::Index index = write.first; index <= write.last; ++index) {
    entries[index] = shape.termAt(index).value_or(0);
  }
  entries.erase(entries.begin(), entries.upper_bound(shape.base().index));
}

void checkSame(const std::map<raft::Index, raft::Term>& entries, const raft::LogShape& shape) {
  REQUIRE(entries.size() == shape.lastIndex() - shape.base().index);
  for (const auto& [index, term] : entries) REQUIRE(shape.termAt(index) == term);
}

}  // namespace

void Fleet::add(const raft::CoreConfig& config, raft::HardState hard, raft::LogShape shape) {
  FleetReplica& replica = replicas_[config.self];
  replica.config = config;
  replica.disk.hard = hard;
  replica.disk.shape = shape;
  for (raft::Index index = shape.firstIndex(); index <= shape.lastIndex(); ++index) {
    replica.disk.entries[index] = *shape.termAt(index);
  }
  replica.snapshot = shape.base();
  replica.snapshotConfiguration = shape.configurationAt(shape.base().index).configuration;
  begin(replica);
}

FleetReplica& Fleet::at(raft::ReplicaId replica) {
  auto found = replicas_.find(replica);
  REQUIRE_MESSAGE(found != replicas_.end(), "no core " << replica);
  return found->second;
}

void Fleet::begin(FleetReplica& replica) {
  const DiskImage& disk = replica.disk;
  replica.core = std::make_unique<raft::Core>(replica.config, disk.hard, disk.shape);
  replica.sparing = std::make_unique<SparingCore>(replica.config, disk.hard, disk.shape);
  replica.applied = replica.core->applicable();
}

raft::Effects Fleet::step(raft::ReplicaId replica, const raft::Input& input) {
  raft::Effects effects;
  FleetReplica& it = at(replica);
  it.core->step(input, effects);
  REQUIRE(raft::describe(it.sparing->step(input)) == raft::describe(effects));
  REQUIRE(it.sparing->isAs(*it.core));
  carryOut(it, effects);
  return effects;
}

void Fleet::doubtLease(raft::ReplicaId replica) {
  at(replica).core->doubtLease();
  at(replica).sparing->doubtLease();
}

void Fleet::carryOut(FleetReplica& replica, const raft::Effects& effects) {
  if (effects.write) {
    DiskImage image;
    image.id = effects.write->id;
    image.hard = effects.write->hard;
    image.shape = replica.core->shape();
    image.entries = replica.pending.empty() ? replica.disk.entries : replica.pending.back().entries;
    change(image.entries, *effects.write, image.shape);
    checkSame(image.entries, image.shape);
    if (effects.write->reset) {
      replica.snapshot = image.shape.base();
      replica.snapshotConfiguration = image.shape.latestConfiguration().configuration;
    }
    replica.pending.push_back(std::move(image));
  }
  for (const raft::Message& message : effects.sends) pool_.push_back(message);
  for (const raft::SnapshotWanted& wanted : effects.snapshots) {
    replica.snapshotsFor.push_back(wanted.to);
  }
  if (effects.install) replica.installing = effects.install;
  replica.applied = effects.apply;
}

raft::Effects Fleet::persist(raft::ReplicaId replica, raft::WriteId write) {
  FleetReplica& it = at(replica);
  if (it.pending.empty()) return {};
  if (write == 0) write = it.pending.back().id;
  while (!it.pending.empty() && it.pending.front().id <= write) {
    it.disk = std::move(it.pending.front());
    it.pending.erase(it.pending.begin());
  }
  return step(replica, raft::Persisted{write});
}

void Fleet::crash(raft::ReplicaId replica, size_t surviving) {
  FleetReplica& it = at(replica);
  for (size_t i = 0; i < surviving && i < it.pending.size(); ++i) it.disk = it.pending[i];
  it.disk.id = 0;
  it.pending.clear();
  it.installing.reset();
  it.snapshotsFor.clear();
  if (it.snapshot.index > it.disk.shape.lastIndex() ||
      it.snapshot.index < it.disk.shape.base().index) {
    it.snapshot = it.disk.shape.base();
    it.snapshotConfiguration = it.disk.shape.configurationAt(it.snapshot.index).configuration;
  }
  it.config.seed = it.config.seed * 31 + ++starts_;
  begin(it);
}

void Fleet::compact(raft::ReplicaId replica, raft::Index to) {
  FleetReplica& it = at(replica);
  const raft::LogShape& shape = it.core->shape();
  if (to <= shape.base().index || to > it.applied) return;
  it.snapshot = {to, *shape.termAt(to)};
  it.snapshotConfiguration = shape.configurationAt(to).configuration;
  step(replica, raft::Compact{it.snapshot, to});
}

std::optional<raft::Message> Fleet::takeSnapshotMessage(raft::ReplicaId from) {
  FleetReplica& it = at(from);
  if (it.snapshotsFor.empty()) return std::nullopt;
  raft::Message message;
  message.kind = raft::MessageKind::snapshot;
  message.from = from;
  message.to = it.snapshotsFor.front();
  message.term = it.core->term();
  message.after = it.snapshot;
  message.configurations = {{it.snapshot.index, it.snapshotConfiguration}};
  it.snapshotsFor.erase(it.snapshotsFor.begin());
  return message;
}

}  // namespace flotilla::test
