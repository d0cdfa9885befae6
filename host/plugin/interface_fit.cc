// Whether one plugin can take another one's place before its clients.
#include "host/plugin/interface_fit.h"

#include <string>

#include <capnp/schema-loader.h>
#include <capnp/schema.capnp.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include "flotilla/bytes.h"

namespace flotilla::plugin {
namespace {

Fault misfit(std::string text) {
  return {ErrorCode::badRequest, std::move(text), {}};
}

void load(capnp::SchemaLoader& loader, schema::PluginDescription::Reader from) {
  auto schema = from.getSchema();
  Bytes aligned = Bytes::copyOf({reinterpret_cast<const char*>(schema.begin()), schema.size()});
  kj::ArrayPtr<const capnp::word> words(reinterpret_cast<const capnp::word*>(aligned.data()),
                                        aligned.size() / sizeof(capnp::word));
  capnp::FlatArrayMessageReader message(words);
  for (auto node : message.getRoot<capnp::schema::CodeGeneratorRequest>().getNodes()) {
    loader.load(node);
  }
}

std::string wordOf(schema::MethodKind kind) {
  return kind == schema::MethodKind::QUERY ? "query" : "command";
}

}  // namespace

Result<void> interfacesFit(schema::PluginDescription::Reader before,
                           schema::PluginDescription::Reader after) {
  if (before.getInterfaceId() != after.getInterfaceId()) {
    return misfit("its interface has another id; an interface that is changed keeps its id");
  }
  for (auto old : before.getMethods()) {
    for (auto method : after.getMethods()) {
      bool same =
          method.getInterfaceId() == old.getInterfaceId() && method.getMethod() == old.getMethod();
      if (!same || method.getKind() == old.getKind()) continue;
      return misfit("method " + std::string(method.getName().cStr()) + " was a " +
                    wordOf(old.getKind()) + " and is a " + wordOf(method.getKind()) +
                    " now; give the new one another name and number");
    }
  }
  // The loader holds a node that it is given twice against the one it has.
  try {
    capnp::SchemaLoader loader;
    load(loader, before);
    load(loader, after);
    return {};
  } catch (const kj::Exception& exception) {
    return misfit(std::string("its schema has changed where it must not: ") +
                  exception.getDescription().cStr());
  }
}

}  // namespace flotilla::plugin
