// The catalog machine: what it grants, what it refuses, and in which words.
#include <capnp/schema.h>
#include <doctest/doctest.h>

#include "schemas/catalog.capnp.h"
#include "tests/catalog/catalog_fixture.h"

namespace flotilla::catalog {

TEST_CASE("catalog/machine: a group is created once, and again is the same group") {
  CatalogFixture catalog;
  CHECK(catalog.create("orders") == "");
  CHECK_FALSE(catalog.existed);
  uint64_t id = catalog.id;
  CHECK(id == 1);
  CHECK(catalog.create("orders") == "");
  CHECK(catalog.existed);
  CHECK(catalog.id == id);
  CHECK(catalog.create("orders", [](auto spec) { spec.setReplicas(3); }) == "");
  CHECK(catalog.id == id);
  GroupPointer group = catalog.view().group("orders");
  REQUIRE(group);
  CHECK(group->phase == GroupPhase::creating);
  CHECK(group->replicas.size() == 3);
  CHECK(group->plugin() == "kv@1.0.0");
  CHECK(catalog.view().groupCount() == 1);
}

TEST_CASE("catalog/machine: another spec under a known name is refused with the difference") {
  CatalogFixture catalog;
  catalog.push("kv", "1.1.0", '2');
  catalog.create(
      "orders", [](auto spec) { spec.setReplicas(3); }, "kv@1.0.0");
  uint64_t digest = catalog.machine.digest();
  CHECK(catalog.create(
            "orders", [](auto spec) { spec.setReplicas(1); }, "kv@1.1.0") == "alreadyExists");
  CHECK(catalog.said ==
        "group orders: exists with plugin kv@1.0.0, asked for kv@1.1.0; replicas 3, asked for 1; "
        "remove it first or take another name");
  CHECK(catalog.machine.digest() == digest);
}

TEST_CASE("catalog/machine: a plugin without version is the newest pushed, for new groups only") {
  CatalogFixture catalog;
  catalog.create("before");
  catalog.push("kv", "0.9.0", '2');
  catalog.create("after");
  CatalogView view = catalog.view();
  CHECK(view.group("before")->plugin() == "kv@1.0.0");
  CHECK(view.group("after")->plugin() == "kv@0.9.0");
  CHECK(view.pluginByText("kv")->version == "0.9.0");
  CHECK(catalog.create("before") == "");
  CHECK(catalog.existed);
}

TEST_CASE("catalog/machine: bad specs are refused in one line and change nothing") {
  CatalogFixture catalog;
  uint64_t digest = catalog.machine.digest();
  auto refused = [&](const std::string& text) {
    CHECK(catalog.said == text);
    CHECK(catalog.machine.digest() == digest);
  };
  CHECK(catalog.create("Orders") == "badRequest");
  refused(
      "group name \"Orders\": not a name; give 1 to 63 of a-z 0-9 . _ -, a letter or digit first");
  CHECK(catalog.create("o", nullptr, "sql") == "badRequest");
  refused("group o: plugin sql is not known; push it first");
  CHECK(catalog.create("o", [](auto spec) { spec.setReplicas(8); }) == "badRequest");
  refused("group o: 8 voters; at most 7");
  CHECK(catalog.create("o", [](auto spec) { spec.setReplicas(4); }) == "badRequest");
  refused("group o: 4 voters, but 3 hosts for them; ask for fewer replicas");
  CHECK(catalog.create("o", [](auto spec) { spec.initOn(1).set(0, 9); }) == "badRequest");
  refused("group o: host 9 is not known; there are 1 2 3");
  CHECK(catalog.create("o", [](auto spec) {
    auto on = spec.initOn(2);
    on.set(0, 1);
    on.set(1, 1);
  }) == "badRequest");
  refused("group o: host 1 is named twice");
  CHECK(catalog.create("o", [](auto spec) {
    spec.initOn(1).set(0, 1);
    spec.initLearners(1).set(0, 1);
  }) == "badRequest");
  refused("group o: host 1 is to be voter and learner; name it once");
  auto option = [](const char* name, const char* value) {
    return [name, value](auto spec) {
      auto options = spec.initOptions(1);
      options[0].setKey(name);
      options[0].setValue(value);
    };
  };
  CHECK(catalog.create("o", option("heartbeatMs", "fast")) == "badRequest");
  refused("group o: option heartbeatMs: found \"fast\"; give a whole number from 1 to 60000");
  CHECK(catalog.create("o", option("volume", "nvme")) == "badRequest");
  refused("group o: host 1 has no volume nvme; name one of its [storage]");
}

TEST_CASE("catalog/machine: a group is ready once a majority of its voters says so") {
  CatalogFixture catalog;
  catalog.create("orders");
  GroupRecord group = *catalog.view().group("orders");
  auto line = [&](size_t place) {
    return CatalogFixture::Line{group.id, group.incarnation, group.replicas[place].id};
  };
  catalog.report(group.replicas[0].host, {line(0)});
  catalog.report(group.replicas[0].host, {line(0)});
  CHECK(catalog.view().group("orders")->phase == GroupPhase::creating);
  catalog.report(group.replicas[0].host, {line(1)});                // not that host's replica
  catalog.report(group.replicas[1].host, {line(1)}, {}, "c0ffee");  // another birth
  CHECK(catalog.view().group("orders")->phase == GroupPhase::creating);
  catalog.report(group.replicas[1].host, {line(1)});
  CHECK(catalog.view().group("orders")->phase == GroupPhase::ready);
}

TEST_CASE("catalog/machine: a removed name is free at once and its ids never come back") {
  CatalogFixture catalog;
  catalog.create("orders");
  GroupRecord old = *catalog.view().group("orders");
  catalog.remove("orders");
  CHECK(catalog.existed);
  CHECK(catalog.id == old.id);
  CHECK_FALSE(catalog.view().group("orders"));
  catalog.remove("orders");
  CHECK_FALSE(catalog.existed);
  CHECK(catalog.id == old.id);
  catalog.create("orders");
  CHECK(catalog.id != old.id);
  CHECK(catalog.incarnation != old.incarnation);
  catalog.reportAll(old, ReplicaPhase::removed);
  CatalogView view = catalog.view();
  CHECK_FALSE(view.group(old.id));
  CHECK(view.group("orders")->id == catalog.id);
  catalog.remove("nobody");
  CHECK_FALSE(catalog.existed);
  CHECK(catalog.id == 0);
}

TEST_CASE("catalog/machine: what is being removed is forgotten only when every host said so") {
  CatalogFixture catalog;
  catalog.create("orders");
  GroupRecord group = *catalog.view().group("orders");
  // Nobody asked for it yet, so a host that says `removed` is not believed.
  catalog.report(1, {{group.id, group.incarnation, group.on(1)->id, ReplicaPhase::removed}});
  CHECK(catalog.view().group("orders")->on(1)->phase == ReplicaPhase::wanted);
  catalog.remove("orders");
  for (uint64_t host : {1, 2}) {
    catalog.report(host,
                   {{group.id, group.incarnation, group.on(host)->id, ReplicaPhase::removed}});
  }
  REQUIRE(catalog.view().group(group.id));
  CHECK(catalog.view().group(group.id)->phase == GroupPhase::removing);
  catalog.report(3, {{group.id, group.incarnation, group.on(3)->id, ReplicaPhase::removed}});
  CHECK_FALSE(catalog.view().group(group.id));
  CHECK(catalog.view().lastGroup() == group.id);
}

TEST_CASE("catalog/machine: a host id belongs to one birth, a birth to one host id") {
  CatalogFixture catalog;
  CHECK(catalog.addHost(2, "dead") == "denied");
  CHECK(catalog.said ==
        "host 2: known with birth b2, this disk carries dead; a host that lost its disk joins "
        "under a new id");
  CHECK(catalog.addHost(4, "b2") == "denied");
  CHECK(catalog.said ==
        "host 4: its disk is that of host 2; a data directory cannot be copied to another host");
  uint64_t digest = catalog.machine.digest();
  CHECK(catalog.addHost(2) == "");
  CHECK(catalog.machine.digest() == digest);
  CHECK(catalog.addHost(2, "", 7) == "");
  CHECK(catalog.addHost(2, "", 6) == "");
  CHECK(catalog.view().host(2)->bootNumber == 7);
}

TEST_CASE("catalog/machine: the same plugin again succeeds, other bytes under its name do not") {
  CatalogFixture catalog;
  CHECK(catalog.push("kv", "1.0.0", '1', 2) == "");
  CHECK(catalog.existed);
  CHECK(catalog.view().pluginByText("kv@1.0.0")->holders == std::vector<uint64_t>{1, 2});
  CHECK(catalog.push("kv", "1.0.0", '2') == "alreadyExists");
  CHECK(catalog.said ==
        "plugin kv@1.0.0: exists with SHA-256 111111111111, this file has 222222222222; give it "
        "another version");
  CHECK(catalog.push("kw", "1.0.0", '1') == "alreadyExists");
  CHECK(catalog.push("kv", "1.0.1", '3', 9) == "badRequest");
  CHECK(catalog.said == "host 9: not known to the catalog yet");
}

TEST_CASE("catalog/machine: steps of any size lead to the same view, also from an old one") {
  CatalogFixture catalog;
  CatalogView follower;
  std::vector<GroupRecord> groups;
  for (int i = 0; i < 40; ++i) {
    catalog.create("g" + std::to_string(i), [](auto spec) { spec.setReplicas(1); });
    if (i % 3 == 0) {
      std::string gone = "g" + std::to_string(i / 2);
      GroupPointer group = catalog.view().group(gone);
      catalog.remove(gone);
      if (group && i % 2 == 0) catalog.reportAll(*group, ReplicaPhase::removed);
    }
    if (i % 5 == 0) {
      while (catalog.step(follower, 3)) CHECK_FALSE(follower.complete());
    }
  }
  while (catalog.step(follower, 2)) {
  }
  CatalogView fresh = catalog.view();
  CHECK(follower.complete());
  CHECK(follower.revision() == fresh.revision());
  REQUIRE(follower.groupCount() == fresh.groupCount());
  CHECK(fresh.groupCount() > 20);
  for (const GroupPointer& group : fresh.groupsAfter("", 1000)) {
    REQUIRE(follower.group(group->spec.name));
    CHECK(follower.group(group->spec.name)->id == group->id);
  }
  for (uint64_t id = 1; id <= fresh.lastGroup(); ++id) {
    CHECK((follower.group(id) == nullptr) == (fresh.group(id) == nullptr));
  }
}

TEST_CASE("catalog/machine: changes come in steps that a message holds, whatever records hold") {
  CatalogFixture catalog;
  for (int i = 0; i < 200; ++i) {
    REQUIRE(catalog.create("g" + std::to_string(i), [](auto spec) {
      auto setting = spec.initConfig(1)[0];
      setting.setKey("text");
      std::string value(60'000, 'v');
      setting.initValue(static_cast<unsigned>(value.size()));
      std::copy(value.begin(), value.end(), setting.getValue().begin());
    }) == "");
  }
  CatalogView view;
  int steps = 1;
  while (catalog.step(view)) ++steps;
  CHECK(view.groupCount() == 200);
  CHECK(steps > 8);
  CHECK(steps < 20);
}

TEST_CASE("catalog/machine: a restart through a snapshot changes nothing") {
  CatalogFixture catalog;
  catalog.create("orders");
  catalog.create("bills");
  catalog.remove("bills");
  uint64_t digest = catalog.machine.digest();
  catalog.machine.restart();
  CHECK(catalog.machine.digest() == digest);
  catalog.create("orders");
  CHECK(catalog.existed);
  catalog.create("notes");
  CHECK(catalog.id == 3);
}

TEST_CASE("catalog/machine: names are listed in order, a page at a time") {
  CatalogFixture catalog;
  for (const char* name : {"c", "a", "d", "b"}) catalog.create(name);
  auto page = catalog.view().groupsAfter("a", 2);
  REQUIRE(page.size() == 2);
  CHECK(page[0]->spec.name == "b");
  CHECK(page[1]->spec.name == "c");
  CHECK(catalog.view().groupByText("id:1")->spec.name == "c");
  CHECK_FALSE(catalog.view().groupByText("id:1x"));
}

TEST_CASE("catalog/machine: a group's log says what it runs, and the newest entry counts") {
  CatalogFixture catalog;
  catalog.create("orders");
  GroupPointer before = catalog.view().group("orders");
  catalog.push("kv", "1.1.0", '2');
  auto switched = [&](char digit, uint64_t at, uint64_t incarnation) {
    auto answer = catalog.machine.call<&CatalogMachine::switchGroup>([&](auto in) {
      in.setId(before->id);
      in.setIncarnation(incarnation);
      in.setSha256(shaOf(digit));
      in.setAt(at);
    });
    return answer.code();
  };
  CHECK(switched('2', 40, before->incarnation + 1).empty());  // another group's
  CHECK(catalog.view().group("orders")->pluginVersion == "1.0.0");
  CHECK(switched('9', 40, before->incarnation) == "badRequest");
  CHECK(switched('2', 40, before->incarnation).empty());
  GroupPointer now = catalog.view().group("orders");
  CHECK(now->plugin() == "kv@1.1.0");
  CHECK(now->pluginSha256 == shaOf('2'));
  CHECK(now->first() == shaOf('1'));  // its log begins with it
  CHECK(now->switchedAt == 40);
  CHECK(switched('1', 39, before->incarnation).empty());  // a late word
  CHECK(catalog.view().group("orders")->plugin() == "kv@1.1.0");
  CHECK(switched('1', 50, before->incarnation).empty());
  now = catalog.view().group("orders");
  CHECK(now->plugin() == "kv@1.0.0");
  CHECK(now->first() == shaOf('1'));
  catalog.create("orders");  // is the same group still
  CHECK(catalog.existed);
}

TEST_CASE("catalog/machine: quotas are changed, and nothing else of a group that is there") {
  CatalogFixture catalog;
  catalog.create("orders", [](auto spec) {
    auto options = spec.initOptions(1);
    options[0].setKey("sleepAfterMs");
    options[0].setValue("0");
  });
  uint64_t id = catalog.id;
  std::string said;
  bool existed = false;
  auto set = [&](uint64_t group, const char* name, const char* value) {
    auto answer = catalog.machine.call<&CatalogMachine::setGroup>([&](auto in) {
      in.setId(group);
      auto options = in.initOptions(1);
      options[0].setKey(name);
      options[0].setValue(value);
    });
    said = answer.text();
    existed = answer.ok() && answer.result().getExisted();
    return answer.code();
  };
  CHECK(set(id, "memoryBytesMax", "1048576").empty());
  CHECK_FALSE(existed);
  CHECK(set(id, "memoryBytesMax", "1048576").empty());
  CHECK(existed);
  CHECK(set(id, "applyTimePercentMax", "20").empty());
  CHECK(set(id, "memoryBytesMax", "2097152").empty());
  GroupPointer now = catalog.view().group("orders");
  CHECK(now->optionsVersion == 3);
  CHECK(now->spec.options == std::vector<OptionText>{{"applyTimePercentMax", "20"},
                                                     {"memoryBytesMax", "2097152"},
                                                     {"sleepAfterMs", "0"}});
  CHECK(set(id, "sleepAfterMs", "1") == "badRequest");
  CHECK(said ==
        "group orders: option \"sleepAfterMs\": cannot be changed while the group is there; these "
        "can: memoryBytesMax applyTimePercentMax callsPerSecondMax");
  CHECK(set(id, "applyTimePercentMax", "101") == "badRequest");
  CHECK(set(id + 1, "memoryBytesMax", "1") == "groupRemoved");
  catalog.remove("orders");
  CHECK(set(id, "memoryBytesMax", "1") == "groupRemoved");
  CHECK(catalog.view().group(id)->optionsVersion == 3);
}

TEST_CASE("catalog/machine: its descriptor has no problem and names every method") {
  const flotilla_descriptor* descriptor = catalogDescriptor();
  CHECK(descriptor->problem == nullptr);
  CHECK(descriptor->methodCount == 8);
}

TEST_CASE("catalog/machine: a record's bytes are those of before where it says nothing new") {
  // Records are kept and compared as bytes: a host that runs a newer build among older ones must
  // not write longer ones. Fields that come later lie in the room that there is.
  auto group = capnp::Schema::from<schema::CatalogGroup>().getProto().getStruct();
  CHECK(group.getDataWordCount() == 4);
  CHECK(group.getPointerCount() == 6);
}

}  // namespace flotilla::catalog
