// What a group's plugin offers: its methods and its schema.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "schemas/client.capnp.h"
#include "sdk/client/words.h"

namespace flotilla::client {

struct MethodDescription {
  MethodId id;
  std::string name;
  bool query = false;  // reads; else a command, which changes state
};

struct Description {
  std::string group;  // empty where a plugin is described by itself
  uint64_t groupId = 0;
  uint64_t incarnation = 0;
  std::string plugin;
  std::string version;
  std::string sha256;
  uint64_t interfaceId = 0;
  uint32_t stateVersion = 0;
  std::vector<MethodDescription> methods;
  std::vector<uint64_t> schema;  // words of a message: CodeGeneratorRequest with `nodes`

  // null where there is none.
  const MethodDescription* find(MethodId id) const;
  const MethodDescription* find(const std::string& name) const;
};

Description describe(schema::PluginDescription::Reader plugin);
Description describe(schema::GroupDescription::Reader group);

}  // namespace flotilla::client
