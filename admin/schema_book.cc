// A plugin's schema, loaded from what a host says of it.
#include "admin/schema_book.h"

#include <capnp/schema.capnp.h>
#include <capnp/serialize.h>

namespace flotilla::admin {
namespace {

std::string shortName(capnp::Schema schema) {
  return schema.getProto().getDisplayName().cStr() + schema.getProto().getDisplayNamePrefixLength();
}

}  // namespace

std::string typeName(capnp::Type type) {
  switch (type.which()) {
    case capnp::schema::Type::VOID:
      return "Void";
    case capnp::schema::Type::BOOL:
      return "Bool";
    case capnp::schema::Type::INT8:
      return "Int8";
    case capnp::schema::Type::INT16:
      return "Int16";
    case capnp::schema::Type::INT32:
      return "Int32";
    case capnp::schema::Type::INT64:
      return "Int64";
    case capnp::schema::Type::UINT8:
      return "UInt8";
    case capnp::schema::Type::UINT16:
      return "UInt16";
    case capnp::schema::Type::UINT32:
      return "UInt32";
    case capnp::schema::Type::UINT64:
      return "UInt64";
    case capnp::schema::Type::FLOAT32:
      return "Float32";
    case capnp::schema::Type::FLOAT64:
      return "Float64";
    case capnp::schema::Type::TEXT:
      return "Text";
    case capnp::schema::Type::DATA:
      return "Data";
    case capnp::schema::Type::LIST:
      return "List(" + typeName(type.asList().getElementType()) + ")";
    case capnp::schema::Type::ENUM:
      return shortName(type.asEnum());
    case capnp::schema::Type::STRUCT:
      return shortName(type.asStruct());
    case capnp::schema::Type::INTERFACE:
      return shortName(type.asInterface());
    case capnp::schema::Type::ANY_POINTER:
      return "AnyPointer";
  }
  return "?";
}

std::string fieldList(capnp::StructSchema schema) {
  std::string out = "(";
  for (capnp::StructSchema::Field field : schema.getFields()) {
    if (out.size() > 1) out += ", ";
    out += field.getProto().getName().cStr();
    out += " :" + (field.getProto().isGroup() ? fieldList(field.getType().asStruct())
                                              : typeName(field.getType()));
  }
  return out + ")";
}

Result<std::unique_ptr<SchemaBook>> SchemaBook::open(const client::Description& description) {
  std::unique_ptr<SchemaBook> book(new SchemaBook(description));
  Result<void> loaded = Fault{};
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&]() { loaded = book->load(); })) {
    return Fault{ErrorCode::badRequest,
                 "plugin " + description.plugin +
                     ": its schema cannot be read: " + exception->getDescription().cStr(),
                 ""};
  }
  if (!loaded) return loaded.fault();
  return book;
}

Result<void> SchemaBook::load() {
  capnp::FlatArrayMessageReader message(
      kj::arrayPtr(reinterpret_cast<const capnp::word*>(description_.schema.data()),
                   description_.schema.size()));
  for (auto node : message.getRoot<capnp::schema::CodeGeneratorRequest>().getNodes()) {
    loader_.load(node);
  }
  root_ = loader_.get(description_.interfaceId).asInterface();
  for (const client::MethodDescription& described : description_.methods) {
    capnp::InterfaceSchema declaring = loader_.get(described.id.interfaceId).asInterface();
    auto declared = declaring.getMethods();
    if (described.id.method >= declared.size()) {
      return Fault{
          ErrorCode::badRequest,
          "plugin " + description_.plugin + ": method " + described.name + " is not in its schema",
          ""};
    }
    auto method = declared[described.id.method];
    methods_.push_back({&described, method.getParamType(), method.getResultType()});
  }
  return {};
}

Result<SchemaBook::Method> SchemaBook::method(const std::string& name) const {
  std::string known;
  for (const Method& method : methods_) {
    if (method.described->name == name) return method;
    known += (known.empty() ? "" : ", ") + method.described->name;
  }
  return Fault{ErrorCode::noSuchMethod,
               name + ": plugin " + description_.plugin + " has no such method; it has " + known,
               ""};
}

std::vector<SchemaBook::Method> SchemaBook::methods() const {
  return methods_;
}

}  // namespace flotilla::admin
