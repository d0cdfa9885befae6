// Hosts' beats: which sleeping groups are woken, and when.
#include "host/group/sleepers.h"

#include <map>
#include <vector>

#include <doctest/doctest.h>

namespace flotilla::test {
namespace {

using group::Beat;
using group::Sleeper;
using group::Sleepers;

constexpr uint64_t kBoot = 4;

// Group `id` sleeps under host 1's lead with hosts 2 and 3.
Sleeper led() {
  return {1, {9, 2}, 2, 1, {2, 3}, {}};
}
Sleeper followed() {
  return {1, {9, 2}, 2, 1, {}, {}};
}

std::vector<uint64_t> woken(Sleepers& sleepers, uint32_t ticks = 1) {
  std::vector<uint64_t> all;
  for (uint32_t i = 0; i < ticks; ++i) {
    for (group::Woken each : sleepers.tick()) all.push_back(each.group);
  }
  return all;
}

// Two hosts of which the first leads; the second has heard of the first's process.
struct Pair {
  Sleepers one{1};
  Sleepers two{2};
  Pair() {
    beat();
    for (uint64_t group : {5U, 6U}) {
      one.sleeps(group, led());
      two.sleeps(group, followed());
    }
  }
  void beat() { two.heard(1, {kBoot, one.digestFor(2)}); }
};

}  // namespace

TEST_CASE("group/sleepers: while beats speak of the same groups nobody is woken") {
  Pair pair;
  for (int i = 0; i < 100; ++i) {
    pair.beat();
    CHECK(woken(pair.two, Sleepers::kBeatTicks).empty());
  }
}

TEST_CASE("group/sleepers: a host that falls silent wakes what sleeps under its lead, once") {
  Pair pair;
  CHECK(woken(pair.two, Sleepers::kSilentTicks - 1).empty());
  CHECK(woken(pair.two) == std::vector<uint64_t>{5, 6});
  CHECK(woken(pair.two, 100).empty());
  CHECK(woken(pair.one, 100).empty());  // a leader expects nobody
}

// Found by flotilla-sim, seed 601816: clients went on asking a group whose leader was gone, each
// call said again that it sleeps, and so it slept for good.
TEST_CASE("group/sleepers: a sleeper that is asked again and again is woken none the later") {
  Pair pair;
  auto asked = [&] {
    for (uint64_t group : {5U, 6U}) pair.two.sleeps(group, followed());
  };
  for (uint32_t i = 1; i < Sleepers::kSilentTicks; ++i) {
    asked();
    CHECK(woken(pair.two).empty());
  }
  asked();
  CHECK(woken(pair.two) == std::vector<uint64_t>{5, 6});
  pair.two.gone(1);
  asked();
  CHECK(woken(pair.two) == std::vector<uint64_t>{5, 6});
}

TEST_CASE("group/sleepers: a broken connection wakes at once") {
  Pair pair;
  pair.two.gone(3);
  CHECK(woken(pair.two).empty());
  pair.two.gone(1);
  CHECK(woken(pair.two) == std::vector<uint64_t>{5, 6});
}

TEST_CASE("group/sleepers: who is woken learns whether its leader's host is gone") {
  Pair pair;
  pair.two.gone(1);
  CHECK(pair.two.tick() == std::vector<group::Woken>{{5, true}, {6, true}});
  pair.two.heard(1, {kBoot + 1, pair.one.digestFor(2)});
  CHECK(pair.two.tick() == std::vector<group::Woken>{{5, true}, {6, true}});
  pair.one.woke(6);
  for (int i = 0; i < 2; ++i) pair.two.heard(1, {kBoot + 1, pair.one.digestFor(2)});
  CHECK(pair.two.tick() == std::vector<group::Woken>{{5, false}, {6, false}});
  for (uint32_t i = 2; i < Sleepers::kSilentTicks; ++i) CHECK(pair.two.tick().empty());
  CHECK(pair.two.tick() == std::vector<group::Woken>{{5, true}, {6, true}});
}

TEST_CASE("group/sleepers: all hosts name the same one to stand first, each about as often") {
  std::map<uint64_t, int> named;
  for (uint64_t group = 1; group <= 3000; ++group) {
    uint64_t first = group::firstToStand(group, {1, 2, 3});
    CHECK(first == group::firstToStand(group, {3, 1, 2}));
    // One who is not there changes nothing between the others.
    if (first != 2) CHECK(first == group::firstToStand(group, {3, 1}));
    ++named[first];
  }
  for (uint64_t host : {1U, 2U, 3U}) CHECK(named[host] > 900);
  CHECK(group::firstToStand(7, {}) == 0);
}

TEST_CASE("group/sleepers: a leader that does not sleep wakes its followers by the second beat") {
  Pair pair;
  pair.one.woke(6);
  pair.beat();
  CHECK(woken(pair.two).empty());
  pair.beat();
  CHECK(woken(pair.two) == std::vector<uint64_t>{5, 6});
  // They call their leaders, who wake; should one stay asleep, it is not gone into at each beat.
  pair.two.woke(5);
  for (int i = 0; i < 39; ++i) pair.beat();
  CHECK(woken(pair.two).empty());
  pair.beat();
  CHECK(woken(pair.two) == std::vector<uint64_t>{6});
}

TEST_CASE("group/sleepers: one early beat is no reason") {
  Pair pair;
  pair.one.woke(6);
  pair.beat();
  pair.two.woke(6);
  pair.beat();
  pair.one.sleeps(6, led());
  pair.beat();
  pair.two.sleeps(6, followed());
  pair.beat();
  CHECK(woken(pair.two).empty());
}

TEST_CASE("group/sleepers: term, last entry and incarnation are part of what is compared") {
  for (Sleeper other : {Sleeper{2, {9, 2}, 2, 1, {}, {}}, Sleeper{1, {8, 2}, 2, 1, {}, {}},
                        Sleeper{1, {9, 1}, 2, 1, {}, {}}, Sleeper{1, {9, 2}, 3, 1, {}, {}}}) {
    Pair pair;
    pair.two.sleeps(5, other);
    pair.beat();
    pair.beat();
    CHECK(woken(pair.two) == std::vector<uint64_t>{5, 6});
  }
}

TEST_CASE("group/sleepers: another process at that host knows of no sleep") {
  Pair pair;
  pair.two.heard(1, {kBoot + 1, pair.one.digestFor(2)});
  CHECK(woken(pair.two) == std::vector<uint64_t>{5, 6});
  pair.one.heard(2, {7, 0});
  CHECK(woken(pair.one) == std::vector<uint64_t>{5, 6});
  pair.one.heard(2, {7, 0});
  CHECK(woken(pair.one).empty());
}

TEST_CASE("group/sleepers: a host that was silent is waited for, and wakes its groups when back") {
  Sleepers one{1};
  one.sleeps(5, {1, {9, 2}, 2, 1, {2}, {3}});
  one.sleeps(6, led());
  CHECK(one.digestFor(3) != one.digestFor(2));
  one.back(2);
  CHECK(woken(one).empty());
  one.back(3);
  CHECK(woken(one) == std::vector<uint64_t>{5});
}

TEST_CASE("group/sleepers: a host's death wakes thousands of groups over many ticks") {
  Sleepers two{2};
  for (uint64_t group = 1; group <= 1000; ++group) two.sleeps(group, followed());
  CHECK(two.count() == 1000);
  two.gone(1);
  two.woke(1000);  // by itself meanwhile
  size_t all = 0;
  for (int i = 0; i < 4; ++i) {
    size_t now = two.tick().size();
    CHECK(now <= Sleepers::kWakesMax);
    all += now;
  }
  CHECK(all == 999);
  CHECK(two.tick().empty());
}

}  // namespace flotilla::test
