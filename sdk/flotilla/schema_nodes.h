// An interface's schema, gathered from generated code for those who have none.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include <capnp/message.h>
#include <capnp/schema.capnp.h>
#include <capnp/schema.h>
#include <capnp/serialize.h>

namespace flotilla {

// The nodes of an interface and of all types that its methods reach: what a dynamic client loads.
//
// Owner:  Description.
// Thread: one.
// Errors: none.
class SchemaNodes {
public:
  // A message with segment table: CodeGeneratorRequest, `nodes` and `capnpVersion` filled.
  static kj::Array<capnp::word> of(capnp::InterfaceSchema root) { return gathered(root); }
  // The same of a struct, which is the first node.
  static kj::Array<capnp::word> of(capnp::StructSchema root) { return gathered(root); }

private:
  template <typename Root>
  static kj::Array<capnp::word> gathered(Root root) {
    SchemaNodes nodes;
    nodes.add(root);
    capnp::MallocMessageBuilder message;
    auto request = message.initRoot<capnp::schema::CodeGeneratorRequest>();
    auto version = request.initCapnpVersion();
    version.setMajor(CAPNP_VERSION_MAJOR);
    version.setMinor(CAPNP_VERSION_MINOR);
    version.setMicro(CAPNP_VERSION_MICRO);
    auto list = request.initNodes(static_cast<unsigned>(nodes.nodes_.size()));
    for (unsigned i = 0; i < list.size(); ++i) list.setWithCaveats(i, nodes.nodes_[i]);
    return capnp::messageToFlatArray(message);
  }

  bool isNew(capnp::Schema schema) {
    auto node = schema.getProto();
    if (!seen_.insert(node.getId()).second) return false;
    nodes_.push_back(node);
    return true;
  }
  void add(capnp::InterfaceSchema interface) {
    if (!isNew(interface)) return;
    for (capnp::InterfaceSchema base : interface.getSuperclasses()) add(base);
    for (auto method : interface.getMethods()) {
      add(method.getParamType());
      add(method.getResultType());
    }
  }
  void add(capnp::StructSchema type) {
    if (!isNew(type)) return;
    for (auto field : type.getFields()) add(field.getType());
  }
  void add(capnp::Type type) {
    while (type.isList()) type = type.asList().getElementType();
    if (type.isStruct()) add(type.asStruct());
    if (type.isInterface()) add(type.asInterface());
    if (type.isEnum()) isNew(type.asEnum());
  }

  std::set<uint64_t> seen_;
  std::vector<capnp::schema::Node::Reader> nodes_;
};

}  // namespace flotilla
