// A replica's state as it lies in a frame.
#include "host/store/state_record.h"

#include <utility>
#include <vector>

#include "host/store/packing.h"

namespace flotilla::store {

namespace {

constexpr uint64_t kVersion = 1;
constexpr size_t kUsualBytes = 96;  // with a few members and terms

void putPoint(std::string& to, const raft::LogPoint& point) {
  putVarint(to, point.index);
  putVarint(to, point.term);
}

raft::LogPoint takePoint(Unpacker& in) {
  raft::Index index = in.varint();
  return raft::LogPoint{index, in.varint()};
}

void putReplicas(std::string& to, const std::vector<raft::ReplicaId>& replicas) {
  putVarint(to, replicas.size());
  for (raft::ReplicaId replica : replicas) putVarint(to, replica);
}

std::vector<raft::ReplicaId> takeReplicas(Unpacker& in) {
  std::vector<raft::ReplicaId> replicas(in.count());
  for (raft::ReplicaId& replica : replicas) replica = in.varint();
  return replicas;
}

void putConfiguration(std::string& to, const raft::ConfigurationAt& at) {
  putVarint(to, at.index);
  putReplicas(to, at.configuration.voters);
  putReplicas(to, at.configuration.outgoing);
  putReplicas(to, at.configuration.learners);
  putReplicas(to, at.configuration.learnersNext);
  putVarint(to, at.configuration.autoLeave ? 1 : 0);
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
  std::string bytes;
  bytes.reserve(kUsualBytes);
  putFixed64(bytes, state.shape.firstIndex());
  putFixed64(bytes, state.shape.lastIndex());
  putVarint(bytes, kVersion);
  putVarint(bytes, state.hard.term);
  putVarint(bytes, state.hard.vote);
  putVarint(bytes, state.hard.commit);
  putPoint(bytes, state.shape.base());
  putVarint(bytes, state.shape.allRuns().size());
  raft::TermRun before{state.shape.base().index, state.shape.base().term};
  for (const raft::TermRun& run : state.shape.allRuns()) {
    putVarint(bytes, run.last - before.last);
    putVarint(bytes, run.term - before.term);
    before = run;
  }
  putVarint(bytes, state.shape.configurations().size());
  for (const raft::ConfigurationAt& at : state.shape.configurations()) putConfiguration(bytes, at);
  putPoint(bytes, state.snapshot);
  putVarint(bytes, state.generation);
  putFixed64(bytes, static_cast<uint64_t>(state.logTimeUs));
  return bytes;
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
