// A group's Raft options: names, ranges and defaults.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flotilla/result.h"

namespace flotilla::catalog {

// What may be set of a group with `flotilla group create --set name=value` (DESIGN §9). The values
// here are the defaults.
struct GroupOptions {
  uint32_t electionTimeoutMs = 1000;
  uint32_t heartbeatMs = 100;
  uint32_t appendEntriesMax = 1024;                   // entries in one append
  uint64_t appendBytesMax = uint64_t{1} << 20;        // bytes in one append
  uint32_t inflightMax = 256;                         // appends under way to one follower
  uint64_t uncommittedBytesMax = uint64_t{64} << 20;  // past this, commands are refused
  uint64_t snapshotEveryBytes = uint64_t{128} << 20;  // of log since the last snapshot
  uint64_t keepEntries = 10000;                       // kept behind a snapshot for slow followers
  bool preVote = true;
  bool checkQuorum = true;
  bool leaseReads = false;
  bool asyncDurability = false;  // `durability`: sync (false) or async
  std::string volume;            // empty: the default one
  uint32_t applyTimeoutMs = 10000;
  uint32_t sleepAfterMs = 10000;  // of silence; 0: never
  // Replicas' digests are compared once so many entries were applied since the last time, or so
  // long after it if there were any; 0: not for that reason.
  uint64_t digestEveryEntries = 10000;
  uint32_t digestEveryMs = 60000;
  // Quotas; 0: none. What its machine may hold, how much of one apply thread it may use over ten
  // seconds, and how many calls may come: past them calls are refused where they come in.
  uint64_t memoryBytesMax = 0;
  uint32_t applyTimePercentMax = 0;
  uint32_t callsPerSecondMax = 0;

  // Of its machine's events, the newest: so many, and so many bytes of them with 64 for each.
  uint64_t keepEvents = 16384;
  uint64_t keepEventBytes = uint64_t{8} << 20;

  bool operator==(const GroupOptions&) const = default;
};

using OptionText = std::pair<std::string, std::string>;  // name, value

// Reads options as an operator wrote them. An unknown or repeated name, a value out of range, or
// two that contradict each other is `badRequest`, and the text says what is allowed. A pure
// function: the catalog machine relies on equal answers on every host.
Result<GroupOptions> readOptions(const std::vector<OptionText>& options);

// Whether `flotilla group set` may change it; `badRequest` says what it may.
Result<void> checkSettable(std::string_view name);

// The clusterVersion whose hosts know all of these options: one that does not would refuse what
// others take.
uint32_t versionFor(const std::vector<OptionText>& options);

// The names and ranges, one a line, for a help text.
std::string describeOptions();

// Nothing wrong with a group's name ([a-z0-9][a-z0-9._-]{0,62}).
bool goodName(std::string_view name);

}  // namespace flotilla::catalog
