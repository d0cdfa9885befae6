// Catalog records as values, from and to their form on the wire.
#pragma once

#include "host/catalog/view.h"
#include "schemas/catalog.capnp.h"

namespace flotilla::catalog {

// Copies whatever is there, lists sorted where their order says nothing; whoever takes a reader
// from outside has checked sizes first.
HostRecord read(schema::CatalogHost::Reader from);
PluginRecord read(schema::CatalogPlugin::Reader from);
GroupRecord read(schema::CatalogGroup::Reader from);
SpecRecord read(schema::GroupSpec::Reader from);

void write(const HostRecord& from, schema::CatalogHost::Builder to);
void write(const PluginRecord& from, schema::CatalogPlugin::Builder to);
void write(const GroupRecord& from, schema::CatalogGroup::Builder to);
void write(const SpecRecord& from, schema::GroupSpec::Builder to);

}  // namespace flotilla::catalog
