// Which plugin may follow which, by their interfaces.
#include "host/plugin/interface_fit.h"

#include <functional>

#include <capnp/message.h>
#include <capnp/schema.capnp.h>
#include <capnp/serialize.h>
#include <doctest/doctest.h>

#include "host/plugin/descriptor.h"
#include "host/plugin/library.h"
#include "tests/plugin/built.h"

using namespace flotilla;
using flotilla::test::badFile;

namespace {

// A plugin's description, to be changed.
struct Described {
  explicit Described(const std::string& file) {
    auto library = plugin::Library::open(file);
    REQUIRE(library.ok());
    root = message.initRoot<schema::PluginDescription>();
    plugin::describe(*library->descriptor(), "", root);
  }

  // Changes the schema's node whose name ends so.
  void change(const std::string& end,
              const std::function<void(capnp::schema::Node::Builder)>& act) {
    auto schema = root.getSchema();
    kj::Array<capnp::word> words = kj::heapArray<capnp::word>(schema.size() / sizeof(capnp::word));
    std::copy(schema.begin(), schema.end(), words.asBytes().begin());
    capnp::FlatArrayMessageReader read(words);
    capnp::MallocMessageBuilder copy;
    copy.setRoot(read.getRoot<capnp::schema::CodeGeneratorRequest>());
    bool found = false;
    for (auto node : copy.getRoot<capnp::schema::CodeGeneratorRequest>().getNodes()) {
      if (!kj::StringPtr(node.getDisplayName()).endsWith(end.c_str())) continue;
      act(node);
      found = true;
    }
    REQUIRE(found);
    root.setSchema(capnp::messageToFlatArray(copy).asBytes());
  }

  capnp::MallocMessageBuilder message;
  schema::PluginDescription::Builder root{nullptr};
};

std::string misfit(Described& before, Described& after) {
  auto fit = plugin::interfacesFit(before.root.asReader(), after.root.asReader());
  if (fit) return "";
  CHECK(fit.fault().code == ErrorCode::badRequest);
  return fit.fault().text;
}

}  // namespace

TEST_CASE("plugin/interface_fit: methods and fields may come, and go again") {
  Described first(badFile("ledger"));
  Described next(badFile("ledger_moves"));
  CHECK(misfit(first, first).empty());
  CHECK(misfit(first, next).empty());
  CHECK(misfit(next, first).empty());
}

TEST_CASE("plugin/interface_fit: a method stays what it is, command or query") {
  Described next(badFile("ledger_moves"));
  Described turned(badFile("ledger_turns"));
  CHECK(misfit(next, turned) ==
        "method take was a command and is a query now; give the new one another name and number");
  CHECK(misfit(turned, next) ==
        "method take was a query and is a command now; give the new one another name and number");
}

TEST_CASE("plugin/interface_fit: a field's type stays, and so does the interface's id") {
  Described first(badFile("ledger"));
  Described typed(badFile("ledger_moves"));
  typed.change("add$Params", [](capnp::schema::Node::Builder node) {
    auto slot = node.getStruct().getFields()[1].getSlot();
    slot.getType().setFloat64();
    slot.getDefaultValue().setFloat64(0);
  });
  CHECK(misfit(first, typed).find("its schema has changed where it must not: ") == 0);
  Described other(test::pluginFile("kv"));
  CHECK(misfit(first, other) ==
        "its interface has another id; an interface that is changed keeps its id");
}
