// Bad days.
#include "tests/sim/nemesis.h"

namespace flotilla::sim {

void Nemesis::begin() {
  const Options& its = world_.options;
  again(its.everyCrash, [this]() { crash(); });
  again(its.everyCut, [this]() { cut(); });
  again(its.everyPause, [this]() { pause(); });
  again(its.everyStall, [this]() { stall(); });
  again(its.everySyncError, [this]() { syncError(); });
  again(its.everyFull, [this]() { full(); });
  again(its.everyMachineFault, [this]() { breakMachine(); });
  again(its.everyDiskLoss, [this]() { loseDisk(); });
  again(its.everyStray, [this]() {
    ++world_.report[Count::faults];
    world_.straySoon(world_.anyHost().id());
  });
  if (its.wallJumps) again(its.stormUs / 4, [this]() { setWall(); });
}

void Nemesis::again(int64_t everyUs, std::function<void()> fault) {
  if (everyUs == 0) return;
  world_.events.in(1 + upTo(2 * everyUs), [this, everyUs, fault = std::move(fault)]() {
    if (world_.isCalm()) return;
    fault();
    again(everyUs, fault);
  });
}

void Nemesis::note(const char* what, uint64_t host, Count count) {
  ++world_.report[count];
  ++world_.report[Count::faults];
  world_.trace.note(world_.nowUs(), {7, host, static_cast<uint64_t>(count)},
                    [&]() { return "h" + std::to_string(host) + ": " + what; });
}

// Mostly one host, at times each with an even chance, or all at once.
void Nemesis::crash() {
  uint64_t kind = world_.dice.below(100);
  SimHost* one = &world_.anyHost();
  for (auto& each : world_.hosts) {
    bool chosen = kind < 80 ? each.get() == one : kind < 90 ? world_.dice.chance(500) : true;
    if (!chosen || !each->up()) continue;
    ++world_.report[Count::faults];
    world_.crash(*each);
    world_.startLater(*each);
  }
}

void Nemesis::cutBothWays(uint64_t one, uint64_t two) {
  world_.network.cut(one, two);
  world_.network.cut(two, one);
}

// One direction, one host, two halves, or a bridge: two halves that meet in one host.
void Nemesis::cut() {
  uint64_t hosts = world_.hosts.size();
  uint64_t one = 1 + world_.dice.below(hosts);
  uint64_t kind = world_.dice.below(4);
  note(kind == 0   ? "cut one way"
       : kind == 1 ? "cut off"
       : kind == 2 ? "halves"
                   : "bridge",
       one, Count::cuts);
  if (kind == 0) {
    uint64_t two = 1 + world_.dice.below(hosts);
    if (two != one) world_.network.cut(one, two);
  } else {
    uint64_t halves = world_.dice.next();
    for (uint64_t a = 1; a <= hosts; ++a) {
      for (uint64_t b = 1; b < a; ++b) {
        bool apart = (halves >> a & 1) != (halves >> b & 1);
        bool ofOne = a == one || b == one;
        if (kind == 1 ? ofOne : kind == 2 ? apart : apart && !ofOne) cutBothWays(a, b);
      }
    }
  }
  if (world_.dice.chance(500)) {
    for (auto& each : world_.hosts) {
      for (auto& other : world_.hosts) {
        if (world_.network.isCut(each->id(), other->id())) each->peerDown(other->id());
      }
    }
  }
  mendLater(50'000 + upTo(world_.dice.chance(300) ? 4'000'000 : 800'000));
}

void Nemesis::mendLater(int64_t us) {
  world_.events.in(us, [this]() {
    for (uint64_t a = 1; a <= world_.hosts.size(); ++a) {
      for (uint64_t b = 1; b <= world_.hosts.size(); ++b) world_.network.mend(a, b);
    }
    world_.connectAnew();
  });
}

void Nemesis::pause() {
  SimHost& one = world_.anyHost();
  if (!one.up() || one.paused()) return;
  note("stopped", one.id(), Count::pauses);
  one.pause();
  world_.events.in(100'000 + upTo(world_.dice.chance(200) ? 5'000'000 : 1'000'000),
                   [&one]() { one.resume(); });
}

void Nemesis::stall() {
  SimHost& one = world_.anyHost();
  note("disk stalls", one.id(), Count::stalls);
  one.disk().stall(50'000 + upTo(world_.dice.chance(200) ? 3'000'000 : 500'000));
}

void Nemesis::syncError() {
  SimHost& one = world_.anyHost();
  if (!one.up() || one.disk().failed()) return;
  note("next sync fails", one.id(), Count::syncErrors);
  one.disk().failNextSync();
}

void Nemesis::full() {
  SimHost& one = world_.anyHost();
  if (one.disk().isFull()) return;
  note("disk is full", one.id(), Count::fullDisks);
  one.disk().setFull(true);
  world_.events.in(50'000 + upTo(3'000'000), [&one]() { one.disk().setFull(false); });
}

void Nemesis::setWall() {
  SimHost& one = world_.anyHost();
  note("wall clock jumps", one.id(), Count::clockJumps);
  int64_t day = 86'400'000'000;
  one.clock().setWall(upTo(2 * day) - day);
}

// As soon as a moment comes in which every group here can bear it.
void Nemesis::loseDisk() {
  if (world_.isCalm()) return;
  if (world_.loseDisk(world_.anyHost())) {
    ++world_.report[Count::faults];
  } else {
    world_.events.in(20'000 + upTo(100'000), [this]() { loseDisk(); });
  }
}

void Nemesis::breakMachine() {
  SimHost& one = world_.anyHost();
  if (!one.up()) return;
  note("a machine breaks", one.id(), Count::machineFaults);
  world_.breakSoon(one.id());
  // An operator looks after it.
  world_.events.in(200'000 + upTo(1'500'000), [this, &one]() {
    for (auto& place : world_.groups) {
      one.onGroup(place.id, [](group::Group& group) { group.retry(); });
    }
  });
}

}  // namespace flotilla::sim
