// A replica's state as it lies in a frame.
#include "host/store/state_record.h"

#include <array>
#include <utility>
#include <vector>

#include "host/base/assert.h"
#include "host/store/packing.h"

namespace flotilla::store {

namespace {

constexpr uint64_t kVersion = 1;
constexpr size_t kNumberBytesMax = 10;
constexpr size_t kUsualBytes = 1024;  // with a few members and terms it is far below

// How many bytes a state takes at most.
size_t boundOf(const group::ReplicaState& state) {
  size_t numbers = 16 + 2 * state.shape.allRuns().size();
  for (const raft::ConfigurationAt& at : state.shape.configurations()) {
    const raft::Configuration& members = at.configuration;
    numbers += 6 + members.voters.size() + members.outgoing.size() + members.learners.size() +
               members.learnersNext.size();
  }
  return numbers * kNumberBytesMax;
}

void putPoint(Packer& to, const raft::LogPoint& point) {
  to.varint(point.index);
  to.varint(point.term);
}

raft::LogPoint takePoint(Unpacker& in) {
  raft::Index index = in.varint();
  return raft::LogPoint{index, in.varint()};
}

void putReplicas(Packer& to, const std::vector<raft::ReplicaId>& replicas) {
  to.varint(replicas.size());
  for (raft::ReplicaId replica : replicas) to.varint(replica);
}

std::vector<raft::ReplicaId> takeReplicas(Unpacker& in) {
  std::vector<raft::ReplicaId> replicas(in.count());
  for (raft::ReplicaId& replica : replicas) replica = in.varint();
  return replicas;
}

void putConfiguration(Packer& to, const raft::ConfigurationAt& at) {
  to.varint(at.index);
  putReplicas(to, at.configuration.voters);
  putReplicas(to, at.configuration.outgoing);
  putReplicas(to, at.configuration.learners);
  putReplicas(to, at.configuration.learnersNext);
  to.varint(at.configuration.autoLeave ? 1 : 0);
}

raft::ConfigurationAt takeConfiguration(Unpacker& in) {
  raft::ConfigurationAt at;
  at.index = in.varint();
  at.configuration.voters = takeReplicas(in);
  at.configuration.outgoing = takeReplicas(in);
  at.configuration.learners = takeReplicas(in);
  at.configuration.learnersNext = takeReplicas(in);
  at.configuration.autoLeave = in.varint() != 0;
  return at;
}

}  // namespace

std::string encodeState(const group::ReplicaState& state) {
  std::array<char, kUsualBytes> usual;
  std::string large;
  size_t bound = boundOf(state);
  if (bound > usual.size()) large.resize(bound);
  char* start = large.empty() ? usual.data() : large.data();
  Packer to(start);
  to.fixed64(state.shape.firstIndex());
  to.fixed64(state.shape.lastIndex());
  to.varint(kVersion);
  to.varint(state.hard.term);
  to.varint(state.hard.vote);
  to.varint(state.hard.commit);
  putPoint(to, state.shape.base());
  to.varint(state.shape.allRuns().size());
  raft::TermRun before{state.shape.base().index, state.shape.base().term};
  for (const raft::TermRun& run : state.shape.allRuns()) {
    to.varint(run.last - before.last);
    to.varint(run.term - before.term);
    before = run;
  }
  to.varint(state.shape.configurations().size());
  for (const raft::ConfigurationAt& at : state.shape.configurations()) putConfiguration(to, at);
  putPoint(to, state.snapshot);
  to.varint(state.generation);
  to.fixed64(static_cast<uint64_t>(state.logTimeUs));
  auto size = static_cast<size_t>(to.at() - start);
  ASSERT(size <= bound);
  return {start, size};
}

std::optional<group::ReplicaState> decodeState(std::string_view bytes) {
  Unpacker in(bytes);
  raft::Index first = in.fixed64();
  raft::Index last = in.fixed64();
  if (in.varint() != kVersion) return std::nullopt;
  group::ReplicaState state;
  state.hard.term = in.varint();
  state.hard.vote = in.varint();
  state.hard.commit = in.varint();
  raft::LogPoint base = takePoint(in);
  std::vector<raft::TermRun> runs(in.count());
  raft::TermRun before{base.index, base.term};
  for (raft::TermRun& run : runs) {
    run.last = before.last + in.varint();
    run.term = before.term + in.varint();
    before = run;
  }
  std::vector<raft::ConfigurationAt> configurations(in.count());
  for (raft::ConfigurationAt& at : configurations) at = takeConfiguration(in);
  state.snapshot = takePoint(in);
  state.generation = in.varint();
  state.logTimeUs = static_cast<int64_t>(in.fixed64());
  if (!in.finished()) return std::nullopt;
  auto shape = raft::LogShape::from(base, std::move(runs), std::move(configurations));
  if (!shape || shape->firstIndex() != first || shape->lastIndex() != last) return std::nullopt;
  state.shape = std::move(*shape);
  return state;
}

std::optional<StateBounds> boundsOf(std::string_view bytes) {
  Unpacker in(bytes);
  StateBounds bounds;
  bounds.first = in.fixed64();
  bounds.last = in.fixed64();
  if (!in.good() || bounds.last + 1 < bounds.first) return std::nullopt;
  return bounds;
}

}  // namespace flotilla::store
