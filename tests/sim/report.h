// What seeds came to, in numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace flotilla::sim {

// Counted for each seed and added up. The order is that of kCountNames.
enum class Count : size_t {
  seeds,
  steps,
  commands,  // acknowledged
  queries,
  faults,  // of all kinds
  violations,
  elections,
  crashes,
  lostWrites,
  cuts,
  pauses,
  stalls,
  syncErrors,
  fullDisks,
  machineFaults,
  clockJumps,
  messages,
  lostMessages,
  membershipChanges,
  transfers,
  snapshots,
  installs,
  fetches,
  retries,  // of stamped commands
  unknowns,
  answersWithoutRoom,  // of commands that were carried out
  sessions,
  wipes,    // of removed replicas
  joints,   // joint configurations that were committed
  shrinks,  // changes to fewer voters by two or more, and to more
  grows,
  leadersRemoved,
  disksLost,
  replaced,  // replicas of lost disks
  sleeps,    // of replicas
  timersFired,
  eventsHeard,
  eventsMissed,    // times that a listener was told that some are gone
  arrivalsBroken,  // attempts to bring a snapshot
  chunksKept,      // that had come with an earlier attempt
  chunksCopied,    // that older files here had
  chunksDamaged,   // on their way
  strays,          // machines led astray
  quarantines,     // of replicas, once each start of theirs
  rebuilds,        // that have ended
  upgrades,        // switches that the leader's machine took
  resumes,         // machines that went on from what they had kept on disk
  putOff,          // applies that were to give way
  hurried,         // times that a lane's were not to any more
  stayed,          // ends of applies that stayed until the group was given something else
  ticksLeftOut,    // where groups could spare them
  alike,           // looks at a state in which answers were alike
  judged,          // operations in histories that were found linearizable
  count
};

constexpr std::array<const char*, static_cast<size_t>(Count::count)> kCountNames = {
    "seeds",
    "steps",
    "commands",
    "queries",
    "faults",
    "violations",
    "elections",
    "crashes",
    "lostWrites",
    "cuts",
    "pauses",
    "stalls",
    "syncErrors",
    "fullDisks",
    "machineFaults",
    "clockJumps",
    "messages",
    "lostMessages",
    "membershipChanges",
    "transfers",
    "snapshots",
    "installs",
    "fetches",
    "retries",
    "unknowns",
    "answersWithoutRoom",
    "sessions",
    "wipes",
    "joints",
    "shrinks",
    "grows",
    "leadersRemoved",
    "disksLost",
    "replaced",
    "sleeps",
    "timersFired",
    "eventsHeard",
    "eventsMissed",
    "arrivalsBroken",
    "chunksKept",
    "chunksCopied",
    "chunksDamaged",
    "strays",
    "quarantines",
    "rebuilds",
    "upgrades",
    "resumes",
    "putOff",
    "hurried",
    "stayed",
    "ticksLeftOut",
    "alike",
    "judged",
};

struct Report {
  std::array<uint64_t, static_cast<size_t>(Count::count)> counts{};

  uint64_t& operator[](Count count) { return counts[static_cast<size_t>(count)]; }
  uint64_t operator[](Count count) const { return counts[static_cast<size_t>(count)]; }
  void add(const Report& other) {
    for (size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
  }
};

}  // namespace flotilla::sim
