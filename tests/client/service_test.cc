// What a typed client makes of calls of an author's interface.
#include <doctest/doctest.h>

#include "sdk/client/fault_text.h"
#include "tests/client/world.h"

using namespace flotilla;        // NOLINT(google-build-using-namespace)
using namespace flotilla::test;  // NOLINT(google-build-using-namespace)

TEST_CASE("client/service: a typed call becomes a command, and faults become exceptions") {
  World world;
  world.start();
  auto typed = world.client->group("orders")->as<schema::Gate>();
  auto request = typed.loginRequest();
  request.setToken("hello");
  world.wait(request.send().ignoreResult());
  REQUIRE(world.group().applied.size() == 1);
  CHECK(world.group().applied[0].params.find("hello") != std::string::npos);

  world.group().faults = {{ErrorCode::app, "no such thing", "missing"}};
  try {
    world.wait(typed.loginRequest().send().ignoreResult());
    FAIL("answered");
  } catch (const kj::Exception& exception) {
    CHECK(client::faultOf(exception) == Fault{ErrorCode::app, "no such thing", "missing"});
  }
  try {
    world.wait(typed.castAs<schema::Host>().countGroupsRequest().send().ignoreResult());
    FAIL("answered");
  } catch (const kj::Exception& exception) {
    CHECK(exception.getType() == kj::Exception::Type::UNIMPLEMENTED);
    CHECK(client::faultOf(exception).code == ErrorCode::noSuchMethod);
  }
}

TEST_CASE(
    "client/service: typed calls of one turn travel together, and queries apart from commands") {
  World world;
  world.group().describe = [](schema::PluginDescription::Builder to) {
    to.setName("both");
    auto methods = to.initMethods(2);
    methods[0].setInterfaceId(capnp::typeId<schema::Host>());
    methods[0].setMethod(2);  // hasGroup
    methods[1].setInterfaceId(capnp::typeId<schema::Host>());
    methods[1].setMethod(4);  // countGroups
    methods[1].setKind(schema::MethodKind::QUERY);
  };
  world.start();
  world.wait(world.client->group("orders")->describe().then([](auto&&) {}));
  auto typed = world.client->group("orders")->as<schema::Host>();
  auto promises = kj::heapArrayBuilder<kj::Promise<void>>(16);
  for (int i = 0; i < 8; ++i) {
    auto request = typed.hasGroupRequest();
    request.setName(kj::str("name-", i));
    promises.add(request.send().ignoreResult());
    promises.add(typed.countGroupsRequest().send().ignoreResult());
  }
  world.wait(kj::joinPromises(promises.finish()));
  CHECK(world.group().batches == std::vector<size_t>{8});
  REQUIRE(world.group().applied.size() == 8);
  for (uint64_t i = 0; i < 8; ++i) {
    CHECK(world.group().applied[i].sequence == i + 1);
    std::string name = "name-" + std::to_string(i);
    CHECK(world.group().applied[i].params.find(name) != std::string::npos);
  }
  CHECK(world.group().queries == 8);
}

TEST_CASE("client/service: parameters past one segment arrive whole, capabilities are refused") {
  World world;
  world.start();
  world.wait(world.client->group("orders")->describe().then([](auto&&) {}));
  auto typed = world.client->group("orders")->as<schema::Gate>();
  std::string token(100'000, 't');
  auto request = typed.loginRequest();
  request.setToken("short");
  request.setToken(token);  // in a segment of its own, for the first one has no room
  world.wait(request.send().ignoreResult());
  REQUIRE(world.group().applied.size() == 1);
  CHECK(world.group().applied[0].params.find(token) != std::string::npos);

  capnp::Capability::Client any = typed;
  auto raw = any.typelessRequest(capnp::typeId<schema::Gate>(), 0, nullptr);
  raw.initAs<schema::Login>().setAdmin(typed);
  try {
    world.wait(raw.send().ignoreResult());
    FAIL("answered");
  } catch (const kj::Exception& exception) {
    CHECK(client::faultOf(exception).code == ErrorCode::badRequest);
  }
  CHECK(world.group().applied.size() == 1);
}

TEST_CASE("client/service: a typed call whose promise is dropped is carried out all the same") {
  World world;
  world.start();
  auto group = world.client->group("orders");
  world.wait(group->describe().then([](auto&&) {}));
  { auto dropped = group->as<schema::Gate>().loginRequest().send(); }
  CHECK(world.wait(world.put(1)).ok());
  CHECK(world.group().applied.size() == 2);
}
