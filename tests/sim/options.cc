// What a seed expands to.
#include "tests/sim/options.h"

#include <algorithm>

#include "host/base/prng.h"

namespace flotilla::sim {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kReplicaSeconds = 60;  // of storm in all: what a seed may cost

void drawSize(base::Prng& dice, Options& to) {
  uint64_t size = dice.below(100);
  to.hosts = size < 55 ? 3 : size < 85 ? 5 : 7;
  uint64_t groups = dice.below(100);
  to.groups = groups < 55   ? 1
              : groups < 80 ? 2
              : groups < 92 ? 3 + static_cast<uint32_t>(dice.below(6))
              : groups < 98 ? 16
                            : 64;
  to.founders = to.hosts;
  if (to.hosts > 3 && dice.chance(600)) to.founders = 3;
  if (to.hosts == 7 && dice.chance(300)) to.founders = 5;
  int64_t replicas = int64_t{to.founders} * to.groups;
  to.stormUs = std::clamp<int64_t>(kReplicaSeconds * kSecond / replicas, 2 * kSecond, 15 * kSecond);
  to.calmUsMax = 60 * kSecond;
}

void drawRaft(base::Prng& dice, Options& to) {
  to.electionTicks = 8 + static_cast<uint32_t>(dice.below(8));
  to.heartbeatTicks = 1 + static_cast<uint32_t>(dice.below(2));
  to.preVote = dice.chance(850);
  to.checkQuorum = dice.chance(850);
  to.appendEntriesMax = dice.chance(500) ? 64 : 1 + static_cast<uint32_t>(dice.below(8));
  to.inflightMax = dice.chance(500) ? 128 : 1 + static_cast<uint32_t>(dice.below(16));
  if (dice.chance(200)) to.uncommittedBytesMax = 4000;
  to.promotionLagMax = dice.chance(500) ? 256 : 4;
  to.entryCommandsMax = dice.chance(500) ? 64 : 1 + static_cast<uint32_t>(dice.below(3));
  if (dice.chance(400)) to.tailBytesMax = 500 + dice.below(4000);
  if (dice.chance(300)) to.applyBatchEntriesMax = 1 + static_cast<uint32_t>(dice.below(8));
  if (dice.chance(300)) to.appendFetchesMax = 1 + static_cast<uint32_t>(dice.below(2));
  if (dice.chance(800)) to.snapshotEveryEntries = 10 + dice.below(100);
  to.keepEntries = dice.chance(500) ? dice.below(10) : dice.below(200);
  if (dice.chance(300)) to.logBytesMax = 5'000 + dice.below(20'000);
}

void drawClocks(base::Prng& dice, Options& to) {
  uint64_t kind = dice.below(100);
  if (kind < 35) {
    to.rateMin = to.rateMax = 1000;
  } else if (kind < 65) {
    to.rateMin = 960;
    to.rateMax = 1040;
  } else {
    to.rateMin = 500;
    to.rateMax = 2000;
  }
  to.leaseReads = kind < 65 && to.checkQuorum && dice.chance(500);
  to.leases = to.leaseReads ? 400 : 0;
  to.mixed = !to.leaseReads && dice.chance(200);
  to.wallJumps = dice.chance(400);
}

void drawNetwork(base::Prng& dice, Options& to) {
  to.loss = dice.chance(400) ? 0 : static_cast<uint32_t>(dice.below(dice.chance(300) ? 300 : 50));
  to.repeat = dice.chance(400) ? static_cast<uint32_t>(dice.below(100)) : 0;
  to.late = dice.chance(500) ? static_cast<uint32_t>(dice.below(100)) : 0;
  to.inOrder = dice.chance(500);
  to.delayUsMin = 50 + static_cast<int64_t>(dice.below(400));
  to.delayUsMax =
      to.delayUsMin + static_cast<int64_t>(dice.below(dice.chance(250) ? 20'000 : 2000));
  to.syncUsMin = 100 + static_cast<int64_t>(dice.below(500));
  to.syncUsMax = to.syncUsMin + static_cast<int64_t>(dice.below(dice.chance(250) ? 30'000 : 3000));
  to.applyUsMax = dice.chance(800) ? 300 : 20'000;
}

// From dice of its own: a seed without sleep is the world it was before there was any.
void drawSleep(Options& to) {
  base::Prng dice(to.seed * 0x9e3779b97f4a7c15ULL + 2);
  if (!dice.chance(400)) return;
  to.sleepTicks = 1 + static_cast<uint32_t>(dice.below(dice.chance(500) ? 4 : 20));
  if (dice.chance(500)) to.thinkUsMax = 200'000 + static_cast<int64_t>(dice.below(1'500'000));
}

// The same; and no seed that had failed before has any, so that each still finds what it found.
void drawAlarms(Options& to) {
  base::Prng dice(to.seed * 0x9e3779b97f4a7c15ULL + 68);
  if (!dice.chance(500)) return;
  to.everyAlarm = 20'000 + static_cast<int64_t>(dice.below(dice.chance(500) ? 100'000 : 1'500'000));
  if (to.groups > 8) to.everyAlarm *= 4;
}

// The same again.
void drawLazy(Options& to) {
  base::Prng dice(to.seed * 0x9e3779b97f4a7c15ULL + 2454);
  to.lazyCommit = dice.chance(500);
  to.makesRoom = dice.chance(500);
}

// How far back those who listen to alarms can be told, from dice of its own.
void drawEvents(Options& to) {
  base::Prng dice(to.seed * 0x9e3779b97f4a7c15ULL + 5);
  if (dice.chance(600)) to.keepEvents = 1 + dice.below(dice.chance(500) ? 8 : 100);
}

// The same again.
void drawCrowds(Options& to) {
  base::Prng dice(to.seed * 0x9e3779b97f4a7c15ULL + 7);
  if (dice.chance(500)) to.everyCrowded = 2 + dice.below(100);
}

// No seed that had failed before has any of it, either.
void drawPlaces(Options& to) {
  base::Prng dice(to.seed * 0x9e3779b97f4a7c15ULL + 20);
  to.onDisk = dice.chance(350);
}
// Up to half an election timeout, which is all that a group's options allow.
void drawHeartbeats(Options& to) {
  base::Prng dice(to.seed * 0x9e3779b97f4a7c15ULL + 21);
  if (dice.chance(300)) {
    to.heartbeatTicks = 1 + static_cast<uint32_t>(dice.below(to.electionTicks / 2));
  }
}

// Where the groups of a host share little memory; none of the seeds that had failed before.
void drawTailRoom(Options& to) {
  base::Prng dice(to.seed * 0x9e3779b97f4a7c15ULL + 57);
  if (dice.chance(300)) to.tailRoomBytes = 1'000 + dice.below(20'000);
}

// The same again.
void drawQuiet(Options& to) {
  base::Prng dice(to.seed * 0x9e3779b97f4a7c15ULL + 95);
  if (dice.chance(300)) to.quietTicks = 2 + static_cast<uint32_t>(dice.below(3));
}

// From dice of its own.
void drawSettled(Options& to) {
  base::Prng dice(to.seed * 0x9e3779b97f4a7c15ULL + 96);
  if (dice.chance(300)) to.settledTicks = 2 + static_cast<uint32_t>(dice.below(6));
}

// The same again.
void drawGiveWay(Options& to) {
  base::Prng dice(to.seed * 0x9e3779b97f4a7c15ULL + 120);
  if (dice.chance(300)) {
    to.giveWayUsMax = 1'000 + static_cast<int64_t>(dice.below(dice.chance(500) ? 20'000 : 400'000));
  }
}

// From dice of its own; none of the seeds that had failed before.
void drawTicks(Options& to) {
  base::Prng dice(to.seed * 0x9e3779b97f4a7c15ULL + 292);
  to.leavesTicksOut = dice.chance(500);
}

// The same again.
void drawLostTicks(Options& to) {
  base::Prng dice(to.seed * 0x9e3779b97f4a7c15ULL + 638);
  to.losesTicks = dice.chance(500);
}

int64_t every(base::Prng& dice, const Options& to, uint64_t seeds, int64_t times);

// From dice of its own, as sleep.
void drawSoundness(Options& to) {
  base::Prng dice(to.seed * 0x9e3779b97f4a7c15ULL + 3);
  if (!dice.chance(500)) return;
  to.digestEveryEntries = dice.chance(700) ? 1 + dice.below(40) : 0;
  to.digestEveryUs = 100'000 + static_cast<int64_t>(dice.below(1'500'000));
  to.everyStray = every(dice, to, 500, 3);
  to.everyRebuild = every(dice, to, 400, 5);
}

void drawUpgrades(Options& to) {
  base::Prng dice(to.seed * 0x9e3779b97f4a7c15ULL + 4);
  to.everyUpgrade = every(dice, to, 250, 6);
}

// A fault of this kind happens in so many seeds of a thousand, about so many times in each.
int64_t every(base::Prng& dice, const Options& to, uint64_t seeds, int64_t times) {
  if (!dice.chance(seeds)) return 0;
  return to.stormUs / (1 + static_cast<int64_t>(dice.below(static_cast<uint64_t>(times * 2))));
}

void drawFaults(base::Prng& dice, Options& to) {
  to.everyCrash = every(dice, to, 700, 8);
  to.everyCut = every(dice, to, 600, 8);
  to.everyPause = every(dice, to, 400, 5);
  to.everyStall = every(dice, to, 400, 5);
  to.everySyncError = every(dice, to, 250, 3);
  to.everyFull = every(dice, to, 250, 3);
  to.everyMachineFault = every(dice, to, 200, 3);
  to.everyChange = every(dice, to, 550, 15);
  if (to.hosts >= 5) to.everyResize = every(dice, to, 500, 8);
  to.everyDiskLoss = every(dice, to, 300, 3);
  to.everyTransfer = every(dice, to, 400, 6);
  to.everySnapshot = every(dice, to, 300, 6);
  to.poison = dice.chance(50);
}

void drawClients(base::Prng& dice, Options& to) {
  bool many = to.groups > 8;
  to.clients = 1 + static_cast<uint32_t>(dice.below(many ? 1 : 3));
  to.lanes = 1 + static_cast<uint32_t>(dice.below(many ? 2 : 4));
  to.stamped = dice.chance(300) ? 1000 : 500 + static_cast<uint32_t>(dice.below(500));
  to.reads = 200 + static_cast<uint32_t>(dice.below(400));
  to.staleReads = dice.chance(500) ? 200 : 0;
  to.valueBytesMax = dice.chance(800) ? 64 : 2000;
  to.thinkUsMax = 1000 + static_cast<int64_t>(dice.below(many ? 100'000 : 40'000));
  to.answerUsMax = 100'000 + static_cast<int64_t>(dice.below(500'000));
}

}  // namespace

Options optionsOf(uint64_t seed) {
  base::Prng dice(base::Prng(seed).next());  // seeds side by side share no numbers
  Options to;
  to.seed = seed;
  drawSize(dice, to);
  drawRaft(dice, to);
  drawClocks(dice, to);
  drawNetwork(dice, to);
  drawFaults(dice, to);
  drawClients(dice, to);
  drawSleep(to);
  drawAlarms(to);
  drawLazy(to);
  drawSoundness(to);
  drawUpgrades(to);
  drawEvents(to);
  drawCrowds(to);
  drawPlaces(to);
  drawHeartbeats(to);
  drawTailRoom(to);
  drawQuiet(to);
  drawSettled(to);
  drawGiveWay(to);
  drawTicks(to);
  drawLostTicks(to);
  return to;
}

std::string describe(const Options& o) {
  std::string line = "seed=" + std::to_string(o.seed);
  auto add = [&](const char* name, auto value) {
    line += std::string(" ") + name + "=" + std::to_string(value);
  };
  add("hosts", o.hosts), add("groups", o.groups), add("founders", o.founders);
  add("stormMs", o.stormUs / 1000), add("electionTicks", o.electionTicks);
  add("heartbeatTicks", o.heartbeatTicks), add("preVote", o.preVote);
  add("checkQuorum", o.checkQuorum), add("leaseReads", o.leaseReads),
      add("lazyCommit", o.lazyCommit), add("makesRoom", o.makesRoom),
      add("quietTicks", o.quietTicks), add("settledTicks", o.settledTicks), add("mixed", o.mixed);
  add("onDisk", o.onDisk);
  add("sleepTicks", o.sleepTicks), add("leavesTicksOut", o.leavesTicksOut),
      add("losesTicks", o.losesTicks);
  add("appendEntriesMax", o.appendEntriesMax), add("inflightMax", o.inflightMax);
  add("uncommittedBytesMax", o.uncommittedBytesMax), add("promotionLagMax", o.promotionLagMax);
  add("entryCommandsMax", o.entryCommandsMax), add("tailBytesMax", o.tailBytesMax);
  add("tailRoomBytes", o.tailRoomBytes);
  add("applyBatchEntriesMax", o.applyBatchEntriesMax), add("appendFetchesMax", o.appendFetchesMax);
  add("snapshotEveryEntries", o.snapshotEveryEntries), add("keepEntries", o.keepEntries);
  add("logBytesMax", o.logBytesMax);
  add("rateMin", o.rateMin), add("rateMax", o.rateMax), add("wallJumps", o.wallJumps);
  add("loss", o.loss), add("repeat", o.repeat), add("late", o.late);
  add("inOrder", o.inOrder);
  add("delayUsMin", o.delayUsMin), add("delayUsMax", o.delayUsMax);
  add("syncUsMin", o.syncUsMin), add("syncUsMax", o.syncUsMax), add("applyUsMax", o.applyUsMax);
  add("giveWayUsMax", o.giveWayUsMax);
  add("everyCrash", o.everyCrash), add("everyCut", o.everyCut), add("everyPause", o.everyPause);
  add("everyStall", o.everyStall), add("everySyncError", o.everySyncError);
  add("everyFull", o.everyFull), add("everyMachineFault", o.everyMachineFault);
  add("everyChange", o.everyChange), add("everyResize", o.everyResize);
  add("everyDiskLoss", o.everyDiskLoss), add("everyTransfer", o.everyTransfer);
  add("everySnapshot", o.everySnapshot), add("poison", o.poison);
  add("digestEveryEntries", o.digestEveryEntries), add("digestEveryUs", o.digestEveryUs);
  add("everyStray", o.everyStray), add("everyRebuild", o.everyRebuild);
  add("everyUpgrade", o.everyUpgrade), add("keepEvents", o.keepEvents);
  add("everyCrowded", o.everyCrowded);
  add("clients", o.clients), add("lanes", o.lanes), add("stamped", o.stamped);
  add("reads", o.reads), add("staleReads", o.staleReads), add("leases", o.leases);
  add("valueBytesMax", o.valueBytesMax), add("thinkUsMax", o.thinkUsMax);
  add("answerUsMax", o.answerUsMax), add("everyAlarm", o.everyAlarm);
  return line;
}

}  // namespace flotilla::sim
