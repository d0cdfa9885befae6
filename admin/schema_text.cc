// A plugin's interface, written out as its author would.
#include "admin/schema_text.h"

#include <array>
#include <cstdio>
#include <deque>
#include <map>
#include <set>

namespace flotilla::admin {
namespace {

std::string idText(uint64_t id) {
  std::array<char, 24> out{};
  std::snprintf(out.data(), out.size(), "@0x%016llx", static_cast<unsigned long long>(id));
  return out.data();
}

std::string nameOfType(capnp::Schema schema) {
  auto proto = schema.getProto();
  return proto.getDisplayName().cStr() + proto.getDisplayNamePrefixLength();
}

// Writes types in the order in which they are first needed.
//
// Thread: one.
// Errors: none; throws nothing that the loader has not thrown before.
class Writer {
public:
  explicit Writer(const SchemaBook& book) : book_(book) {}

  std::string run() {
    need(book_.root());
    while (!wanted_.empty()) {
      capnp::Schema next = wanted_.front();
      wanted_.pop_front();
      if (!out_.empty()) out_ += "\n";
      auto proto = next.getProto();
      if (proto.isInterface()) {
        interface(next.asInterface());
      } else if (proto.isStruct()) {
        out_ += "struct " + nameOfType(next) + " " + idText(proto.getId()) + " {\n";
        fields(next.asStruct(), "  ");
        out_ += "}\n";
      } else if (proto.isEnum()) {
        enumeration(next.asEnum());
      }
    }
    return out_;
  }

private:
  void need(capnp::Schema schema) {
    if (seen_.insert(schema.getProto().getId()).second) wanted_.push_back(schema);
  }

  void needType(capnp::Type type) {
    if (type.isList()) return needType(type.asList().getElementType());
    if (type.isStruct()) return need(type.asStruct());
    if (type.isEnum()) return need(type.asEnum());
    if (type.isInterface()) need(type.asInterface());
  }

  std::string paramList(capnp::StructSchema schema) {
    std::string out;
    for (auto field : schema.getFields()) {
      needType(field.getType());
      out += (out.empty() ? "" : ", ") + std::string(field.getProto().getName().cStr()) + " :" +
             typeName(field.getType());
    }
    return "(" + out + ")";
  }

  void interface(capnp::InterfaceSchema schema) {
    out_ += "interface " + nameOfType(schema) + " " + idText(schema.getProto().getId());
    std::string bases;
    for (auto base : schema.getSuperclasses()) {
      need(base);
      bases += (bases.empty() ? " extends(" : ", ") + nameOfType(base);
    }
    out_ += bases + (bases.empty() ? "" : ")") + " {\n";
    for (auto method : schema.getMethods()) {
      std::string name = method.getProto().getName().cStr();
      out_ += "  " + name + " @" + std::to_string(method.getOrdinal()) + " " +
              paramList(method.getParamType()) + " -> " + paramList(method.getResultType()) + ";";
      const auto* described = book_.description().find(
          client::MethodId{schema.getProto().getId(), method.getOrdinal()});
      if (described != nullptr) out_ += described->query ? "  # query" : "  # command";
      out_ += "\n";
    }
    out_ += "}\n";
  }

  // In the order of their ordinals a reader sees the numbers rise; members of a union stand
  // together.
  void fields(capnp::StructSchema schema, const std::string& indent) {
    for (auto field : schema.getNonUnionFields()) member(field, indent);
    if (schema.getUnionFields().size() == 0) return;
    out_ += indent + "union {\n";
    for (auto field : schema.getUnionFields()) member(field, indent + "  ");
    out_ += indent + "}\n";
  }

  void member(capnp::StructSchema::Field field, const std::string& indent) {
    auto proto = field.getProto();
    std::string name = proto.getName().cStr();
    if (proto.isGroup()) {
      out_ += indent + name + " :group {\n";
      fields(field.getType().asStruct(), indent + "  ");
      out_ += indent + "}\n";
      return;
    }
    needType(field.getType());
    out_ += indent + name + " @" +
            std::to_string(proto.getOrdinal().isExplicit() ? proto.getOrdinal().getExplicit() : 0) +
            " :" + typeName(field.getType()) + ";\n";
  }

  void enumeration(capnp::EnumSchema schema) {
    out_ += "enum " + nameOfType(schema) + " " + idText(schema.getProto().getId()) + " {\n";
    for (auto enumerant : schema.getEnumerants()) {
      out_ += "  " + std::string(enumerant.getProto().getName().cStr()) + " @" +
              std::to_string(enumerant.getOrdinal()) + ";\n";
    }
    out_ += "}\n";
  }

  const SchemaBook& book_;
  std::deque<capnp::Schema> wanted_;
  std::set<uint64_t> seen_;
  std::string out_;
};

}  // namespace

std::string schemaText(const SchemaBook& book) {
  return Writer(book).run();
}

}  // namespace flotilla::admin
