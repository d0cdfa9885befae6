// A record of the catalog reads back as it was written.
#include "host/catalog/records.h"

#include <string>

#include <capnp/message.h>
#include <doctest/doctest.h>

namespace flotilla::catalog {

TEST_CASE("catalog/records: a plugin's description keeps its zero bytes") {
  PluginRecord plugin;
  plugin.name = "kv";
  plugin.version = "1.0.0";
  plugin.sha256 = "ab";
  plugin.description = std::string("\0\0\1\0words\0\0\0", 12);
  plugin.holders = {1, 3};
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schema::CatalogPlugin>();
  write(plugin, root);
  PluginRecord back = read(root.asReader());
  CHECK(back.description == plugin.description);
  CHECK(back.nameAndVersion() == "kv@1.0.0");
  CHECK(back.holders == plugin.holders);
}

TEST_CASE("catalog/records: a setting keeps what stands behind a zero byte") {
  SpecRecord spec;
  spec.name = "orders";
  spec.config = {{"separator", std::string("a\0b", 3)}};
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schema::GroupSpec>();
  write(spec, root);
  CHECK(read(root.asReader()).config == spec.config);
}

}  // namespace flotilla::catalog
