// flotilla call against a fake cluster on a real port.
#include <fstream>
#include <nlohmann/json.hpp>

#include <capnp/schema.capnp.h>
#include <capnp/schema.h>
#include <capnp/serialize.h>
#include <doctest/doctest.h>

#include "sdk/client/words.h"
#include "tests/admin/command_line.h"
#include "tests/admin/things.capnp.h"
#include "tests/client/fake_cluster.h"

namespace {

using namespace flotilla;        // NOLINT(google-build-using-namespace)
using namespace flotilla::test;  // NOLINT(google-build-using-namespace)

void collect(capnp::Schema schema, std::map<uint64_t, capnp::Schema>& into) {
  if (!into.emplace(schema.getProto().getId(), schema).second) return;
  auto proto = schema.getProto();
  if (proto.isInterface()) {
    for (auto method : schema.asInterface().getMethods()) {
      collect(method.getParamType(), into);
      collect(method.getResultType(), into);
    }
  } else if (proto.isStruct()) {
    for (auto field : schema.asStruct().getFields()) {
      capnp::Type type = field.getType();
      while (type.isList()) type = type.asList().getElementType();
      if (type.isStruct()) collect(type.asStruct(), into);
      if (type.isEnum()) collect(type.asEnum(), into);
    }
  }
}

void describeStore(schema::PluginDescription::Builder plugin) {
  std::map<uint64_t, capnp::Schema> schemas;
  collect(capnp::Schema::from<Store>(), schemas);
  capnp::MallocMessageBuilder message;
  auto nodes = message.initRoot<capnp::schema::CodeGeneratorRequest>().initNodes(
      static_cast<unsigned>(schemas.size()));
  unsigned at = 0;
  for (const auto& [id, it] : schemas) nodes.setWithCaveats(at++, it.getProto());
  auto words = capnp::messageToFlatArray(message);
  plugin.setName("store");
  plugin.setVersion("1.0.0");
  plugin.setInterfaceId(capnp::typeId<Store>());
  plugin.setSchema(words.asBytes());
  auto methods = plugin.initMethods(2);
  for (unsigned i = 0; i < 2; ++i) {
    methods[i].setInterfaceId(capnp::typeId<Store>());
    methods[i].setMethod(static_cast<uint16_t>(i));
    methods[i].setName(i == 0 ? "put" : "get");
    methods[i].setKind(i == 0 ? schema::MethodKind::COMMAND : schema::MethodKind::QUERY);
  }
}

template <typename T>
std::string bytesOf(capnp::MallocMessageBuilder& message) {
  auto words = client::flatten<T>(message.getRoot<T>().asReader());
  auto chars = words.asChars();
  return {chars.begin(), chars.size()};
}

// put answers how many there have been; get gives back the key as the text of a Things.
std::string answerStore(uint64_t& puts, uint16_t method, std::string_view params) {
  client::FlatMessage asked(Bytes::copyOf(params));
  capnp::MallocMessageBuilder message;
  if (method == 0) {
    message.initRoot<Store::PutResults>().setRevision(++puts);
    return bytesOf<Store::PutResults>(message);
  }
  auto results = message.initRoot<Store::GetResults>();
  results.initThings().setText(asked.root<Store::GetParams>().getKey());
  results.setFound(true);
  return bytesOf<Store::GetResults>(message);
}

// A fake host on a port of its own, and the words that lead there.
struct Served {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  FakeCluster cluster{1};
  uint64_t puts = 0;
  kj::Own<kj::ConnectionReceiver> receiver;
  kj::Promise<void> serving = nullptr;

  Served() {
    std::ofstream(scratch() + "/token") << "secret\n";
    FakeGroup& group = cluster.groups["things"];
    group.describe = describeStore;
    group.answer = [this](uint16_t method, std::string_view params) {
      return answerStore(puts, method, params);
    };
    receiver = io.provider->getNetwork().parseAddress("127.0.0.1:0").wait(io.waitScope)->listen();
    serving = cluster.serve(*receiver).eagerlyEvaluate(nullptr);
  }

  Ran run(std::vector<std::string> words, const std::string& input = "") {
    for (const std::string& word :
         {std::string("--connect"), "127.0.0.1:" + std::to_string(receiver->getPort()),
          std::string("--token"), std::string("token")}) {
      words.push_back(word);
    }
    return runFlotilla(io, words, input);
  }
};

}  // namespace

TEST_CASE("admin/call: without a method it lists them with their kinds") {
  Served served;
  Ran ran = served.run({"call", "things"});
  CHECK(ran.exit == 0);
  CHECK(ran.out ==
        "METHOD  KIND     PARAMETERS                   RESULTS\n"
        "put     command  (key :Text, things :Things)  (revision :UInt64)\n"
        "get     query    (key :Text)                  (things :Things, found :Bool)\n");
  auto json = nlohmann::json::parse(served.run({"--json", "call", "things"}).out);
  CHECK(json["methods"][1]["name"] == "get");
  CHECK(json["methods"][1]["kind"] == "query");
}

TEST_CASE("admin/call: commands and queries take fields, files, JSON and standard input") {
  Served served;
  Ran ran = served.run({"call", "things", "put", "key=a", "things={\"text\":\"b\"}"});
  CHECK(ran.out == "{\"revision\":1}\n");
  CHECK(ran.err == "");
  CHECK(ran.exit == 0);
  CHECK(served.run({"call", "things", "put", "{\"key\":\"a\"}"}).out == "{\"revision\":2}\n");
  CHECK(served.run({"call", "things", "put", "-"}, "{\"key\":\"a\"}\n").out ==
        "{\"revision\":3}\n");
  std::ofstream(scratch() + "/key") << "from a file";
  auto json = nlohmann::json::parse(served.run({"call", "things", "get", "key=@key"}).out);
  CHECK(json["things"]["text"] == "from a file");
  CHECK(json["found"] == true);
  CHECK(served.cluster.groups["things"].applied.size() == 3);
  CHECK(served.cluster.groups["things"].applied[0].session == 0);
  CHECK(served.run({"call", "things", "get", "key=a", "--stale-ms", "100"}).exit == 0);
}

TEST_CASE("admin/call: what does not fit is the command line's fault, what is refused is not") {
  Served served;
  for (auto [word, error] : std::initializer_list<std::pair<const char*, const char*>>{
           {"kee=a", "flotilla call: kee: no such field; there is key, things\n"},
           {"key",
            "flotilla call: \"key\": write field=value, field=@FILE, one JSON object, or -\n"},
           {"key=@none", "flotilla call: key=@none: none: No such file or directory\n"},
           {"{\"key\":5}", "flotilla call: key: expected a string, found 5\n"},
           {"{\"things\":{\"small\":65536}}",
            "flotilla call: things.small: expected a whole number from 0 to 65535, found "
            "65536\n"}}) {
    Ran ran = served.run({"call", "things", "put", word});
    CHECK(ran.exit == 2);
    CHECK(ran.err == error);
  }
  Ran stale = served.run({"call", "things", "put", "key=a", "--stale-ms", "1"});
  CHECK(stale.exit == 2);
  CHECK(stale.err == "flotilla call: --stale-ms: put is a command; only queries may be stale\n");
  CHECK(served.cluster.groups["things"].applied.empty());

  Ran method = served.run({"call", "things", "pit"});
  CHECK(method.exit == 1);
  CHECK(method.err ==
        "flotilla call: noSuchMethod: pit: plugin store has no such method; it has put, get\n");
  Ran group = served.run({"call", "nothings", "put"});
  CHECK(group.exit == 1);
  CHECK(group.err == "flotilla call: noSuchGroup: group nothings: no such group\n");

  served.cluster.groups["things"].faults = {{ErrorCode::app, "a key needs a name", "emptyKey"}};
  Ran app = served.run({"call", "things", "put", "--json"});
  CHECK(app.exit == 1);
  CHECK(app.err ==
        "{\"error\":{\"code\":\"app\",\"appCode\":\"emptyKey\",\"text\":\"a key needs a name\","
        "\"maybeDone\":false}}\n");
  served.cluster.groups["things"].fates = {FakeGroup::Fate::hang};
  Ran late = served.run({"call", "things", "put", "key=a", "--timeout-ms", "200"});
  CHECK(late.exit == 4);
  CHECK(late.err.find("flotilla call: timeout: group things: no answer within 200 ms") == 0);
}

TEST_CASE("admin/call: a wrong token is refused with exit 1") {
  Served served;
  served.cluster.token = "another";
  Ran ran = served.run({"call", "things", "put"});
  CHECK(ran.exit == 1);
  CHECK(ran.err.find("flotilla call: denied: host 127.0.0.1:") == 0);
}

TEST_CASE("admin/call_lines: thousands of lines are answered in their order, once each") {
  Served served;
  std::string input;
  for (int i = 0; i < 3'000; ++i) input += "{\"key\":\"k" + std::to_string(i) + "\"}\n";
  input.pop_back();  // the last line need not end
  Ran ran = served.run({"call", "things", "put", "--lines"}, input);
  CHECK(ran.exit == 0);
  std::string expected;
  for (int i = 1; i <= 3'000; ++i) expected += "{\"revision\":" + std::to_string(i) + "}\n";
  CHECK(ran.out == expected);
  CHECK(served.cluster.groups["things"].applied.size() == 3'000);
  CHECK(served.cluster.groups["things"].applied[0].session != 0);
  CHECK(served.cluster.groups["things"].batches.size() < 1'500);
}

TEST_CASE("admin/call_lines: a line's error is a line, and the others are answered") {
  Served served;
  Ran ran = served.run({"call", "things", "put", "--lines"},
                       "{\"key\":\"a\"}\n\nnonsense\n{\"key\":1}\n{\"key\":\"b\"}\n");
  CHECK(ran.exit == 1);
  CHECK(ran.out ==
        "{\"revision\":1}\n"
        "{\"error\":{\"code\":\"badRequest\",\"text\":\"line 3: not JSON: at byte 2, after "
        "\\\"no\\\"\",\"maybeDone\":false}}\n"
        "{\"error\":{\"code\":\"badRequest\",\"text\":\"line 4: key: expected a string, found "
        "1\",\"maybeDone\":false}}\n"
        "{\"revision\":2}\n");
  Ran nothing = served.run({"call", "things", "put", "--lines"}, "");
  CHECK(nothing.exit == 0);
  CHECK(nothing.out == "");
}
