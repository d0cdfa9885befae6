// What a client does about leaders that move, hosts that die and answers that are lost.
#include <doctest/doctest.h>

#include "sdk/client/fault_text.h"
#include "tests/client/world.h"

namespace {

using namespace flotilla;        // NOLINT(google-build-using-namespace)
using namespace flotilla::test;  // NOLINT(google-build-using-namespace)
using client::Outcome;
using Fate = FakeGroup::Fate;

// Tells when its client's last part has let go of it.
class Watched final : public client::Connector {
public:
  Watched(FakeCluster& cluster, bool& gone) : network_(cluster), gone_(gone) {}
  ~Watched() noexcept(false) override { gone_ = true; }
  kj::Promise<kj::Own<kj::AsyncIoStream>> connect(kj::StringPtr address) override {
    return network_.connect(address);
  }

private:
  FakeNetwork network_;
  bool& gone_;
};

}  // namespace

TEST_CASE("client/lane: calls of one turn travel as one batch and are stamped in order") {
  World world;
  world.start();
  auto promises = kj::heapArrayBuilder<kj::Promise<Outcome>>(8);
  for (uint64_t i = 0; i < 8; ++i) promises.add(world.put(i));
  auto outcomes = world.wait(kj::joinPromises(promises.finish()));
  for (const Outcome& outcome : outcomes) CHECK(outcome.ok());
  CHECK(world.group().batches == std::vector<size_t>{8});
  REQUIRE(world.group().applied.size() == 8);
  for (uint64_t i = 0; i < 8; ++i) {
    CHECK(world.group().applied[i].session == 100);
    CHECK(world.group().applied[i].sequence == i + 1);
  }
  CHECK(world.wait(world.put(9)).ok());
  CHECK(world.group().applied.back().acknowledgedBelow == 9);
}

TEST_CASE("client/lane: an answer that is lost with its connection is asked for again, once done") {
  World world;
  world.start();
  world.group().fates = {Fate::loseAnswer, Fate::answer};
  world.group().leader = 1;
  auto promise = world.put(1);
  while (!promise.poll(world.scope) && world.group().applied.empty()) {
    world.timer.advanceTo(world.timer.now() + 1 * kj::MILLISECONDS);
  }
  world.group().leader = 2;
  Outcome outcome = world.wait(kj::mv(promise));
  CHECK(outcome.ok());
  CHECK(outcome.position.index == 1);
  CHECK(world.group().applied.size() == 1);
  CHECK(world.group().batches.size() == 2);
}

TEST_CASE("client/lane: a request that is lost is carried out by the next leader, once") {
  World world;
  world.start();
  world.group().fates = {Fate::loseRequest, Fate::answer};
  auto promise = world.put(1);
  while (!promise.poll(world.scope) && world.cluster.up[1]) {
    world.timer.advanceTo(world.timer.now() + 1 * kj::MILLISECONDS);
  }
  world.group().leader = 3;
  CHECK(world.wait(kj::mv(promise)).ok());
  CHECK(world.group().applied.size() == 1);
}

TEST_CASE("client/lane: an unstamped command whose connection breaks ends as unknown") {
  World world;
  world.options.sessions = false;
  world.start();
  world.group().fates = {Fate::loseAnswer, Fate::answer};
  Outcome outcome = world.wait(world.put(1));
  CHECK(codeOf(outcome) == "unknown");
  CHECK(world.group().applied.size() == 1);
  CHECK(world.group().applied[0].session == 0);
}

TEST_CASE("client/lane: an unstamped command that was refused unexecuted is asked again") {
  World world;
  world.options.sessions = false;
  world.start();
  world.group().faults = {{ErrorCode::overloaded, "group orders: full", ""},
                          {ErrorCode::unavailable, "group orders: no quorum", ""}};
  CHECK(world.wait(world.put(1)).ok());
  CHECK(world.group().applied.size() == 1);
}

TEST_CASE("client/lane: a silent host is left for another under the same stamp") {
  World world;
  world.start();
  CHECK(world.wait(world.put(0)).ok());
  world.group().fates = {Fate::hang, Fate::answer};
  Outcome outcome = world.wait(world.put(1));
  CHECK(outcome.ok());
  REQUIRE(world.group().applied.size() == 2);
  CHECK(world.group().applied[1].sequence == 2);
}

TEST_CASE("client/lane: a call that nobody answers ends with timeout") {
  World world;
  world.options.callTimeoutMs = 1'000;
  world.start();
  world.group().fates = {Fate::hang};
  Outcome outcome = world.wait(world.put(1), 1'100);
  CHECK(codeOf(outcome) == "timeout");
  CHECK(outcome.fault->text.find("group orders: no answer within 1000 ms") == 0);
}

TEST_CASE("client/lane: a call that could not be sent ends as unavailable") {
  World world;
  world.options.callTimeoutMs = 1'000;
  world.cluster.up[1] = false;
  world.start();
  Outcome outcome = world.wait(world.put(1), 1'100);
  CHECK(codeOf(outcome) == "unavailable");
  CHECK(outcome.fault->text == "group orders: no answer within 1000 ms, not carried out");
}

TEST_CASE("client/route: a notLeader hint is followed at once") {
  World world;
  world.cluster.forwards = false;
  world.cluster.tellsLeader = false;
  world.start();
  world.group().leader = 3;
  CHECK(world.wait(world.put(1)).ok());
  CHECK(world.cluster.connections[3] == 1);
  CHECK(world.cluster.connections[2] == 0);
  CHECK(world.group().batches.size() == 2);
}

TEST_CASE("client/route: the leader is gone to straight away where a host names it") {
  World world;
  world.group().leader = 2;
  world.start();
  CHECK(world.wait(world.put(1)).ok());
  CHECK(world.cluster.connections[2] == 1);
  CHECK(world.group().batches.size() == 1);
}

TEST_CASE("client/route: one host is enough where it forwards") {
  World world;
  world.cluster.tellsLeader = false;
  world.group().leader = 2;
  world.start();
  CHECK(world.wait(world.put(1)).ok());
  CHECK(world.cluster.connections.size() == 1);
}

TEST_CASE("client/route: a leader that cannot be reached is spoken to through another host") {
  World world;
  world.cluster.forwards = true;
  world.group().leader = 2;
  world.cluster.up[2] = false;
  world.start();
  auto promise = world.put(1);
  for (int i = 0; i < 100; ++i) {
    promise.poll(world.scope);
    world.timer.advanceTo(world.timer.now() + 5 * kj::MILLISECONDS);
  }
  CHECK(world.group().applied.empty());
  world.group().leader = 3;
  CHECK(world.wait(kj::mv(promise)).ok());
}

TEST_CASE("client/route: a client that is dropped while it asks who leads leaves nothing behind") {
  for (kj::uint turns = 0; turns < 60; ++turns) {
    CAPTURE(turns);
    bool gone = false;
    World world;
    world.client = kj::heap<client::Client>(world.timer, kj::heap<Watched>(world.cluster, gone),
                                            world.options);
    CHECK(world.wait(world.put(1)).ok());
    world.timer.advanceTo(world.timer.now() + 6 * kj::SECONDS);  // the route is old now
    {
      kj::Promise<Outcome> cut = world.put(2);
      world.loop.run(turns);
    }
    world.client = nullptr;
    CHECK(gone);
  }
}

TEST_CASE("client/route: a group is missing only when every host that is up says so") {
  World world;
  world.options.addresses = {FakeCluster::addressOf(1), FakeCluster::addressOf(2)};
  world.cluster.groups.clear();
  world.start();
  Outcome outcome = world.wait(world.put(1));
  CHECK(codeOf(outcome) == "noSuchGroup");
  CHECK(outcome.fault->text == "group orders: no such group");
  world.cluster.groups["orders"];
  CHECK(world.wait(world.put(1)).ok());
}

TEST_CASE("client/lane: an expired session is opened anew where nothing was sent under it") {
  World world;
  world.start();
  CHECK(world.wait(world.put(1)).ok());
  world.group().sessions.clear();
  CHECK(world.wait(world.put(2)).ok());
  REQUIRE(world.group().applied.size() == 2);
  CHECK(world.group().applied[1].session == 101);
  CHECK(world.group().applied[1].sequence == 1);
}

TEST_CASE("client/lane: a doubtful command whose session has expired ends as unknown") {
  World world;
  world.start();
  CHECK(world.wait(world.put(1)).ok());
  world.group().fates = {Fate::loseAnswer, Fate::answer};
  auto promise = world.put(2);
  while (!promise.poll(world.scope) && world.group().applied.size() < 2) {
    world.timer.advanceTo(world.timer.now() + 1 * kj::MILLISECONDS);
  }
  world.group().leader = 2;
  world.group().sessions.clear();
  Outcome outcome = world.wait(kj::mv(promise));
  CHECK(codeOf(outcome) == "unknown");
  CHECK(world.group().applied.size() == 2);
}

TEST_CASE("client/lane: stamps of a removed group never reach its successor") {
  World world;
  world.start();
  CHECK(world.wait(world.put(1)).ok());
  // The same name, another life, in which session 100 is somebody else's.
  FakeGroup next;
  next.incarnation = 2;
  next.sessions = {100};
  next.nextSession = 500;
  world.cluster.groups["orders"] = next;
  Outcome first = world.wait(world.put(2));
  CHECK(codeOf(first) == "groupRemoved");
  CHECK(world.wait(world.put(3)).ok());
  REQUIRE(world.group().applied.size() == 1);
  CHECK(world.group().applied[0].session == 500);
  CHECK(world.group().applied[0].sequence == 1);
}

TEST_CASE("client/lane: a host that still shows a removed group is not believed at once") {
  World world;
  world.options.sessions = false;
  world.start();
  Fault removed{ErrorCode::groupRemoved, "group orders: removed", ""};
  world.group().faults = {removed, removed};
  CHECK(world.wait(world.put(1)).ok());
  // Who was in it is told at once, and who never was in the end.
  world.group().faults = {removed};
  CHECK(codeOf(world.wait(world.put(2))) == "groupRemoved");
  CHECK(world.group().applied.size() == 1);
}

TEST_CASE("client/lane: a group that every host calls removed is removed") {
  World gone;
  gone.options.sessions = false;
  Fault removed{ErrorCode::groupRemoved, "group orders: removed", ""};
  gone.start();
  gone.group().faults = std::vector<Fault>(100, removed);
  CHECK(codeOf(gone.wait(gone.put(1), 5'000)) == "groupRemoved");
  CHECK(gone.group().applied.empty());
}

TEST_CASE("client/lane: the machine's own answer is final and carries the author's code") {
  World world;
  world.start();
  world.group().faults = {{ErrorCode::app, "a key needs a name", "emptyKey"}};
  Outcome outcome = world.wait(world.put(1));
  CHECK(codeOf(outcome) == "app");
  CHECK(outcome.fault->appCode == "emptyKey");
  CHECK(world.group().batches.size() == 1);
}

TEST_CASE("client/lane: a machine that faults is tried three times") {
  World world;
  world.start();
  world.group().faults = std::vector<Fault>(5, Fault{ErrorCode::faulted, "replica 3 stopped", ""});
  CHECK(codeOf(world.wait(world.put(1))) == "faulted");
  CHECK(world.group().batches.size() == 3);
}

TEST_CASE("client/lane: a full disk is given the time to hand over to a host that has room") {
  World world;
  world.start();
  Fault full{ErrorCode::diskFull, "the leader's disk is full", ""};
  world.group().faults = std::vector<Fault>(5, full);
  CHECK(world.wait(world.put(1)).ok());
  world.group().faults = std::vector<Fault>(20, full);
  CHECK(codeOf(world.wait(world.put(2))) == "diskFull");
}

TEST_CASE("client/lane: a session that a full disk refuses is waited for likewise") {
  size_t refusals = 0;
  std::string code;
  SUBCASE("for a moment") {
    refusals = 5;
    code = "ok";
  }
  SUBCASE("for good") {
    refusals = 20;
    code = "diskFull";
  }
  World world;
  world.start();
  world.group().sessionFaults =
      std::vector<Fault>(refusals, Fault{ErrorCode::diskFull, "the leader's disk is full", ""});
  CHECK(codeOf(world.wait(world.put(1))) == code);
}

TEST_CASE("client/lane: more calls than may wait are refused at once, the others are answered") {
  World world;
  world.options.unansweredMax = 50;
  world.start();
  auto promises = kj::heapArrayBuilder<kj::Promise<Outcome>>(60);
  for (uint64_t i = 0; i < 60; ++i) promises.add(world.put(i));
  size_t refused = 0;
  for (const Outcome& it : world.wait(kj::joinPromises(promises.finish()))) {
    if (!it.ok()) {
      CHECK(codeOf(it) == "overloaded");
      ++refused;
    }
  }
  CHECK(refused == 10);
  CHECK(world.group().applied.size() == 50);
}

TEST_CASE("client/lane: large loads travel as several batches that overlap, a bounded number") {
  World world;
  world.options.batchesInFlightMax = 3;
  world.options.batchCommandsMax = 100;
  world.start();
  CHECK(world.wait(world.put(0)).ok());
  auto promises = kj::heapArrayBuilder<kj::Promise<Outcome>>(2'000);
  for (uint64_t i = 0; i < 2'000; ++i) promises.add(world.put(i));
  for (const Outcome& it : world.wait(kj::joinPromises(promises.finish()))) CHECK(it.ok());
  CHECK(world.group().batchesUnderWayMax == 3);
  for (size_t size : world.group().batches) CHECK(size <= 100);
  CHECK(world.group().applied.size() == 2'001);
}

TEST_CASE("client/lane: batches of long answers are so small that a host has room for them") {
  World world;
  world.start();
  world.group().answer = [](uint16_t, std::string_view) { return std::string(1 << 20, 'x'); };
  auto promises = kj::heapArrayBuilder<kj::Promise<Outcome>>(150);
  for (uint64_t i = 0; i < 150; ++i) promises.add(world.put(i));
  for (const Outcome& it : world.wait(kj::joinPromises(promises.finish()))) CHECK(it.ok());
  for (size_t size : world.group().batches) CHECK(size <= 8);
  for (size_t i = 0; i < 150; ++i) CHECK(world.group().applied[i].sequence == i + 1);

  // Short ones again: it learns that too.
  world.group().answer = nullptr;
  world.group().batches.clear();
  for (int round = 0; round < 8; ++round) {
    auto more = kj::heapArrayBuilder<kj::Promise<Outcome>>(1'000);
    for (uint64_t i = 0; i < 1'000; ++i) more.add(world.put(i));
    for (const Outcome& it : world.wait(kj::joinPromises(more.finish()))) CHECK(it.ok());
  }
  CHECK(world.group().batches.back() > 64);
}

TEST_CASE("client/lane: a command whose answer had no room is asked once more, and then given up") {
  World world;
  world.start();
  world.group().faultsIndex = 5;
  Fault noRoom{ErrorCode::unknown, "applied, but its answer had no room", ""};
  world.group().faults = {noRoom};
  CHECK(world.wait(world.put(1), 1'000).ok());
  world.group().faults = {noRoom, noRoom};
  Outcome outcome = world.wait(world.put(2), 1'000);
  CHECK(codeOf(outcome) == "unknown");
  CHECK(outcome.fault->text == noRoom.text);
  CHECK(world.group().faults.empty());
}

TEST_CASE("client/lane: queries are answered by position and repeated after a lost connection") {
  World world;
  world.start();
  CHECK(world.wait(world.put(1)).ok());
  Outcome outcome = world.wait(world.get());
  CHECK(outcome.ok());
  CHECK(outcome.position.index == 1);
  world.cluster.kill(1);
  world.group().leader = 2;
  CHECK(world.wait(world.get(client::Freshness::stale(100))).ok());
}

TEST_CASE("client/hosts: a wrong token is denied at once, not when the time is up") {
  World world;
  world.options.token = "guess";
  world.start();
  Outcome outcome = world.wait(world.put(1), 100);
  CHECK(codeOf(outcome) == "denied");
  CHECK(outcome.fault->text == "host h1:1: token: not one of ours");
}

TEST_CASE("client/hosts: reach is rejected with what every host said") {
  World world;
  world.options.addresses = {"h1:1", "h2:1"};
  world.cluster.up[1] = world.cluster.up[2] = false;
  world.start();
  try {
    world.wait(world.client->reach());
    FAIL("reached");
  } catch (const kj::Exception& exception) {
    Fault fault = client::faultOf(exception);
    CHECK(fault.code == ErrorCode::unavailable);
    CHECK(fault.text.find("host h1:1: connection refused") == 0);
    CHECK(fault.text.find("; host h2:1: connection refused") != std::string::npos);
  }
}

TEST_CASE("client/hosts: learned hosts serve when the one that was named is gone") {
  World world;
  world.group().leader = 1;
  world.start();
  CHECK(world.wait(world.put(1)).ok());
  world.cluster.kill(1);
  world.group().leader = 2;
  CHECK(world.wait(world.put(2)).ok());
  CHECK(world.group().applied.size() == 2);
}

TEST_CASE("client/admin: an idempotent request is asked again until its answer comes") {
  World world;
  world.start();
  world.cluster.statusFault = Fault{ErrorCode::unavailable, "catalog: no quorum", ""};
  auto status = world.wait(world.client->admin().clusterStatus());
  CHECK(std::string(status.getStatus().getCluster().cStr()) == "fake");
  CHECK(world.cluster.statusAsked == 2);

  world.cluster.statusFault = Fault{ErrorCode::badRequest, "no", ""};
  CHECK_THROWS(world.wait(world.client->admin().clusterStatus()));
  CHECK(world.cluster.statusAsked == 3);
}
