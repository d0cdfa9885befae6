// What a listener makes of hosts that die, fall silent or push twice: each event is told once.
#include "sdk/client/listener.h"

#include <deque>
#include <string>

#include <doctest/doctest.h>

#include "sdk/client/fault_text.h"
#include "tests/client/fake_cluster.h"

namespace {

using namespace flotilla;        // NOLINT(google-build-using-namespace)
using namespace flotilla::test;  // NOLINT(google-build-using-namespace)

// One who listens to a group of a fake cluster, and is done with what it is told when it says so.
struct Hearer {
  kj::EventLoop loop;
  kj::WaitScope scope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  FakeCluster cluster{3};
  kj::Own<client::Client> client;
  std::string told;  // topics; "|" where some are gone
  bool slow = false;
  std::deque<kj::Own<kj::PromiseFulfiller<void>>> busy;
  kj::Own<client::Listener> listener;

  Hearer() {
    cluster.groups["orders"];
    client::ClientOptions options;
    options.addresses = {FakeCluster::addressOf(1)};
    options.token = "secret";
    client = kj::heap<client::Client>(timer, kj::heap<FakeNetwork>(cluster), options);
  }
  FakeGroup& group() { return cluster.groups.at("orders"); }

  void listen(client::Position after = {}) {
    listener = client->group("orders")->subscribe(
        "t", after, [this](client::Events&& events) -> kj::Promise<void> {
          if (events.compacted) told += "|";
          for (const client::Event& it : events.events) told += it.topic + " ";
          if (!slow) return kj::READY_NOW;
          auto pair = kj::newPromiseAndFulfiller<void>();
          busy.push_back(kj::mv(pair.fulfiller));
          return kj::mv(pair.promise);
        });
    until([this]() { return !group().listeners.empty(); });
  }
  // By whoever was asked as the one numbered so: events of those indexes.
  kj::Promise<void> push(size_t asked, uint64_t first, uint64_t last, bool compacted = false) {
    auto request = group().listeners.at(asked).sink->pushRequest();
    auto events = request.initEvents(static_cast<unsigned>(last - first + 1));
    for (unsigned i = 0; i < events.size(); ++i) {
      events[i].getPosition().setIndex(first + i);
      events[i].setTopic("t" + std::to_string(first + i));
    }
    request.getUpTo().setIndex(last);
    request.setCompacted(compacted);
    return request.send().ignoreResult();
  }
  template <typename Holds>
  void until(Holds holds) {
    for (uint64_t ms = 0; !holds(); ms += 5) {
      REQUIRE(ms < 60'000);
      turn();
      if (!holds()) timer.advanceTo(timer.now() + 5 * kj::MILLISECONDS);
    }
  }
  void turn() {
    for (int i = 0; i < 50; ++i) kj::Promise<void>(kj::evalLast([]() {})).wait(scope);
  }
};

}  // namespace

TEST_CASE("client/listener: a host dies while it is told, and nothing is told twice or left out") {
  Hearer it;
  it.slow = true;
  it.listen();
  CHECK(it.group().listeners[0].topicPrefix == "t");
  auto first = it.push(0, 1, 3);
  auto second = it.push(0, 4, 5);  // waits for its turn
  it.turn();
  CHECK(it.told == "t1 t2 t3 ");
  CHECK(it.listener->upTo().index == 0);  // not done with yet
  it.cluster.kill(1);
  it.group().leader = 2;
  it.until([&]() { return it.group().listeners.size() == 2; });
  CHECK(it.group().listeners[1].host != 1);
  CHECK(it.group().listeners[1].afterIndex == 3);
  auto third = it.push(1, 2, 6);  // of one who says more than it was asked
  it.turn();
  CHECK(it.told == "t1 t2 t3 ");
  it.busy.front()->fulfill();
  it.turn();
  CHECK(it.told == "t1 t2 t3 t4 t5 t6 ");
  CHECK(it.listener->upTo().index == 3);
  it.busy.back()->fulfill();
  third.wait(it.scope);
  CHECK(it.listener->upTo().index == 6);
}

TEST_CASE(
    "client/listener: a host that falls silent is left, one that has nothing to tell is not") {
  Hearer it;
  it.listen();
  auto seconds = [&](uint64_t count) {
    for (uint64_t i = 0; i < 20 * count; ++i) {
      it.turn();
      it.timer.advanceTo(it.timer.now() + 50 * kj::MILLISECONDS);
    }
  };
  seconds(30);
  CHECK(it.group().listeners.size() == 1);
  it.cluster.silent.insert(1);
  it.group().leader = 2;
  seconds(30);
  REQUIRE(it.group().listeners.size() == 2);
  CHECK(it.group().listeners[1].host != 1);
}

TEST_CASE("client/listener: who asks for what comes from now on goes on from where that was") {
  Hearer it;
  it.listen(client::kFromNow);
  CHECK(it.group().listeners[0].afterIndex == UINT64_MAX);
  it.push(0, 8, 7).wait(it.scope);  // as the first push says: here you stand
  CHECK(it.listener->upTo().index == 7);
  it.cluster.kill(1);
  it.until([&]() { return it.group().listeners.size() == 2; });
  CHECK(it.group().listeners[1].afterIndex == 7);
  it.push(1, 9, 9, true).wait(it.scope);
  CHECK(it.told == "|t9 ");
}

TEST_CASE("client/listener: what listen throws ends it, and so does another group of its name") {
  Hearer it;
  it.listener = it.client->group("orders")->subscribe(
      "", {},
      [](client::Events&&) -> kj::Promise<void> { throw std::runtime_error("the disk is full"); });
  it.until([&]() { return !it.group().listeners.empty(); });
  auto pushed = it.push(0, 1, 1);
  auto endOf = [&]() {
    std::string end;
    auto ended =
        it.listener->ended().then([]() {},
                                  [&](kj::Exception&& exception) {
                                    Fault fault = client::faultOf(exception);
                                    end = std::string(nameOf(fault.code)) + ": " + fault.text;
                                  });
    it.until([&]() { return ended.poll(it.scope); });
    ended.wait(it.scope);
    return end;
  };
  std::string thrown = endOf();
  CHECK(thrown.starts_with("app: "));
  CHECK(thrown.find("the disk is full") != std::string::npos);

  it.group().listeners.clear();
  it.listen();
  it.group().incarnation = 2;
  it.cluster.kill(1);
  CHECK(endOf() ==
        "groupRemoved: group orders: it has been removed; the one of this name is another, with "
        "positions of its own");
}

TEST_CASE("client/listener: dropping it ends what it has under way") {
  Hearer it;
  it.slow = true;
  it.listen();
  auto pushed = it.push(0, 1, 1);
  it.turn();
  REQUIRE(it.busy.size() == 1);
  CHECK(it.busy.front()->isWaiting());
  it.listener = nullptr;
  it.turn();
  CHECK_FALSE(it.busy.front()->isWaiting());
}
