// Catalog records as values, from and to their form on the wire.
#include "host/catalog/records.h"

#include <algorithm>

#include "flotilla/views.h"

namespace flotilla::catalog {
namespace {

std::string text(capnp::Text::Reader from) {
  return std::string(from.begin(), from.size());
}

std::vector<uint64_t> numbers(capnp::List<uint64_t>::Reader from) {
  std::vector<uint64_t> out;
  for (uint64_t number : from) out.push_back(number);
  return out;
}

std::vector<OptionText> pairs(capnp::List<schema::KeyValue>::Reader from) {
  std::vector<OptionText> out;
  for (auto pair : from) out.emplace_back(text(pair.getKey()), text(pair.getValue()));
  return out;
}

template <typename List>
void fill(const std::vector<uint64_t>& from, List to) {
  for (unsigned i = 0; i < to.size(); ++i) to.set(i, from[i]);
}

void fill(const std::vector<OptionText>& from, capnp::List<schema::KeyValue>::Builder to) {
  for (unsigned i = 0; i < to.size(); ++i) {
    to[i].setKey(flotilla::text(from[i].first));
    to[i].setValue(flotilla::text(from[i].second));
  }
}

template <typename T>
unsigned count(const std::vector<T>& list) {
  return static_cast<unsigned>(list.size());
}

}  // namespace

HostRecord read(schema::CatalogHost::Reader from) {
  HostRecord host{.id = from.getId(),
                  .birth = text(from.getBirth()),
                  .address = text(from.getAddress()),
                  .version = text(from.getVersion()),
                  .bootNumber = from.getBootNumber(),
                  .clusterVersion = from.getClusterVersion(),
                  .founder = from.getFounder(),
                  .http = text(from.getHttp()),
                  .volumes = {}};
  for (auto volume : from.getVolumes()) host.volumes.push_back(text(volume));
  return host;
}

PluginRecord read(schema::CatalogPlugin::Reader from) {
  auto description = from.getDescription().asChars();
  return PluginRecord{.name = text(from.getName()),
                      .version = text(from.getVersion()),
                      .sha256 = text(from.getSha256()),
                      .bytes = from.getBytes(),
                      .description = std::string(description.begin(), description.size()),
                      .holders = numbers(from.getHolders()),
                      .pushed = from.getPushed()};
}

SpecRecord read(schema::GroupSpec::Reader from) {
  SpecRecord spec{.name = text(from.getName()),
                  .plugin = text(from.getPlugin()),
                  .on = numbers(from.getOn()),
                  .replicas = from.getReplicas(),
                  .learners = numbers(from.getLearners()),
                  .options = pairs(from.getOptions()),
                  .config = pairs(from.getConfig())};
  std::sort(spec.on.begin(), spec.on.end());
  std::sort(spec.learners.begin(), spec.learners.end());
  std::sort(spec.options.begin(), spec.options.end());
  std::sort(spec.config.begin(), spec.config.end());
  return spec;
}

GroupRecord read(schema::CatalogGroup::Reader from) {
  GroupRecord group{.id = from.getId(),
                    .incarnation = from.getIncarnation(),
                    .spec = read(from.getSpec()),
                    .pluginSha256 = text(from.getPluginSha256()),
                    .pluginName = text(from.getPluginName()),
                    .pluginVersion = text(from.getPluginVersion()),
                    .firstSha256 = text(from.getFirstSha256()),
                    .switchedAt = from.getSwitchedAt(),
                    .optionsVersion = from.getOptionsVersion(),
                    .phase = static_cast<GroupPhase>(from.getState()),
                    .replicas = {}};
  for (auto replica : from.getReplicas()) {
    group.replicas.push_back({.id = replica.getId(),
                              .host = replica.getHost(),
                              .voter = replica.getVoter(),
                              .initial = replica.getInitial(),
                              .phase = static_cast<ReplicaPhase>(replica.getState())});
  }
  return group;
}

void write(const HostRecord& from, schema::CatalogHost::Builder to) {
  to.setId(from.id);
  to.setBirth(from.birth);
  to.setAddress(from.address);
  to.setVersion(from.version);
  to.setBootNumber(from.bootNumber);
  to.setClusterVersion(from.clusterVersion);
  to.setFounder(from.founder);
  to.setHttp(from.http);
  auto volumes = to.initVolumes(count(from.volumes));
  for (unsigned i = 0; i < volumes.size(); ++i) volumes.set(i, from.volumes[i]);
}

void write(const PluginRecord& from, schema::CatalogPlugin::Builder to) {
  to.setName(from.name);
  to.setVersion(from.version);
  to.setSha256(from.sha256);
  to.setBytes(from.bytes);
  // Not by StringPtr, which ends at the first NUL.
  to.setDescription(
      {reinterpret_cast<const kj::byte*>(from.description.data()), from.description.size()});
  fill(from.holders, to.initHolders(count(from.holders)));
  to.setPushed(from.pushed);
}

void write(const SpecRecord& from, schema::GroupSpec::Builder to) {
  to.setName(from.name);
  to.setPlugin(from.plugin);
  fill(from.on, to.initOn(count(from.on)));
  to.setReplicas(from.replicas);
  fill(from.learners, to.initLearners(count(from.learners)));
  fill(from.options, to.initOptions(count(from.options)));
  fill(from.config, to.initConfig(count(from.config)));
}

void write(const GroupRecord& from, schema::CatalogGroup::Builder to) {
  to.setId(from.id);
  to.setIncarnation(from.incarnation);
  write(from.spec, to.initSpec());
  to.setPluginSha256(from.pluginSha256);
  to.setPluginName(from.pluginName);
  to.setPluginVersion(from.pluginVersion);
  to.setFirstSha256(from.firstSha256);
  to.setSwitchedAt(from.switchedAt);
  to.setOptionsVersion(static_cast<uint32_t>(from.optionsVersion));
  to.setState(static_cast<schema::CatalogGroup::State>(from.phase));
  auto replicas = to.initReplicas(count(from.replicas));
  for (unsigned i = 0; i < replicas.size(); ++i) {
    const ReplicaRecord& replica = from.replicas[i];
    replicas[i].setId(replica.id);
    replicas[i].setHost(replica.host);
    replicas[i].setVoter(replica.voter);
    replicas[i].setInitial(replica.initial);
    replicas[i].setState(static_cast<schema::CatalogReplica::State>(replica.phase));
  }
}

}  // namespace flotilla::catalog
