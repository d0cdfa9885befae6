// A configuration in Cap'n Proto words, as entries, group states and snapshots carry it.
#include "host/group/configuration_words.h"

#include "host/group/entry.h"

namespace flotilla::group {
namespace {

using Ids = capnp::List<uint64_t>;

void writeIds(const std::vector<raft::ReplicaId>& from, Ids::Builder to) {
  for (uint32_t i = 0; i < to.size(); ++i) to.set(i, from[i]);
}

bool readIds(Ids::Reader from, std::vector<raft::ReplicaId>& to) {
  if (from.size() > kConfigurationMembersMax) return false;
  to.clear();
  for (uint64_t id : from) to.push_back(id);
  return true;
}

uint32_t sizeOf(const std::vector<raft::ReplicaId>& ids) {
  return static_cast<uint32_t>(ids.size());
}

}  // namespace

uint64_t listWordsOf(const raft::Configuration& configuration) {
  return configuration.voters.size() + configuration.outgoing.size() +
         configuration.learners.size() + configuration.learnersNext.size();
}

void writeConfiguration(const raft::Configuration& from, schema::Configuration::Builder to) {
  writeIds(from.voters, to.initVoters(sizeOf(from.voters)));
  writeIds(from.outgoing, to.initOutgoing(sizeOf(from.outgoing)));
  writeIds(from.learners, to.initLearners(sizeOf(from.learners)));
  writeIds(from.learnersNext, to.initLearnersNext(sizeOf(from.learnersNext)));
  to.setAutoLeave(from.autoLeave);
}

bool readConfiguration(schema::Configuration::Reader from, raft::Configuration& to) {
  to.autoLeave = from.getAutoLeave();
  return readIds(from.getVoters(), to.voters) && readIds(from.getOutgoing(), to.outgoing) &&
         readIds(from.getLearners(), to.learners) &&
         readIds(from.getLearnersNext(), to.learnersNext);
}

}  // namespace flotilla::group
