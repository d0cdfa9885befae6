// How groups are shown to people; for programs see views.h.
#pragma once

#include <string>

#include "admin/table.h"
#include "schemas/admin.capnp.h"

namespace flotilla::admin {

// What a group's spec allows it; empty: all there is.
std::string quotasText(schema::GroupStatus::Reader group);

// A table of groups, and one of them in it.
Table groupRows();
void addGroupRow(Table& table, schema::GroupStatus::Reader group);

// One group with its replicas and what is wrong with them, on stdout.
void printGroup(schema::GroupStatus::Reader group);

}  // namespace flotilla::admin
