// The sleeping groups of one host, and whether other hosts see the same ones asleep.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "host/raft/types.h"

namespace flotilla::group {

// What a host tells each other host, again and again: which process it is, and the digest of those
// groups that sleep under its lead together with a member over there.
struct Beat {
  uint64_t boot = 0;
  uint64_t digest = 0;

  bool operator==(const Beat&) const = default;
};

// A replica here that sleeps.
struct Sleeper {
  uint64_t incarnation = 0;
  raft::LogPoint last;             // its log's last entry
  raft::Term term = 0;             // the one it sleeps in
  uint64_t leader = 0;             // the host whose replica leads; our own id where it is ours
  std::vector<uint64_t> along;     // where it is ours: hosts whose members sleep along,
  std::vector<uint64_t> awaiting;  // and hosts whose members were silent

  bool operator==(const Sleeper&) const = default;
};

// A replica to be woken, and whether its leader's host is known not to answer.
struct Woken {
  uint64_t group = 0;
  bool leaderGone = false;

  bool operator==(const Woken&) const = default;
};

// Of the hosts that could lead a group next, the one that is to stand for election first: each host
// comes to the same one, and over many groups each is it about equally often. 0: there is none.
uint64_t firstToStand(uint64_t group, const std::vector<uint64_t>& hosts);

// A sleeping group hears nothing, so it cannot notice that its leader is gone. One beat a pair of
// hosts does it for all their groups: where it stops, comes from another process, or speaks of
// other groups than those we believe asleep under that host, these are woken. What may wake as one
// is woken a part a tick, so that a host's death is no storm.
//
// Owner:  runtime's ReplicaSet, or a simulated host.
// Thread: its owner's.
// Errors: none.
// Time:   in the host's ticks; see group.h.
class Sleepers {
public:
  static constexpr uint32_t kBeatTicks = 5;     // between two beats to a host
  static constexpr uint32_t kSilentTicks = 20;  // without one: that host may be dead
  static constexpr uint32_t kWakesMax = 256;    // a tick

  explicit Sleepers(uint64_t self) : self_(self) {}

  void sleeps(uint64_t group, Sleeper sleeper);  // may be said again and again
  void woke(uint64_t group);  // or is not here any more; one that did not sleep is passed over
  size_t count() const { return sleepers_.size(); }

  uint64_t digestFor(uint64_t host) const;  // of a Beat to it
  void heard(uint64_t host, Beat beat);
  void gone(uint64_t host);  // the connection broke
  void back(uint64_t host);  // a new one stands

  // One tick later: the groups to be woken now.
  std::vector<Woken> tick();

private:
  struct Peer {
    uint64_t boot = 0;      // 0: not heard of yet
    uint64_t led = 0;       // digest of what sleeps under our lead along with it
    uint64_t followed = 0;  // digest of what sleeps here under its lead
    uint32_t silence = 0;   // ticks
    uint32_t strange = 0;   // beats in a row that speak of other groups
  };
  static uint64_t markOf(uint64_t group, const Sleeper& sleeper);
  void count(uint64_t group, const Sleeper& sleeper, bool in);
  void wakeFollowersOf(uint64_t host, bool gone);
  void wakeLedFor(uint64_t host, bool all);

  uint64_t self_;
  std::map<uint64_t, Sleeper> sleepers_;
  std::map<uint64_t, Peer> peers_;
  std::map<uint64_t, bool> toWake_;  // whether the leader's host is gone
};

}  // namespace flotilla::group
