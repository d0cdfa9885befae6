// A plugin's schema, loaded from what a host says of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <capnp/schema-loader.h>

#include "sdk/client/description.h"
#include "sdk/flotilla/result.h"

namespace flotilla::admin {

// The interface of one plugin, its methods' parameters and results, as dynamic schemas.
//
// Owner:  the command; schemas got from it die with it.
// Thread: main's.
// Errors: open answers with a fault where the nodes make no sense.
class SchemaBook {
public:
  static Result<std::unique_ptr<SchemaBook>> open(const client::Description& description);

  struct Method {
    const client::MethodDescription* described = nullptr;
    capnp::StructSchema params;
    capnp::StructSchema results;
  };

  // A fault names the methods that there are.
  Result<Method> method(const std::string& name) const;
  std::vector<Method> methods() const;

  const client::Description& description() const { return description_; }
  capnp::InterfaceSchema root() const { return root_; }

private:
  explicit SchemaBook(const client::Description& description) : description_(description) {}
  Result<void> load();

  client::Description description_;
  capnp::SchemaLoader loader_;
  capnp::InterfaceSchema root_;
  std::vector<Method> methods_;
};

// A type as a schema file spells it: Text, List(UInt8), Item.
std::string typeName(capnp::Type type);
// (key :Text, value :Data)
std::string fieldList(capnp::StructSchema schema);

}  // namespace flotilla::admin
