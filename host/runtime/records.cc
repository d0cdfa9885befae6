// What this host remembers in meta/.
#include "host/runtime/records.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <utility>

#include <capnp/message.h>
#include <capnp/serialize.h>

#include "host/base/checksum.h"
#include "host/group/machine_store.h"
#include "schemas/meta.capnp.h"

namespace flotilla::runtime {
namespace {

std::string flat(capnp::MessageBuilder& message) {
  kj::Array<capnp::word> words = capnp::messageToFlatArray(message);
  kj::ArrayPtr<const char> chars = words.asChars();
  return std::string(chars.begin(), chars.size());
}

// Runs `read` over a message; a damaged one becomes a fault. The store has checked the bytes, so
// only a record of a later version gets here.
template <typename Root, typename Read>
auto readMessage(std::string_view bytes, Read read)
    -> Result<decltype(read(std::declval<typename Root::Reader>()))> {
  using T = decltype(read(std::declval<typename Root::Reader>()));
  kj::Array<capnp::word> words =
      kj::heapArray<capnp::word>((bytes.size() + sizeof(capnp::word) - 1) / sizeof(capnp::word));
  std::memset(words.begin(), 0, words.asBytes().size());
  if (!bytes.empty()) std::memcpy(words.begin(), bytes.data(), bytes.size());
  kj::Maybe<T> result;
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&]() {
                 capnp::FlatArrayMessageReader reader(words);
                 result = read(reader.getRoot<Root>());
               })) {
    return Fault{
        ErrorCode::corrupt,
        std::string("meta: a record does not read back: ") + exception->getDescription().cStr(),
        ""};
  }
  return std::move(KJ_ASSERT_NONNULL(result));
}

void put(const std::vector<catalog::OptionText>& from, capnp::List<schema::KeyValue>::Builder to) {
  for (unsigned i = 0; i < to.size(); ++i) {
    to[i].setKey(from[i].first);
    to[i].setValue(from[i].second);
  }
}

std::vector<catalog::OptionText> texts(capnp::List<schema::KeyValue>::Reader from) {
  std::vector<catalog::OptionText> to;
  for (auto each : from) to.emplace_back(each.getKey().cStr(), each.getValue().cStr());
  return to;
}

// As group::Soundness; a word of a later version is not to be believed either.
group::Soundness soundnessOf(schema::StoredReplica::Soundness word) {
  switch (word) {
    case schema::StoredReplica::Soundness::SOUND:
      return group::Soundness::sound;
    case schema::StoredReplica::Soundness::QUARANTINED:
      return group::Soundness::quarantined;
    case schema::StoredReplica::Soundness::REBUILDING:
      break;
  }
  return group::Soundness::rebuilding;
}

unsigned countOf(std::size_t size) {
  return static_cast<unsigned>(size);
}

}  // namespace

std::string FoundingRecord::clusterId() const {
  std::string text = cluster + "\n";
  for (const Founder& each : hosts) text += std::to_string(each.id) + " " + each.birth + "\n";
  char id[33];
  std::snprintf(id, sizeof id, "%016" PRIx64 "%016" PRIx64, base::checksum(text, 1),
                base::checksum(text, 2));
  return id;
}

const FoundingRecord::Founder* FoundingRecord::find(uint64_t id) const {
  for (const Founder& each : hosts) {
    if (each.id == id) return &each;
  }
  return nullptr;
}

std::string StoredReplica::rebuildCommand() const {
  return "flotilla group rebuild " + name + " --on " + std::to_string(hostOf(key.replica));
}

Fault StoredReplica::advised(Fault fault) const {
  return group::advised(std::move(fault), "flotilla group retry " + name, rebuildCommand());
}

uint64_t StoredReplica::hostOf(uint64_t replica) const {
  for (const Member& each : members) {
    if (each.replica == replica) return each.host;
  }
  return 0;
}

uint64_t StoredReplica::replicaOn(uint64_t host) const {
  for (const Member& each : members) {
    if (each.host == host) return each.replica;
  }
  return 0;
}

std::string encode(const FoundingRecord& record) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schema::Founding>();
  root.setCluster(record.cluster);
  auto hosts = root.initHosts(countOf(record.hosts.size()));
  for (unsigned i = 0; i < hosts.size(); ++i) {
    hosts[i].setId(record.hosts[i].id);
    hosts[i].setAddress(record.hosts[i].address);
    hosts[i].setBirth(record.hosts[i].birth);
  }
  return flat(message);
}

Result<FoundingRecord> decodeFounding(std::string_view bytes) {
  return readMessage<schema::Founding>(bytes, [](schema::Founding::Reader root) {
    FoundingRecord record;
    record.cluster = root.getCluster().cStr();
    for (auto each : root.getHosts()) {
      record.hosts.push_back({each.getId(), each.getAddress().cStr(), each.getBirth().cStr()});
    }
    return record;
  });
}

std::string encode(const StoredReplica& record) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schema::StoredReplica>();
  root.setGroup(record.key.group);
  root.setReplica(record.key.replica);
  root.setIncarnation(record.incarnation);
  root.setName(record.name);
  root.setState(record.tombstone ? schema::StoredReplica::State::TOMBSTONE
                                 : schema::StoredReplica::State::PRESENT);
  root.setPluginSha256(record.pluginSha256);
  root.setPluginName(record.pluginName);
  root.setPluginVersion(record.pluginVersion);
  put(record.options, root.initOptions(countOf(record.options.size())));
  put(record.config, root.initConfig(countOf(record.config.size())));
  auto members = root.initMembers(countOf(record.members.size()));
  for (unsigned i = 0; i < members.size(); ++i) {
    members[i].setReplica(record.members[i].replica);
    members[i].setHost(record.members[i].host);
    members[i].setAddress(record.members[i].address);
  }
  auto voters = root.initInitialVoters(countOf(record.initialVoters.size()));
  for (unsigned i = 0; i < voters.size(); ++i) voters.set(i, record.initialVoters[i]);
  auto learners = root.initInitialLearners(countOf(record.initialLearners.size()));
  for (unsigned i = 0; i < learners.size(); ++i) learners.set(i, record.initialLearners[i]);
  root.setPreferredLeader(record.preferredLeader);
  root.setSoundness(static_cast<schema::StoredReplica::Soundness>(record.soundness));
  root.setUnsoundAt(record.unsoundAt);
  root.setUnsoundBecause(record.unsoundBecause);
  root.setOptionsVersion(record.optionsVersion);
  return flat(message);
}

Result<StoredReplica> decodeReplica(std::string_view bytes) {
  return readMessage<schema::StoredReplica>(bytes, [](schema::StoredReplica::Reader root) {
    StoredReplica record;
    record.key = {root.getGroup(), root.getReplica()};
    record.incarnation = root.getIncarnation();
    record.name = root.getName().cStr();
    record.tombstone = root.getState() != schema::StoredReplica::State::PRESENT;
    record.pluginSha256 = root.getPluginSha256().cStr();
    record.pluginName = root.getPluginName().cStr();
    record.pluginVersion = root.getPluginVersion().cStr();
    record.options = texts(root.getOptions());
    record.config = texts(root.getConfig());
    for (auto each : root.getMembers()) {
      record.members.push_back({each.getReplica(), each.getHost(), each.getAddress().cStr()});
    }
    for (uint64_t each : root.getInitialVoters()) record.initialVoters.push_back(each);
    for (uint64_t each : root.getInitialLearners()) record.initialLearners.push_back(each);
    record.preferredLeader = root.getPreferredLeader();
    record.soundness = soundnessOf(root.getSoundness());
    record.unsoundAt = root.getUnsoundAt();
    record.unsoundBecause = root.getUnsoundBecause().cStr();
    record.optionsVersion = root.getOptionsVersion();
    return record;
  });
}

std::string replicaKey(group::ReplicaKey key) {
  return std::string(kReplicaPrefix) + std::to_string(key.group) + "/" +
         std::to_string(key.replica);
}

}  // namespace flotilla::runtime
