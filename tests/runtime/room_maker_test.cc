// Who makes room when, against a few replicas that say when they are done.
#include "host/runtime/room_maker.h"

#include <set>

#include <doctest/doctest.h>

namespace flotilla::runtime {
namespace {

struct Replicas {
  RoomMaker maker;
  std::set<group::ReplicaKey> making;
  std::vector<uint64_t> begun;
  std::set<uint64_t> gone;  // nothing is to be had of them

  void name(uint64_t first, uint64_t last) {
    std::vector<group::ReplicaKey> keys;
    for (uint64_t group = first; group <= last; ++group) keys.push_back({group, 1});
    maker.name(keys);
    goOn();
  }
  void goOn() {
    maker.goOn([this](group::ReplicaKey key) { return making.count(key) != 0; },
               [this](group::ReplicaKey key) {
                 begun.push_back(key.group);
                 if (gone.count(key.group) == 0) making.insert(key);
               });
  }
  void end(uint64_t group) {
    making.erase({group, 1});
    goOn();
  }
};

}  // namespace

TEST_CASE("runtime/room_maker: a few at a time, in order, each once however often it is named") {
  Replicas at;
  at.name(1, 100);
  REQUIRE(at.begun.size() == RoomMaker::kAtATime);
  CHECK(at.maker.isMaking({1, 1}));
  CHECK(!at.maker.isMaking({RoomMaker::kAtATime + 1, 1}));
  at.name(1, 100);  // neither those that wait nor those that are at it
  CHECK(at.begun.size() == RoomMaker::kAtATime);
  at.end(2);
  REQUIRE(at.begun.size() == RoomMaker::kAtATime + 1);
  CHECK(at.begun.back() == RoomMaker::kAtATime + 1);
  while (!at.making.empty()) at.end(at.making.begin()->group);
  REQUIRE(at.begun.size() == 100);
  for (uint64_t i = 0; i < 100; ++i) CHECK(at.begun[i] == i + 1);
  at.name(7, 7);  // anew, for it had its turn
  CHECK(at.begun.back() == 7);
  for (int i = 0; i < 40; ++i) at.name(7, 7);  // it hangs
  at.name(8, 8);
  CHECK(at.begun.back() == 8);
  CHECK(at.begun.size() == 102);
}

TEST_CASE("runtime/room_maker: one that has nothing to do holds up nobody") {
  Replicas at;
  for (uint64_t group = 1; group <= 40; ++group) at.gone.insert(group);
  at.name(1, 41);
  CHECK(at.begun.size() == 41);
  CHECK(at.making.size() == 1);
}

}  // namespace flotilla::runtime
