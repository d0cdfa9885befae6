// What a group's plugin offers: its methods and its schema.
#include "sdk/client/description.h"

#include <cstring>

namespace flotilla::client {

const MethodDescription* Description::find(MethodId id) const {
  for (const MethodDescription& method : methods) {
    if (method.id == id) return &method;
  }
  return nullptr;
}

const MethodDescription* Description::find(const std::string& name) const {
  for (const MethodDescription& method : methods) {
    if (method.name == name) return &method;
  }
  return nullptr;
}

Description describe(schema::PluginDescription::Reader plugin) {
  Description out;
  out.plugin = plugin.getName().cStr();
  out.version = plugin.getVersion().cStr();
  out.sha256 = plugin.getSha256().cStr();
  out.interfaceId = plugin.getInterfaceId();
  out.stateVersion = plugin.getStateVersion();
  for (auto method : plugin.getMethods()) {
    out.methods.push_back({.id = {method.getInterfaceId(), method.getMethod()},
                           .name = method.getName().cStr(),
                           .query = method.getKind() == schema::MethodKind::QUERY});
  }
  capnp::Data::Reader schema = plugin.getSchema();
  out.schema.resize(schema.size() / sizeof(uint64_t));
  if (!out.schema.empty()) {
    std::memcpy(out.schema.data(), schema.begin(), out.schema.size() * sizeof(uint64_t));
  }
  return out;
}

Description describe(schema::GroupDescription::Reader group) {
  Description out = describe(group.getPlugin());
  out.group = group.getName().cStr();
  out.groupId = group.getId();
  out.incarnation = group.getIncarnation();
  return out;
}

}  // namespace flotilla::client
