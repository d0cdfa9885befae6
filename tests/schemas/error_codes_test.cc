// Holds the C++ error codes against the schema's, name by name and number by number.
#include <string>

#include <capnp/schema.h>
#include <doctest/doctest.h>

#include "schemas/types.capnp.h"
#include "sdk/flotilla/result.h"

using flotilla::ErrorCode;

TEST_CASE("schemas/types: every error code of the wire has its name and number in result.h") {
  auto enumerants = capnp::Schema::from<flotilla::schema::ErrorCode>().getEnumerants();
  CHECK(enumerants.size() == static_cast<size_t>(ErrorCode::app) + 1);
  for (capnp::EnumSchema::Enumerant it : enumerants) {
    CAPTURE(it.getOrdinal());
    std::string spelled = it.getProto().getName().cStr();
    CHECK(spelled == std::string(flotilla::nameOf(static_cast<ErrorCode>(it.getOrdinal()))));
  }
}

TEST_CASE("schemas/types: codes that never travel are not on the wire") {
  auto schema = capnp::Schema::from<flotilla::schema::ErrorCode>();
  CHECK(schema.findEnumerantByName("corrupt") == nullptr);
  CHECK(schema.findEnumerantByName("io") == nullptr);
}
