// Refuses methods that cannot be replicated, and those that nobody handles.
#include "host/plugin/method_rules.h"

#include <cstdint>
#include <set>
#include <utility>

#include <capnp/stream.capnp.h>

#include "host/plugin/descriptor.h"

namespace flotilla::plugin {
namespace {

// Looks through all that a method's parameters or results are made of.
//
// Thread: one. Errors: kj::Exception for a schema that contradicts itself.
class Carriage {
public:
  // Why values of this struct cannot be carried; empty: they can.
  std::string problem(capnp::StructSchema type, const std::string& path) {
    auto node = type.getProto();
    if (node.getIsGeneric()) return path + " is generic; a log entry needs a type of its own";
    if (!seen_.insert(node.getId()).second) return {};
    for (auto field : type.getFields()) {
      std::string found = problem(field.getType(), path + "." + field.getProto().getName().cStr());
      if (!found.empty()) return found;
    }
    return {};
  }

private:
  std::string problem(capnp::Type type, const std::string& path) {
    while (type.isList()) type = type.asList().getElementType();
    if (type.isInterface() || type.which() == capnp::schema::Type::INTERFACE) {
      return path + " is a capability; only bytes are replicated, so pass a name or an id";
    }
    if (type.isAnyPointer()) {
      return path + " is an AnyPointer; only types that the schema knows are replicated";
    }
    return type.isStruct() ? problem(type.asStruct(), path) : std::string();
  }

  std::set<uint64_t> seen_;
};

// The rows, taken out one by one as methods ask for them.
//
// Thread: one. Errors: kj::Exception for a schema that contradicts itself.
class Rows {
public:
  explicit Rows(const std::vector<flotilla_method>& rows) : rows_(rows), used_(rows.size()) {}

  std::string problem(capnp::InterfaceSchema interface) {
    auto node = interface.getProto();
    if (!seen_.insert(node.getId()).second) return {};
    if (node.getIsGeneric()) {
      return "interface " + std::string(interface.getUnqualifiedName().cStr()) +
             " is generic; a root interface and its bases are not";
    }
    for (auto method : interface.getMethods()) {
      std::string found = problem(method);
      if (!found.empty()) return found;
    }
    for (auto base : interface.getSuperclasses()) {
      std::string found = problem(base);
      if (!found.empty()) return found;
    }
    return {};
  }

  // A row that no method has asked for.
  std::string leftOver() const {
    for (size_t i = 0; i < rows_.size(); ++i) {
      if (!used_[i]) return std::string("handler ") + nameOf(rows_[i]) + " has no method";
    }
    return {};
  }

private:
  static const char* nameOf(const flotilla_method& row) {
    return row.name == nullptr ? "without a name" : row.name;
  }

  std::string problem(capnp::InterfaceSchema::Method method) {
    std::string name = method.getProto().getName().cStr();
    std::string who = "method " + name + ": ";
    if (method.getProto().getImplicitParameters().size() > 0) {
      return who + "is generic; a log entry needs types of its own";
    }
    if (method.getResultType().getProto().getId() == capnp::typeId<capnp::StreamResult>()) {
      return who + "returns a stream; give it a result, clients batch by themselves";
    }
    Carriage carriage;
    std::string found = carriage.problem(method.getParamType(), "parameter");
    if (found.empty()) found = Carriage().problem(method.getResultType(), "result");
    if (!found.empty()) return who + found;
    return handlerProblem(name, method.getContainingInterface().getProto().getId(),
                          method.getOrdinal());
  }

  std::string handlerProblem(const std::string& name, uint64_t interfaceId, uint32_t ordinal) {
    bool found = false;
    for (size_t i = 0; i < rows_.size(); ++i) {
      const flotilla_method& row = rows_[i];
      if (row.interfaceId != interfaceId || row.method != ordinal) continue;
      if (found) return "method " + name + " has two handlers; it needs one";
      if (name != nameOf(row)) {
        return "method " + name + " @" + std::to_string(ordinal) + " is handled by " + nameOf(row) +
               "; was it built from another schema?";
      }
      if (row.kind != FLOTILLA_COMMAND && row.kind != FLOTILLA_QUERY) {
        return "method " + name +
               " is neither command nor query; its row's kind is FLOTILLA_COMMAND or "
               "FLOTILLA_QUERY";
      }
      if (row.kind == FLOTILLA_QUERY && (flagsOf(row) & FLOTILLA_FREES) != 0) {
        return "method " + name + " is a query and says that it frees memory; commands alone do";
      }
      if (row.kind == FLOTILLA_COMMAND && (flagsOf(row) & FLOTILLA_BESIDE) != 0) {
        return "method " + name + " is a command and says that it may be asked beside; queries may";
      }
      used_[i] = true;
      found = true;
    }
    if (found) return {};
    return "method " + name + " @" + std::to_string(ordinal) +
           " has no handler; add it to the machine and to FLOTILLA_PLUGIN(...)";
  }

  const std::vector<flotilla_method>& rows_;
  std::vector<bool> used_;
  std::set<uint64_t> seen_;
};

}  // namespace

std::string methodsProblem(capnp::InterfaceSchema root, const std::vector<flotilla_method>& rows) {
  Rows table(rows);
  std::string found = table.problem(root);
  return found.empty() ? table.leftOver() : found;
}

}  // namespace flotilla::plugin
