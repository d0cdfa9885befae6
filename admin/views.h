// What hosts say of themselves, of plugins and of groups, as JSON for programs.
#pragma once

#include "admin/command.h"
#include "schemas/admin.capnp.h"

namespace flotilla::admin {

Json hostJson(schema::HostStatus::Reader host);
Json pluginJson(schema::PluginStatus::Reader plugin);
Json groupJson(schema::GroupStatus::Reader group);
Json clusterJson(schema::ClusterStatus::Reader status);

// One line on stdout.
void printJson(const Json& object);

// What its leader refuses because of a quota; empty: nothing.
std::string refusesText(schema::GroupStatus::Reader group);
// How many of a group's members answer, serve and are whole: "3/3".
std::string healthText(schema::GroupStatus::Reader group);

}  // namespace flotilla::admin
