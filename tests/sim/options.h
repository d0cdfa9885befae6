// What a seed expands to: how large a world, how fast its clocks, how bad its days.
#pragma once

#include <cstdint>
#include <string>

namespace flotilla::sim {

// Times are microseconds of the world's clock, chances are permille, `every…` is the mean time
// between two faults of a kind, 0: never.
struct Options {
  uint64_t seed = 0;

  uint32_t hosts = 3;
  uint32_t groups = 1;
  uint32_t founders = 3;  // replicas a group begins with
  int64_t stormUs = 0;    // with faults
  int64_t calmUsMax = 0;  // then without: all must be well by then

  int64_t tickUs = 10'000;
  uint32_t electionTicks = 10;
  uint32_t heartbeatTicks = 1;
  bool preVote = true;
  bool checkQuorum = true;
  bool leaseReads = false;
  bool lazyCommit = false;
  uint32_t quietTicks = 0;
  uint32_t settledTicks = 0;
  bool onDisk = false;     // machines keep their state on disk
  bool makesRoom = false;  // some of the snapshots are made because the volume is short of room
  bool mixed = false;      // every other host has other settings, as while an upgrade rolls
  uint32_t sleepTicks = 0;
  bool losesTicks = false;      // of a stopped process, but for one
  bool leavesTicksOut = false;  // where groups say that they can spare them
  uint32_t appendEntriesMax = 64;
  uint32_t inflightMax = 128;
  uint64_t uncommittedBytesMax = 64 << 20;
  uint32_t promotionLagMax = 256;
  uint32_t entryCommandsMax = 64;
  uint64_t tailBytesMax = 16 << 20;
  uint64_t tailRoomBytes = 64 << 20;  // of all groups of a host; a share is a tenth at least
  uint32_t applyBatchEntriesMax = 1024;
  uint32_t appendFetchesMax = 16;
  uint64_t snapshotEveryEntries = 0;
  uint64_t keepEntries = 0;
  uint64_t logBytesMax = 0;
  uint64_t digestEveryEntries = 0;
  int64_t digestEveryUs = 0;
  uint64_t keepEvents = 16'384;
  uint64_t everyCrowded = 0;  // entry, whose host has no room for answers on their way

  uint32_t rateMin = 1000;  // of the hosts' clocks, permille of the world's
  uint32_t rateMax = 1000;
  bool wallJumps = false;

  uint32_t loss = 0;
  uint32_t repeat = 0;
  uint32_t late = 0;     // of messages that take ten times as long
  bool inOrder = false;  // what one host sends another arrives in the order it was sent
  int64_t delayUsMin = 100;
  int64_t delayUsMax = 1000;

  int64_t syncUsMin = 200;
  int64_t syncUsMax = 2000;
  int64_t applyUsMax = 300;
  int64_t giveWayUsMax = 0;  // what gives way waits so much longer, unless it is hurried

  int64_t everyCrash = 0;
  int64_t everyCut = 0;
  int64_t everyPause = 0;
  int64_t everyStall = 0;
  int64_t everySyncError = 0;
  int64_t everyFull = 0;
  int64_t everyMachineFault = 0;
  int64_t everyChange = 0;    // of membership
  int64_t everyResize = 0;    // of five voters to three, and back
  int64_t everyDiskLoss = 0;  // of a host, which comes back empty; its replicas are replaced
  int64_t everyTransfer = 0;
  int64_t everySnapshot = 0;  // asked for by an operator
  int64_t everyStray = 0;     // a machine leaves the others' way, where only its digest shows it
  int64_t everyRebuild = 0;   // of a replica's machine, for no reason
  int64_t everyUpgrade = 0;   // to another version of the machine, or back
  bool poison = false;        // one command faults its group's machine everywhere

  uint32_t clients = 2;  // of each group
  uint32_t lanes = 2;    // calls of one client at a time
  uint32_t stamped = 700;
  uint32_t reads = 400;
  uint32_t staleReads = 100;  // of reads
  uint32_t leases = 0;        // of reads
  uint32_t valueBytesMax = 64;
  int64_t thinkUsMax = 20'000;
  int64_t answerUsMax = 400'000;  // a client waits no longer
  int64_t everyAlarm = 0;         // set in each group
};

Options optionsOf(uint64_t seed);
std::string describe(const Options& options);  // one line

}  // namespace flotilla::sim
